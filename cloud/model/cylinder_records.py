"""What is recorded beside the files of cylinders: inspections, vehicles, permits, imports."""

from typing import Annotated

from msgspec import Meta, Struct

from cloud.model.cylinder import (
    DOCUMENTS_MAX,
    FINDINGS_MAX,
    Day,
    Document,
    FieldFault,
    ImportForm,
    InspectionKind,
    Line,
    Marked,
    PermitKind,
    PermitState,
    Result,
    Short,
)
from protocols.cylinders.base import Id

AS_REGISTERED = "as_registered"
"""Kind of an inspection that was told by the stamp when the cylinder was registered."""
Text = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*\Z")]
ITEMS_MAX = 100


class InspectionReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a body writes of an inspection."""

    kind: InspectionKind = "periodic"
    inspected_on: Day
    result: Result
    next_due_on: Marked | None = None
    """As it stamped; None: as the rules count."""
    certificate: Short = ""
    findings: Annotated[tuple[Id, ...], Meta(max_length=FINDINGS_MAX)] = ()
    """Codes of what was found."""
    life_extended: bool = False
    """It grants the one extension of its life."""
    valve_replaced: bool = False
    note: Text = ""
    documents: Annotated[tuple[Document, ...], Meta(max_length=DOCUMENTS_MAX)] = ()


class Inspection(Struct, frozen=True, kw_only=True):
    """An inspection as it is recorded."""

    id: int
    asset_id: str
    kind: str
    inspected_on: str
    result: Result
    next_due_on: str | None
    body: str
    """An organisation; empty for what a stamp told."""
    certificate: str
    findings: tuple[str, ...]
    life_extended: bool
    valve_replaced: bool
    note: str
    documents: tuple[Document, ...]
    by: str
    recorded_at: int
    withdrawn_at: int | None
    withdrawn_by: str
    withdrawn_reason: str


class VehicleFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written of a vehicle that carries cylinders as its fuel tanks."""

    plate: Annotated[str, Meta(max_length=16, pattern=r"^[^\x00-\x1f\x7f]*\Z")] = ""
    taxi: bool = False
    installer: Line = ""
    installed_on: Day | None = None
    installation_certificate: Short = ""
    use_registration: Short = ""
    """Number; empty: it has none."""
    certificate_valid_until: Marked | None = None
    scrapped_on: Day | None = None


class VehicleRecord(Struct, frozen=True, kw_only=True):
    """A vehicle as it stands."""

    id: str
    plate: str
    taxi: bool
    installer: str
    installed_on: str | None
    installation_certificate: str
    use_registration: str
    certificate_valid_until: str | None
    scrapped_on: str | None
    organisation: str
    updated_at: int


class PermitBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written of a permit to fill, or of an approval to inspect."""

    items: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=ITEMS_MAX)]
    """Gases that may be filled, or kinds of shell that may be inspected."""
    valid_from: Day
    valid_until: Day
    issuer: Line = ""
    state: PermitState = "valid"
    reason: Text = ""
    """Why it is suspended or revoked."""


class Permit(Struct, frozen=True, kw_only=True):
    """A permit as it stands."""

    organisation: str
    kind: PermitKind
    number: str
    items: tuple[str, ...]
    valid_from: str
    valid_until: str
    issuer: str
    state: PermitState
    reason: str
    updated_at: int

    def covers(self, item: str, day: str) -> bool:
        """Tell whether something is within it on a day."""
        in_time = self.valid_from <= day <= self.valid_until
        return self.state == "valid" and in_time and item in self.items


class RowRefusal(FieldFault, frozen=True, kw_only=True):
    """A row of an import that was not taken."""

    line: int
    """Of the file, from 1; a header counts."""


class Import(Struct, frozen=True, kw_only=True):
    """How far an import has come."""

    id: int
    organisation: str
    form: ImportForm
    sha256: str
    rows: int
    done: int
    taken: int
    """Rows that registered or changed a cylinder."""
    unchanged: int
    refused: int
    received_at: int
    ended_at: int | None
    refusals: tuple[RowRefusal, ...] = ()
