"""What happens at a filling place, what is asked about it, and what is recorded of it."""

from collections.abc import Callable
from datetime import date
from typing import Literal

from msgspec import Struct

from protocols.cylinders.base import ClockState, Cylinder, Id, Verdict
from protocols.cylinders.limits import Filled, Finding
from protocols.records import Code, FillFault, FillStep

Trouble = Literal[
    "two_cylinders",
    "tag_damaged",
    "operator_unknown",
    "scale_silent",
    "mass_unsettled",
    "output_lost",
    "not_durable",
]
"""Why a place itself cannot decide, whatever the cylinder; words in `interlock/words.toml`."""
Blocked = Literal[
    "interrupted",
    "without_verdict",
    "overfilled",
    "lighter_than_before",
    "check_failed",
    "output_stuck",
]
"""Why a place does nothing until a named person has looked at it."""
EndedBy = Literal[
    "full",
    "at_rest",
    "operator",
    "timed_out",
    "taken_off",
    "swapped",
    "withdrawn",
    "output_lost",
    "scale_lost",
    "reader_lost",
    "stopped",
    "not_durable",
]
"""What closed the gun, or kept it shut after all; `at_rest`: no more gas came; `withdrawn`: the
verdict is no longer fill."""
Lamp = Literal["off", "green", "yellow", "red"]


class Present(Struct, frozen=True, kw_only=True):
    """A tag or label read here, until its reader says that it left."""

    reader: str
    key: bytes
    """Tells it from others on this reader."""
    codes: tuple[Code, ...]
    findings: tuple[str, ...] = ()
    stays: bool = True
    """False: a label, of which nobody knows how long it is there."""
    tare_kg: float | None = None
    """As it stands on the tag."""


class Overruled(Struct, frozen=True, kw_only=True):
    """A person takes the decision for one cylinder, against reasons that the rules leave to him."""

    name: str
    role: Id
    why: str
    code: str
    """Asset id of the cylinder; no other is meant."""
    reasons: frozenset[Id] = frozenset()
    """Those that he saw; one more, and it no longer holds."""


class Question(Struct, frozen=True, kw_only=True):
    """What a place asks about what is there."""

    here: tuple[Present, ...]
    answers: tuple[tuple[Id, bool], ...] = ()
    """Of the physical checklist, as far as it was answered."""
    weighed_kg: float | None = None
    """At rest on the scale before filling; None: no scale, or not known."""
    troubles: tuple[Trouble, ...] = ()
    at_boot_ms: int = 0


class Judged(Struct, frozen=True, kw_only=True):
    """The answer, and what it rests on."""

    verdict: Verdict
    code: str = ""
    """Asset id of the cylinder; empty: not known which."""
    cylinder: Cylinder | None = None
    """As the snapshot has it; None: it does not."""
    on: date | None = None
    """Local day by which it was judged; None: nobody knows the day."""
    clock: ClockState = "trusted"
    snapshot: str = ""
    """Version of the station snapshot."""
    may_overrule: tuple[Id, ...] = ()
    """The roles that may decide against all its reasons."""
    checks: tuple[Id, ...] = ()
    """The physical checklist for it, in order."""
    after_checks: tuple[Id, ...] = ()
    """The same, after filling."""

    @property
    def gross_limit_kg(self) -> float | None:
        """The most that the scale may show; None: not filled by mass."""
        tare_kg = None if self.cylinder is None else self.cylinder.tare_kg
        if self.verdict.limit_kg is None or tare_kg is None:
            return None
        return tare_kg + self.verdict.limit_kg

    @property
    def reasons(self) -> frozenset[Id]:
        """The words of its reasons."""
        return frozenset(one.reason for one in self.verdict.reasons)


Judge = Callable[[Question], Judged]
Review = Callable[[Judged | None, Filled], tuple[Finding, ...]]
"""Tells what is wrong after a filling of what was judged; None: nobody knows of which cylinder."""


class Entry(Struct, frozen=True, kw_only=True):
    """What is to be recorded of one step."""

    step: FillStep
    number: int
    """Counts the records of this place, never the same twice."""
    at_boot_ms: int
    opening: int | None = None
    """Number of the `released` record that it belongs to."""
    judged: Judged | None = None
    codes: tuple[Code, ...] = ()
    operator: str = ""
    answers: tuple[tuple[Id, bool], ...] = ()
    overruled: Overruled | None = None
    before_kg: float | None = None
    after_kg: float | None = None
    why: str = ""
    """A closed word: what ended it, or what is cleared."""
    faults: tuple[FillFault, ...] = ()

    @property
    def net_kg(self) -> float | None:
        """What came in; None: not weighed before and after."""
        if self.before_kg is None or self.after_kg is None:
            return None
        return round(self.after_kg - self.before_kg, 3)


# --- what happens ------------------------------------------------------------------------------


class Arrived(Struct, frozen=True):
    """A tag or label was read."""

    one: Present


class Left(Struct, frozen=True):
    """A tag has left its reader."""

    reader: str
    key: bytes


class ReaderLost(Struct, frozen=True):
    """Of a reader's tags nobody knows any more whether they are there."""

    reader: str


class Weighed(Struct, frozen=True):
    """The scale says something new."""

    kg: float | None
    """None: no weight that counts."""
    in_motion: bool | None = None
    """None: it does not say, or cannot."""
    online: bool = True


class Answered(Struct, frozen=True):
    """A check was answered; `passed` False: the worker said no."""

    check: Id
    passed: bool


class Named(Struct, frozen=True):
    """Who works here."""

    operator: str


class Overrule(Struct, frozen=True):
    """A person who may takes the decision."""

    name: str
    role: Id
    why: str


class Pressed(Struct, frozen=True):
    """A button: end this filling; judge what is here again, from the first check on."""

    button: Literal["end", "again"]


class Cleared(Struct, frozen=True):
    """A person has looked at a blocked place."""

    name: str


class Committed(Struct, frozen=True):
    """The record of an opening is durable, or could not be made so."""

    number: int
    durable: bool = True


class Output(Struct, frozen=True):
    """What is known of the output: whether it can be driven, and what it says of itself."""

    reachable: bool
    open: bool | None = None
    """As read back; None: it cannot be."""


class Tick(Struct, frozen=True):
    """Time has passed."""


class Stopping(Struct, frozen=True):
    """The daemon ends."""


Event = (
    Arrived
    | Left
    | ReaderLost
    | Weighed
    | Answered
    | Named
    | Overrule
    | Pressed
    | Cleared
    | Committed
    | Output
    | Tick
    | Stopping
)


# --- what is to be done ------------------------------------------------------------------------


class Note(Struct, frozen=True):
    """Record this; the place goes on."""

    entry: Entry


class Commit(Struct, frozen=True):
    """Make this durable, then say `Committed`: nothing opens before."""

    entry: Entry


Act = Note | Commit
