"""The file of a gas cylinder, and what is recorded beside it.

Dates are written as a stamp or a paper has them: `2026-03` or `2026-03-15`.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from cloud.model.asset import DISTRICT_CHARS_MAX
from cloud.model.permissions import Word
from cloud.model.registering import CYLINDER
from protocols.cylinders.base import Id, MarkedDate, Mass, State, Years

SCHEME = CYLINDER
"""Of their asset ids, and their kind."""
CODES_MAX, DOCUMENTS_MAX, COMPONENTS_MAX, FINDINGS_MAX = 16, 20, 20, 50
_MARKED = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")

Short = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Line = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
District = Annotated[str, Meta(max_length=DISTRICT_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Marked = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?\Z")]
Day = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
Pressure = Annotated[float, Meta(gt=0, le=200)]
OrganisationId = Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?\Z")]
VehicleId = Annotated[str, Meta(pattern=r"^([A-Za-z0-9-]{1,32})?\Z")]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]

Destroyed = Literal["crushed", "cut"]
"""How its function was destroyed; drilling holes or spoiling the neck thread is not enough."""
InspectionKind = Literal["periodic", "assessment"]
Result = Literal["passed", "failed"]
PermitKind = Literal["filling", "inspection"]
PermitState = Literal["valid", "suspended", "revoked"]
Cause = Literal[
    "authority", "codes_disagree", "clone_suspected", "inspection_failed", "stopped_on_spot"
]
"""Why it is blocked."""
ImportForm = Literal["csv", "jsonl"]
Outcome = Literal["registered", "changed", "unchanged"]
"""What became of a file that was written."""
Step = Literal["take-out", "put-back", "lose", "find", "purge"]


class FurtherCode(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A code that tells of the cylinder beside its own, of scheme `tag_uid`, `label`, `giai`."""

    scheme: Word
    value: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[!-~]+\Z")]

    def __str__(self) -> str:
        """Return `tag_uid:04A1B2C3`."""
        return f"{self.scheme}:{self.value}"


class Valve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Its valve; where its life ends before the next due date it is replaced at inspection."""

    maker: Line = ""
    model: Short = ""
    manufactured_on: Marked | None = None
    design_life_years: Years | None = None


class Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A paper that is kept elsewhere."""

    kind: Word
    title: Line
    reference: Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
    """Where it is kept: an address or a number of a file; it is never opened here."""
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class CylinderFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written of a cylinder when it is registered."""

    kind: Id
    gas: Id
    components: Annotated[tuple[Id, ...], Meta(max_length=COMPONENTS_MAX)] = ()
    standard: Short = ""
    maker: Line = ""
    maker_licence: Short = ""
    serial_number: Short = ""
    manufactured_on: Marked | None = None
    design_life_years: Years | None = None
    working_pressure_mpa: Pressure | None = None
    test_pressure_mpa: Pressure | None = None
    water_capacity_l: Mass | None = None
    tare_kg: Mass | None = None
    allowable_fill_kg: Mass | None = None
    filler: OrganisationId = ""
    """Whose own or entrusted cylinder it is; changed later by a transfer alone."""
    use_registration: Short = ""
    """Number of its use registration; empty: it has none."""
    vehicle: VehicleId = ""
    """That carries it as its fuel tank."""
    codes: Annotated[tuple[FurtherCode, ...], Meta(max_length=CODES_MAX)] = ()
    valve: Valve | None = None
    documents: Annotated[tuple[Document, ...], Meta(max_length=DOCUMENTS_MAX)] = ()
    inspected_on: Marked | None = None
    """As its stamp told when it was registered; later told by inspections alone."""
    inspection_due_on: Marked | None = None
    last_filled_on: Day | None = None


class CylinderEntry(CylinderFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cylinder's file, and where it is kept."""

    district: District | None = None
    """None: it stays where it is."""

    def file(self) -> CylinderFile:
        """Return the file alone."""
        names = CylinderFile.__struct_fields__
        return CylinderFile(**{name: getattr(self, name) for name in names})


class Block(Struct, frozen=True, kw_only=True):
    """Why a cylinder must not be filled until somebody lifts it."""

    id: int
    cause: Cause
    detail: str
    by: str
    organisation: str
    blocked_at: int
    lifted_at: int | None = None
    lifted_by: str = ""
    lifted_reason: str = ""


class CylinderRecord(Struct, frozen=True, kw_only=True):
    """A cylinder as it stands."""

    asset_id: str
    file: CylinderFile
    state: State
    life_extended: bool
    purged: bool
    registered_at: int
    updated_at: int
    change: int
    district: str = ""
    scrapped_how: str = ""
    """How its function was destroyed; empty: it is not scrapped."""
    scrapped_on: str | None = None
    scrapped_by: str = ""
    """Who did it, as told."""
    blocks: tuple[Block, ...] = ()
    """All of them, the latest first."""


class Change(Struct, frozen=True, kw_only=True):
    """One entry of a cylinder's history."""

    change: int
    asset_id: str
    recorded_at: int
    by: str
    organisation: str
    what: str
    before: dict[str, object]
    """What was in the fields that changed."""
    after: dict[str, object]
    reason: str


class FieldFault(Struct, frozen=True, kw_only=True):
    """What is wrong with one field."""

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Return `tare_kg: expected …, found …`."""
        return f"{self.field}: expected {self.expected}, found {self.found}"


def read_marked(text: str) -> MarkedDate:
    """Read a date with or without its day.

    Raises:
        ValueError: it is on no calendar.

    """
    match = _MARKED.fullmatch(text)
    if match is None:
        raise ValueError(f"expected YYYY-MM or YYYY-MM-DD, found {text[:20]!r}")
    date = MarkedDate(int(match[1]), int(match[2]), int(match[3] or 0))
    if not 1900 <= date.year <= 2200:
        raise ValueError(f"expected a year from 1900 to 2200, found {date.year}")
    _ = date.first, date.last
    return date


def date_faults(struct: Struct, *names: str) -> list[FieldFault]:
    """Return the date fields that are on no calendar."""
    found = []
    for name in names:
        text = getattr(struct, name)
        if text is None:
            continue
        try:
            read_marked(text)
        except ValueError:
            found.append(FieldFault(field=name, expected="a day of the calendar", found=text))
    return found


def json_text(value: object) -> str:
    """Write a value as a text column keeps it."""
    return msgspec.json.encode(value).decode()
