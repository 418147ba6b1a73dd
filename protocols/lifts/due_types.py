"""One duty of a lift's calendar, and how it stands."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from msgspec import Struct

from protocols.lifts.rules import DutyKind, DutyState


class Stop(NamedTuple):
    """A time out of use."""

    since: date
    until: date | None
    """The day on which it went on; None: it has not."""

    def holds(self, day: date) -> bool:
        """Tell whether it was stopped on a day."""
        return self.since <= day and (self.until is None or day < self.until)


class Duty(Struct, frozen=True, kw_only=True):
    """What is to be done, by when, and why."""

    kind: DutyKind
    level: str = ""
    """Of a maintenance."""
    year: int | None = None
    """After the supervision inspection, where it is one of a year."""
    base_on: date | None = None
    """That inspection."""
    from_on: date
    """The first day on which it may be done."""
    due_on: date
    limit_on: date
    """After this day it is overdue."""
    apply_by: date | None = None
    """By then an inspection is to be asked for."""
    done_on: date | None = None
    """Of a maintenance: when it was done last; it is due again all the same."""
    state: DutyState
    reason: str
    """A word for why it is due then."""
    source: str
    source_zh: str
    confidence: str

    @property
    def key(self) -> str:
        """Return what it is told by among the duties of its lift."""
        return f"{self.kind}{'.' if self.level else ''}{self.level}@{self.due_on.isoformat()}"


def state_of(
    first: date, limit: date, done: date | None, stops: Sequence[Stop], today: date
) -> DutyState:
    """Tell how a duty stands today."""
    if done is not None:
        return "done" if done <= limit else "late"
    if stops and stops[-1].until is None:
        return "suspended"
    if today > limit:
        return "overdue"
    return "open" if today >= first else "ahead"
