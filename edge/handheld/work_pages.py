"""The screens of inspecting, counting and putting on tags."""

import math
from typing import Literal

from rich.text import Text

from edge.handheld import show
from edge.handheld.app import Page, is_choice, signing
from edge.handheld.workflow import Draft, Shelf, as_cylinder, put_on
from protocols.catalog.inspections import Form
from protocols.errors import RefuseInput
from protocols.handheld import Inspection, Position, Tag

Asking = Literal["", "instruction", "position", "who", "pin"]
FIRST_FINDING = 11
"""Findings are chosen by two digits, all else by one."""


class InspectPage(Page):
    """An inspection, from the form to the signatures."""

    def __init__(self, asset: str | None = None) -> None:
        super().__init__()
        self._asset = asset
        self._draft: Draft | None = None
        self._asking: Asking = ""
        self._person = ""
        self._saved: int | None = None

    @property
    def secret(self) -> bool:
        """Whether what is written is a PIN."""
        return self._asking == "pin"

    def body(self) -> Text:
        """Show the form, or what is asked."""
        words = self.words
        if self._asset is None:
            return Text(words("inspect_scan"), "bold")
        if self._draft is None:
            return self._choose_form()
        if self._saved is not None:
            saved = Text(words("saved", number=self._saved), "bold")
            return show.lines([show.banner(self._draft.outcome, words), saved])
        if self._asking in ("instruction", "position"):
            return Text(words(f"{self._asking}_ask"), "bold")
        if self._asking == "who":
            return self._choose_person()
        if self._asking == "pin":
            member = next(one for one in self.desk.session.members if one.id == self._person)
            return Text(words("pin", name=member.name), "bold")
        return show.findings(self._draft, words, self._draft.form.inspectors)

    def entered(self, text: str) -> None:
        """Take what was asked for, a choice, or the cylinder."""
        if self._saved is not None:
            self.action_back()
        elif self._asset is None:
            self._asset = self.desk.identify(text).asset or as_cylinder(text)
            if self._asset is None:
                raise RefuseInput("not_cylinder")
        elif self._draft is None:
            self._begin(text)
        elif self._asking:
            asking, self._asking = self._asking, ""
            getattr(self, f"_take_{asking}")(self._draft, text)
        elif is_choice(text):
            self._choose(self._draft, text)

    def action_back(self) -> None:
        """Leave the question, else the page."""
        if self._asking:
            self._asking = ""
            self.draw()
        else:
            super().action_back()

    def _forms(self) -> list[Form]:
        return sorted(self.desk.forms.values(), key=lambda one: (one.of != "cylinder", one.id))

    def _choose_form(self) -> Text:
        parts = [Text(self.words("choose_form"), "bold")]
        for number, form in enumerate(self._forms(), 1):
            parts.append(Text(f"{number} {self.words.title(form)}"))
        return show.lines(parts)

    def _begin(self, text: str) -> None:
        forms = self._forms()
        if is_choice(text) and 0 < int(text) <= len(forms) and self._asset is not None:
            form = forms[int(text) - 1]
            self._draft = Draft(asset=self._asset, form=form, recheck_of=self._open_instruction())

    def _open_instruction(self) -> str | None:
        """Return the inspection made here whose instruction this one looks at again, if any."""
        for one in self.desk.history(self._asset or ""):
            what = one.record.what
            if isinstance(what, Inspection):
                open_one = f"{self.desk.store.id}:{one.record.number}"
                return open_one if what.outcome != "passed" else None
        return None

    def _choose(self, draft: Draft, text: str) -> None:
        number = int(text)
        if FIRST_FINDING <= number < FIRST_FINDING + len(draft.form.findings):
            self._draft = draft.toggle(draft.form.findings[number - FIRST_FINDING].code)
        elif number == 5:
            self._asking = "instruction"
        elif number == 6:
            if draft.missing():
                raise RefuseInput("not_ready")
            self._asking = "who"
        elif number == 7:
            photo = self.desk.new_photo(draft.photos)
            if photo is None:
                raise RefuseInput("photo_none")
            self._draft = draft.add_photo(photo)
            self.said = self.words("photo_added", name=photo.file[:24])
        elif number == 8:
            self._asking = "position"

    def _choose_person(self) -> Text:
        parts = [Text(self.words("sign_who"), "bold")]
        signed = {one.person for one in self._draft.signatures} if self._draft else set()
        for number, member in enumerate(self.desk.session.members, 1):
            parts.append(Text(f"{number} {member.name}{' ✔' if member.id in signed else ''}"))
        return show.lines(parts)

    def _take_instruction(self, draft: Draft, text: str) -> None:
        self._draft = draft.instruct(text[:500], self.desk.today(), self.desk.calendar)

    def _take_position(self, draft: Draft, text: str) -> None:
        self._draft = draft.at(read_position(text))

    def _take_who(self, draft: Draft, text: str) -> None:
        members = self.desk.session.members
        if is_choice(text) and 0 < int(text) <= len(members):
            self._person = members[int(text) - 1].id
            if self._person in {one.person for one in draft.signatures}:
                raise RefuseInput("signed_already")
            self._asking = "pin"

    def _take_pin(self, draft: Draft, text: str) -> None:
        self._draft = draft.sign(self._person, signing(self.desk, self._person, text))
        if self._draft.signed:
            self._saved = self.desk.record(self._draft.inspection()).number


