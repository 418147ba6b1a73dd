"""What is done with a handheld, as pure steps: nothing here reads a clock, a disk or a screen."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from protocols.catalog.inspections import Calendar, Form
from protocols.codes.links import is_link, parse_asset_link
from protocols.codes.recognise import recognise
from protocols.codes.registry import SchemeRegistry
from protocols.cylinders.base import ClockState, Cylinder, Seen, StationPermits, Verdict
from protocols.cylinders.book import RuleBook
from protocols.cylinders.verdict import fill_verdict
from protocols.errors import RefuseInput
from protocols.handheld import (
    COUNT_MAX,
    Count,
    Finding,
    Inspection,
    Instruction,
    Photo,
    Position,
    Signature,
    Tag,
)
from protocols.ids import ASSET_ID

SCHEME = "cylinder"
_UID = re.compile(r"[0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{16}|[0-9A-F]{20}")
SnapshotState = Literal["fresh", "ageing", "expired", "none"]


class Knowledge(Protocol):
    """What the device knows of cylinders without asking anybody."""

    def find(self, code: str) -> Cylinder | None:
        """Return a cylinder by its asset id."""
        ...

    def find_tag(self, uid: str) -> str | None:
        """Return the asset id of the cylinder with a tag, capital hex digits."""
        ...

    @property
    def permits(self) -> StationPermits | None:
        """What those who hold the device may fill; None: they fill nothing, or it is not told."""
        ...


class NothingKnown:
    """A device that was given nothing yet."""

    def find(self, code: str) -> Cylinder | None:
        """None."""
        del code
        return None

    def find_tag(self, uid: str) -> str | None:
        """None."""
        del uid
        return None

    @property
    def permits(self) -> None:
        """None."""
        return


# --- scanning ---------------------------------------------------------------------------------


class Identified(Struct, frozen=True, kw_only=True):
    """What a scanned text is."""

    text: str
    asset: str | None = None
    """The cylinder; None: it is none, or nobody knows its tag."""
    tag_uid: str | None = None
    others: tuple[str, ...] = ()
    """What else it may be, as `scheme:code`; never picked by the device."""
    fault: str = ""
    """A closed word: why it cannot be read, such as `bad_check_digit`."""


class Looked(Struct, frozen=True, kw_only=True):
    """A cylinder as the screen shows it."""

    identified: Identified
    cylinder: Cylinder | None
    verdict: Verdict | None
    """None: it is no cylinder, or there are no rules here."""


def identify(text: str, schemes: SchemeRegistry, known: Knowledge) -> Identified:
    """Tell what a text is: a tag's UID by what the device knows, a code by its scheme."""
    plain = text.strip().upper().replace(":", "").replace(" ", "")
    if _UID.fullmatch(plain) and (asset := known.find_tag(plain)):
        return Identified(text=text, asset=asset, tag_uid=plain)
    asset = as_cylinder(text)
    if asset is not None and known.find(asset) is not None:
        return Identified(text=text, asset=asset)
    try:
        found = recognise(text, schemes)
    except RefuseInput as refused:
        return Identified(text=text, fault=refused.reason)
    ids = [f"{one.scheme}:{one.code}" for one in found]
    bottles = [one for one in ids if one.startswith(f"{SCHEME}:")]
    known_ones = [one for one in bottles if known.find(one) is not None] or bottles
    one = known_ones[0] if len(known_ones) == 1 else None
    if one is None and _UID.fullmatch(plain):
        return Identified(text=text, tag_uid=plain, others=tuple(ids))
    return Identified(text=text, asset=one, others=tuple(other for other in ids if other != one))


def as_cylinder(text: str) -> str | None:
    """Return the asset id of a text that somebody says, or an address tells, is a cylinder's code.

    Stations number their cylinders as they like; such a code fits no scheme. None: it is none.
    """
    plain = text.strip()
    link = parse_asset_link(plain) if is_link(plain) else None
    if link is not None:
        plain = f"{link.scheme}:{link.value}"
    asset = plain if plain.startswith(f"{SCHEME}:") else f"{SCHEME}:{plain}"
    return asset if ASSET_ID.fullmatch(asset) else None


def look(
    identified: Identified,
    known: Knowledge,
    book: RuleBook | None,
    *,
    on: date,
    clock: ClockState,
    snapshot: SnapshotState,
    filler: str,
) -> Looked:
    """Judge a cylinder as the filling gate would, for its own gas, with all reasons.

    Args:
        identified: what was scanned.
        known: what the device knows.
        book: the rules; None: there are none here.
        on: local day.
        clock: whether that day can be trusted.
        snapshot: how old the knowledge is.
        filler: whose people hold the device; empty for an office, which fills nothing: then it is
            judged for its own filler.

    """
    cylinder = known.find(identified.asset) if identified.asset else None
    if identified.asset is None or book is None:
        return Looked(identified=identified, cylinder=cylinder, verdict=None)
    seen = Seen(
        filler=filler or (cylinder.filler if cylinder else "") or "-",
        gas=cylinder.gas if cylinder else "unknown",
        on=on,
        clock=clock,
        snapshot=snapshot,
        permits=known.permits if filler and cylinder else None,
    )
    return Looked(
        identified=identified, cylinder=cylinder, verdict=fill_verdict(cylinder, seen, book)
    )


# --- an inspection ----------------------------------------------------------------------------


