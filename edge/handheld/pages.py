"""The screens of signing on, of scanning, and of the service's words."""

from rich.text import Text

from edge.handheld import show
from edge.handheld.app import HandApp, Page, is_choice
from edge.handheld.session import check_pin
from edge.handheld.work_pages import CountPage, InspectPage, TagPage
from edge.handheld.workflow import Identified, Looked, as_cylinder
from protocols.errors import RefuseInput, RetryLater


class FirstPage(Page):
    """Who is it? Then: what is it?"""

    keys = "keys_home"

    def __init__(self) -> None:
        super().__init__()
        self._person: str | None = None
        self._asked: list[str] | None = None
        """Answers of somebody new: code, name, PIN."""

    @property
    def secret(self) -> bool:
        """Whether what is written is a PIN."""
        return self._person is not None or (self._asked is not None and len(self._asked) >= 2)

    def body(self) -> Text:
        """Ask who it is, or for a scan."""
        words, session = self.words, self.desk.session
        state = session.state
        parts = [self.hand.warnings()] if self.hand.warnings() else []
        if self._asked is not None:
            ask = ("code", "name", "pin_new", "pin_again")[len(self._asked)]
            return show.lines([*parts, Text(words(ask), "bold")])
        if state == "signed_on":
            menu = words("home_menu", faulty=len(self.desk.store.faulty()))
            return show.lines([*parts, Text(f"\n▌{words('home')}▐\n", "bold"), Text(menu)])
        if state in ("empty", "revoked", "offline_too_long"):
            parts.append(Text(f"✖ {words(state)}", "bold white on red"))
        elif self._person is not None:
            member = next(one for one in session.members if one.id == self._person)
            return show.lines([*parts, Text(words("pin", name=member.name), "bold")])
        if state == "signed_off":
            parts.append(Text(words("sign_on"), "bold"))
            for number, member in enumerate(session.members, 1):
                out = f" ✖ {words('person_out')}" if member.out else ""
                parts.append(Text(f"{number} {member.name}{out}"))
        return show.lines([*parts, Text(words("sign_on_new"))])

    async def take(self, text: str) -> None:
        """Take an answer, a PIN, a choice or a scan."""
        if self._asked is not None:
            await self._answer(text)
        elif self.desk.session.state == "signed_on":
            if text:
                self.entered(text)
        elif self._person is not None:
            person, self._person = self._person, None
            if text:
                self.desk.session.sign_on(person, text)
        elif text == "0":
            self._asked = []
        elif is_choice(text) and self.desk.session.state == "signed_off":
            members = self.desk.session.members
            if 0 < int(text) <= len(members):
                self._person = members[int(text) - 1].id

    def entered(self, text: str) -> None:
        """Begin a piece of work, or show what was scanned."""
        pages = {"2": InspectPage, "3": CountPage, "4": TagPage, "6": FaultsPage}
        if text in pages:
            self.hand.push_screen(pages[text]())
        elif text == "9":
            self.action_back()
        elif not is_choice(text):
            self.hand.push_screen(LookPage(self.desk.look(self.desk.identify(text))))

    def action_back(self) -> None:
        """Leave what was begun, or sign off; it stands below all others."""
        self._person, self._asked, self.said = None, None, ""
        if self.desk.session.state == "signed_on":
            self.desk.session.sign_off()
        self.draw()

    async def _answer(self, text: str) -> None:
        """Take the next answer of somebody new; an empty one gives up."""
        asked = self._asked or []
        if not text:
            self._asked = None
        elif len(asked) == 2:
            check_pin(text)
            self._asked = [*asked, text]
        elif len(asked) < 2:
            self._asked = [*asked, text]
        elif text != asked[2]:
            self._asked = asked[:2]
            raise RefuseInput("pin_differs")
        else:
            self._asked = None
            await self._let_in(asked[0], asked[1], text)

    async def _let_in(self, code: str, name: str, pin: str) -> None:
        try:
            told = await self.desk.redeem(code)
        except RetryLater:
            self.said = self.words("no_answer")
            return
        self.desk.session.admit(told, name[:40], pin)
        self.hand.action_send()


class LookPage(Page):
    """What was scanned: verdict, all reasons, all dates, what was done here."""

    def __init__(self, looked: Looked) -> None:
        super().__init__()
        self._looked = looked

    def body(self) -> Text:
        """Show it."""
        asset = self._looked.identified.asset
        history = self.desk.history(asset) if asset else []
        return show.looked(self._looked, self.desk.known.book, history, self.words)

    def entered(self, text: str) -> None:
        """Go on with this one, or show the next."""
        asset = self._looked.identified.asset
        if text == "2" and asset is None:
            asset = as_cylinder(self._looked.identified.text)
            if asset is not None:
                here = Identified(text=self._looked.identified.text, asset=asset)
                self._looked = self.desk.look(here)
        elif text == "2":
            self.hand.switch_screen(InspectPage(asset))
        elif text == "4" and asset is not None:
            self.hand.switch_screen(TagPage(asset))
        elif not is_choice(text):
            self._looked = self.desk.look(self.desk.identify(text))


class FaultsPage(Page):
    """The service's words on records that it does not agree with, one after the other."""

    def body(self) -> Text:
        """Show the oldest that nobody has looked at."""
        faulty = self.desk.store.faulty()
        if not faulty:
            return Text(f"✔ {self.words('no_faults')}", "bold")
        return show.fault(faulty[0], len(faulty), self.words, self.desk.zone)

    def entered(self, text: str) -> None:
        """Go on to the next."""
        self.desk.store.look_at_photos()
        faulty = self.desk.store.faulty()
        if text == "1" and faulty:
            self.desk.store.look_at(faulty[0].record.number)


def first_page(_app: HandApp) -> Page:
    """Return the screen below all others."""
    return FirstPage()