class CountPage(Page):
    """Counting a shelf: what is expected is what was there when it was counted last."""

    def __init__(self) -> None:
        super().__init__()
        self._shelf: Shelf | None = None
        self._saved: list[int] = []

    def body(self) -> Text:
        """Show how it stands."""
        if self._shelf is None:
            return Text(self.words("count_place"), "bold")
        if self._saved:
            numbers = ", ".join(map(str, self._saved))
            saved = Text(self.words("saved", number=numbers), "bold")
            return show.lines([saved, show.shelf(self._shelf, self.words)])
        return show.shelf(self._shelf, self.words)

    def entered(self, text: str) -> None:
        """Take the place, a thing, or the end."""
        if self._saved:
            self.action_back()
        elif self._shelf is None:
            place = text[:64]
            self._shelf = Shelf(place=place, expected=self.desk.store.shelf(place))
        elif text == "5":
            self._saved = self.desk.count(self._shelf)
        elif text == "7":
            self._shelf = self._shelf.drop_last()
        elif not is_choice(text):
            asset = self.desk.identify(text).asset or as_cylinder(text)
            if asset is None:
                raise RefuseInput("not_cylinder")
            self._shelf = self._shelf.add(asset)


class TagPage(Page):
    """Putting a tag on a cylinder."""

    def __init__(self, asset: str | None = None) -> None:
        super().__init__()
        self._asset = asset
        self._tag: Tag | None = None
        self._saved: int | None = None

    def body(self) -> Text:
        """Show what comes next."""
        words = self.words
        if self._saved is not None:
            return Text(f"✔ {words('saved', number=self._saved)}", "bold black on green")
        if self._asset is None:
            return Text(words("tag_scan"), "bold")
        code = self._asset.partition(":")[2]
        if self._tag is None:
            return show.lines([Text(code, "bold"), Text(words("tag_read"), "bold")])
        parts = [Text(words("tag_confirm", uid=self._tag.uid, asset=code), "bold")]
        if self._tag.replaces:
            parts.append(Text(words("tag_replaces", uid=self._tag.replaces)))
        return show.lines(parts)

    def entered(self, text: str) -> None:
        """Take the cylinder, its tag, the confirmation."""
        if self._saved is not None:
            self.action_back()
        elif self._asset is None:
            self._asset = self.desk.identify(text).asset or as_cylinder(text)
            if self._asset is None:
                raise RefuseInput("not_cylinder")
        elif self._tag is None:
            self._tag = put_on(self._asset, text, self.desk.known.cylinders)
        elif text == "1":
            self._saved = self.desk.record(self._tag).number


def read_position(text: str) -> Position:
    """Read `latitude,longitude` in degrees; RefuseInput `bad_position`."""
    try:
        latitude, longitude = (float(one) for one in text.replace("，", ",").split(","))
    except ValueError:
        raise RefuseInput("bad_position", text[:40]) from None
    if not (math.fabs(latitude) <= 90 and math.fabs(longitude) <= 180):
        raise RefuseInput("bad_position", text[:40])
    return Position(latitude=latitude, longitude=longitude)