class Draft(Struct, frozen=True, kw_only=True):
    """An inspection under way; each step returns the next one."""

    asset: str
    form: Form
    findings: tuple[Finding, ...] = ()
    instruction: Instruction | None = None
    photos: tuple[Photo, ...] = ()
    position: Position | None = None
    recheck_of: str | None = None
    signatures: tuple[Signature, ...] = ()

    @property
    def outcome(self) -> Literal["passed", "instructed", "stopped"]:
        """What the findings amount to."""
        return self.form.outcome(one.code for one in self.findings)

    def toggle(self, code: str, note: str = "") -> "Draft":
        """Add a finding, or take it away; RefuseInput `unknown_finding`."""
        if code not in {one.code for one in self.form.findings}:
            raise RefuseInput("unknown_finding", code)
        kept = tuple(one for one in self.findings if one.code != code)
        if len(kept) == len(self.findings):
            kept = (*kept, Finding(code=code, note=note))
        return self._changed(findings=kept)

    def instruct(self, text: str, on: date, calendar: Calendar) -> "Draft":
        """Write the instruction; it is due within the form's working days."""
        due_on = calendar.after(on, self.form.recheck_working_days)
        return self._changed(instruction=Instruction(text=text.strip(), due_on=due_on))

    def add_photo(self, photo: Photo) -> "Draft":
        """Add a picture, once."""
        if photo.sha256 in {one.sha256 for one in self.photos}:
            return self
        return self._changed(photos=(*self.photos, photo))

    def at(self, position: Position) -> "Draft":
        """Say where it is."""
        return self._changed(position=position)

    def sign(self, person: str, prove: Callable[[Inspection], Signature]) -> "Draft":
        """Add a person's signature of what stands here now.

        Raises:
            RefuseInput: `signed_already`, `not_ready` with what is missing; as `prove`.

        """
        if missing := self.missing():
            raise RefuseInput("not_ready", ", ".join(missing))
        if person in {one.person for one in self.signatures}:
            raise RefuseInput("signed_already", person)
        made = prove(self.inspection())
        return msgspec.structs.replace(self, signatures=(*self.signatures, made))

    def missing(self) -> tuple[str, ...]:
        """Return what must be there before anybody signs, in closed words."""
        return () if self.outcome == "passed" or self.instruction else ("instruction",)

    @property
    def signed(self) -> bool:
        """Whether as many have signed as the form asks for."""
        return len(self.signatures) >= self.form.inspectors

    def inspection(self) -> Inspection:
        """Return it as it is recorded."""
        return Inspection(
            asset=self.asset,
            form=self.form.id,
            outcome=self.outcome,
            findings=self.findings,
            instruction=None if self.outcome == "passed" else self.instruction,
            photos=self.photos,
            position=self.position,
            recheck_of=self.recheck_of,
            signatures=self.signatures,
        )

    def _changed(self, **fields: object) -> "Draft":
        """Return it changed; nobody has signed that."""
        return msgspec.structs.replace(self, signatures=(), **fields)


# --- counting a shelf ---------------------------------------------------------------------------


class Shelf(Struct, frozen=True, kw_only=True):
    """A count under way. A shelf of which nothing is expected makes everything unexpected."""

    place: str
    expected: frozenset[str]
    seen: tuple[str, ...] = ()
    """In the order of scanning, each once."""

    def add(self, asset: str) -> "Shelf":
        """Take one more; the same again changes nothing."""
        if asset in self.seen:
            return self
        return msgspec.structs.replace(self, seen=(*self.seen, asset))

    def drop_last(self) -> "Shelf":
        """Take the last one back."""
        return msgspec.structs.replace(self, seen=self.seen[:-1])

    @property
    def found(self) -> tuple[str, ...]:
        """Expected, and there."""
        return tuple(one for one in self.seen if one in self.expected)

    @property
    def unexpected(self) -> tuple[str, ...]:
        """There, and not expected."""
        return tuple(one for one in self.seen if one not in self.expected)

    @property
    def missing(self) -> tuple[str, ...]:
        """Expected, and not there."""
        return tuple(sorted(self.expected - set(self.seen)))

    def counts(self) -> Iterator[Count]:
        """Yield the records of it, as many as it takes; at least one."""
        columns = {
            name: list(_pieces(getattr(self, name))) for name in ("found", "missing", "unexpected")
        }
        for number in range(max(1, *map(len, columns.values()))):
            parts = {
                name: pieces[number] if number < len(pieces) else ()
                for name, pieces in columns.items()
            }
            yield Count(place=self.place, **parts)


def _pieces(all_: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(all_), COUNT_MAX):
        yield tuple(all_[start : start + COUNT_MAX])


# --- putting on a tag ---------------------------------------------------------------------------


def put_on(asset: str, text: str, known: Knowledge) -> Tag:
    """Return the record of a tag that is put on a cylinder.

    Raises:
        RefuseInput: `bad_tag`: no UID; `tag_taken`: the device knows it at another cylinder;
            `tag_there`: it is this cylinder's already.

    """
    uid = text.strip().upper().replace(":", "").replace(" ", "")
    if not _UID.fullmatch(uid):
        raise RefuseInput("bad_tag", f"expected a UID of hex digits, found {text[:40]!r}")
    owner = known.find_tag(uid)
    if owner is not None and owner != asset:
        raise RefuseInput("tag_taken", owner)
    cylinder = known.find(asset)
    if cylinder is not None and uid in cylinder.tag_uids:
        raise RefuseInput("tag_there", uid)
    tags = cylinder.tag_uids if cylinder is not None else ()
    return Tag(asset=asset, uid=uid, replaces=tags[0] if len(tags) == 1 else None)
