"""The file of a lift as it is written and shown, and what is recorded beside it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from protocols.lifts.base import Id, LiftFile, PartyPart, State
from protocols.lifts.chain import ChainFault, Entry, Head
from protocols.lifts.due import Plan
from protocols.lifts.watch import CaseKind

ATTRIBUTES = (
    *("address", "district", "latitude", "longitude", "rescue_code", "maintenance_phone"),
    *("manufacturer", "site_type"),
)
"""Fields of a file that others read as attributes of the asset."""


class LiftEntry(LiftFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lift's file, and whose it is."""

    parties: dict[PartyPart, Id] | None = None
    """Organisations of this service by their parts; None: they stay as they are."""

    def file(self) -> LiftFile:
        """Return the file alone."""
        names = LiftFile.__struct_fields__
        return LiftFile(**{name: getattr(self, name) for name in names})


class Lift(Struct, frozen=True, kw_only=True):
    """A lift as it stands."""

    asset_id: str
    file: LiftFile
    parties: Mapping[str, str]
    state: State
    next_due_on: str | None
    """Of all that is due; None: nothing is, or it cannot be told."""
    next_kind: str
    overdue: int
    """Number of duties that should have been done."""
    records: Head
    """Number and hash of the newest entry of its record."""
    registered_at: int
    updated_at: int

    @property
    def code(self) -> str:
        """Return its code, without the scheme."""
        return self.asset_id.partition(":")[2]


class LiftRecord(Struct, frozen=True, kw_only=True):
    """One entry of a lift's record, and what became of it."""

    body: Entry
    hash: str
    stands: bool
    """Whether it is neither corrected nor withdrawn."""
    confirmed: bool

    @property
    def asset_id(self) -> str:
        """Return the lift's id."""
        return self.body.lift


class LiftCalendar(Struct, frozen=True, kw_only=True):
    """What is due of a lift."""

    asset_id: str
    today: str
    plan: Plan


class LiftVerdict(Struct, frozen=True, kw_only=True):
    """What a look at a lift's whole record found."""

    asset_id: str
    entries: int
    head: Head
    good: bool
    faults: tuple[ChainFault, ...]


class LiftCase(Struct, frozen=True, kw_only=True):
    """What is or was overdue of a lift."""

    id: int
    asset_id: str
    kind: CaseKind
    day: str
    facts: Mapping[str, Any]
    raised_at: int
    alarm: bool
    ended_at: int | None


class WantedLifts(Struct, frozen=True, kw_only=True):
    """Which lifts are asked for; None and empty: any."""

    text: str | None = None
    """A code of any kind, whole, or a part of a name or an address."""
    district: str | None = None
    maintainer: str | None = None
    state: State | None = None
    overdue: bool | None = None
    due_before: str | None = None
    after: tuple[str, str] | None = None
    """Due day and asset id of the last one of the page before."""
    limit: int = 100


class FoundByCode(Struct, frozen=True, kw_only=True):
    """What a code tells of."""

    code: str
    lifts: tuple[Lift, ...]

    @property
    def ambiguous(self) -> bool:
        """Whether it tells of several."""
        return len(self.lifts) > 1
