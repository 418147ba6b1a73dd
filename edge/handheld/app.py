"""The screens of the handheld: one line to write in, digits and function keys, large words.

A scanner types into the same line and ends with Enter, so that a scan works on every screen. What
is shorter than SCAN_CHARS_MIN is a choice, everything else is what was scanned or written.
"""

import asyncio
from collections.abc import Callable
from typing import ClassVar, cast

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Input, Static

from edge.handheld.desk import Desk
from edge.handheld.show import lines
from edge.handheld.sync import Report
from edge.handheld.words import Language, Words, load_words
from protocols.errors import RefuseInput, RetryLater
from protocols.handheld import Inspection, Signature

SCAN_CHARS_MIN = 4
HOUR_MS = 3_600_000
PARTS = "#status, #shown, #said, #line, #keys"
TICK_S = 1.0


class Line(Input):
    """The line to write in; empty at once, for a scanner types on before the last text is taken."""

    async def action_submit(self) -> None:
        """Give what was written to the page."""
        written, self.value = self.value, ""
        self.post_message(Input.Submitted(self, written))


class Page(Screen[None]):
    """One screen: where we stand, what is shown, a line to write in, the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "back", show=False, priority=True),
        Binding("f5", "app.send", show=False, priority=True),
        Binding("f9", "off", show=False, priority=True),
        Binding("f10", "app.other_language", show=False, priority=True),
        Binding("up", "scroll(-1)", show=False, priority=True),
        Binding("down", "scroll(1)", show=False, priority=True),
    ]
    keys = "keys_back"

    def __init__(self) -> None:
        super().__init__()
        self.said = ""
        self._shown: dict[str, Text] = {}

    @property
    def hand(self) -> "HandApp":
        """The application."""
        return cast("HandApp", self.app)

    @property
    def desk(self) -> Desk:
        """What the screens work with."""
        return self.hand.desk

    @property
    def words(self) -> Words:
        """In the language that was chosen."""
        return self.hand.words

    @property
    def secret(self) -> bool:
        """Whether what is written is a PIN."""
        return False

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(id="status")
        with VerticalScroll(id="body", can_focus=False):
            yield Static(id="shown")
        yield Static(id="said")
        yield Line(id="line", password=self.secret)
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Show it, and listen."""
        self.query_one("#line", Input).focus()
        self.draw()

    def on_screen_resume(self) -> None:
        """Show what may have changed meanwhile."""
        self.draw()

    def draw(self) -> None:
        """Show everything anew."""
        if len(self.query(PARTS)) < len(PARTS.split(",")):
            return  # not laid out yet, or on the way out
        self._put("status", self.hand.status())
        self._put("shown", self.body())
        self._put("said", Text(self.said, "bold"))
        self._put("keys", Text(self.words(self.keys)))
        self.query_one("#said").display = bool(self.said)
        self.query_one("#line", Input).password = self.secret

    def _put(self, where: str, text: Text) -> None:
        """Write a part anew where it has changed: a screen that is painted wears the battery."""
        if self._shown.get(where) != text:
            self._shown[where] = text
            self.query_one(f"#{where}", Static).update(text)

    def body(self) -> Text:
        """Return what is shown."""
        return Text("")

    def entered(self, text: str) -> None:
        """Take what was written or scanned; RefuseInput is told in the page's words."""

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take a line; what is refused is said, and nothing else happens."""
        self.said = ""
        self.desk.session.touch()
        try:
            await self.take(event.value.strip())
        except RefuseInput as refused:
            otherwise = refused.reason
            self.said = self.words.find(refused.reason, otherwise, detail=refused.detail)
        except RetryLater:
            self.said = self.words("disk")
        self.draw()

    async def take(self, text: str) -> None:
        """Take a line that is not empty."""
        if text:
            self.entered(text)

    def action_back(self) -> None:
        """Go back to where we came from."""
        self.hand.pop_screen()

    def action_off(self) -> None:
        """Sign off, from wherever."""
        self.desk.session.sign_off()
        self.hand.home()
        self.hand.tick()

    def action_scroll(self, by: int) -> None:
        """Move what is shown."""
        self.query_one("#body", VerticalScroll).scroll_relative(y=3 * by, animate=False)


def is_choice(text: str) -> bool:
    """Tell whether a line is a choice from what is shown."""
    return text.isascii() and text.isdigit() and len(text) < SCAN_CHARS_MIN


class HandApp(App[None]):
    """The handheld."""

    CSS = """
    Screen { layout: vertical; background: black; color: white; }
    #status { height: 1; background: #004; }
    #body { height: 1fr; scrollbar-size: 1 1; }
    #shown { height: auto; }
    #said { height: auto; background: #640; display: none; }
    #line { height: 1; border: none; padding: 0; background: #222; }
    #line:focus { border: none; }
    #keys { height: 1; background: #004; }
    """
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        desk: Desk,
        first: Callable[["HandApp"], Page],
        *,
        language: Language = "zh",
        wait_s: Callable[[Report], float] | None = None,
    ) -> None:
        """Make it.

        Args:
            desk: what the screens work with.
            first: the screen that stands below all others.
            language: until somebody chooses.
            wait_s: how long after a run the next follows by itself; None: never.

        """
        super().__init__()
        self.desk, self._first, self._wait_s = desk, first, wait_s
        self.words = load_words(language)
        self._sending = asyncio.Lock()
        self.report: Report | None = None

    def on_mount(self) -> None:
        """Begin."""
        self.push_screen(self._first(self))
        self.set_interval(TICK_S, self.tick)
        if self._wait_s is not None:
            self.run_worker(self._send_now_and_then(self._wait_s))

    def tick(self) -> None:
        """Keep the line at the top right, and shut who may not work any more."""
        page = self.screen
        if not isinstance(page, Page):
            return
        if len(self.screen_stack) > 2 and self.desk.session.state != "signed_on":
            self.home()
            page = self.screen
        if isinstance(page, Page):
            page.draw()

    def home(self) -> None:
        """Go back to the first screen."""
        while len(self.screen_stack) > 2:
            self.pop_screen()

    def scanned(self, text: str) -> None:
        """Take what a reader of the device's own has read, as if it were typed."""
        page = self.screen
        if isinstance(page, Page):
            line = page.query_one("#line", Input)
            line.post_message(Input.Submitted(line, text))

    def status(self) -> Text:
        """Return the line at the top: who, what waits, how long still, what is wrong."""
        session, store, words = self.desk.session, self.desk.store, self.words
        who = session.who()
        parts = [who.name[:8] if who else "—"]
        if self._sending.locked():
            parts.append(words("syncing"))
        elif store.waiting:
            parts.append(f"▲{store.waiting} {words('waiting')}")
        else:
            parts.append(f"✔ {words('synced')}")
        left_ms = session.left_ms()
        if session.members and left_ms > 0:
            parts.append(f"⏳{_left(left_ms, words)}")
        return Text(" ".join(parts), no_wrap=True, overflow="ellipsis")

    def warnings(self) -> Text:
        """Return what a person should know before going on."""
        found, words = list[Text](), self.words
        if self.desk.time.now().source == "doubtful":
            found.append(Text(words("clock_doubtful"), "bold black on yellow"))
        if self.desk.store.room != "free":
            key = "nearly_full" if self.desk.store.room == "nearly_full" else "store_full"
            found.append(Text(words(key), "bold black on yellow"))
        if self.desk.store.set_aside is not None:
            found.append(Text(words("set_aside"), "bold black on yellow"))
        if self.desk.store.lost_photos:
            lost = words("photos_lost", count=self.desk.store.lost_photos)
            found.append(Text(lost, "bold black on yellow"))
        return lines(found)

    def action_send(self) -> None:
        """Give the service what waits, now."""
        if not self._sending.locked():
            self.run_worker(self.send())

    def action_other_language(self) -> None:
        """Change between Chinese and English."""
        self.words = load_words("en" if self.words.language == "zh" else "zh")
        self.tick()

    async def send(self) -> Report:
        """Give the service what waits; what came of it is said."""
        async with self._sending:
            self.tick()
            report = await self.desk.synchronise()
        self.report = report
        page = self.screen
        if isinstance(page, Page):
            page.said = self._told(report)
        self.tick()
        return report

    def _told(self, report: Report) -> str:
        words = self.words
        if report.ended == "revoked":
            return ""
        if report.ended != "done":
            return words("sync_nobody" if report.ended == "nobody" else "sync_away")
        told = words("sync_done", sent=report.sent)
        return told + "\n" + words("sync_faulty", faulty=report.faulty) if report.faulty else told

    async def _send_now_and_then(self, wait_s: Callable[[Report], float]) -> None:
        while True:
            report = await self.send() if self.desk.session.members else Report(ended="nobody")
            await asyncio.sleep(wait_s(report))


def _left(left_ms: int, words: Words) -> str:
    hours = left_ms // HOUR_MS
    return words("days", count=hours // 24) if hours >= 48 else words("hours", count=hours)


def signing(desk: Desk, person: str, pin: str) -> Callable[[Inspection], Signature]:
    """Return what signs by a person's PIN."""
    return lambda inspection: desk.session.sign(inspection, person, pin)
