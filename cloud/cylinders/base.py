"""What the registry of cylinders needs of others, and what others may ask of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct
from sqlalchemy import Connection

from cloud.cylinders.watch.base import Addresses, Cases
from cloud.model.asset import Asset
from cloud.model.cylinder import (
    Change,
    CylinderFile,
    CylinderRecord,
    Destroyed,
    FurtherCode,
    ImportForm,
    Outcome,
    PermitKind,
    Step,
)
from cloud.model.cylinder_fill import CylinderFill, FillDecision
from cloud.model.cylinder_records import (
    Import,
    Inspection,
    InspectionReport,
    Permit,
    PermitBody,
    VehicleFile,
    VehicleRecord,
)
from cloud.model.cylinder_report import CylinderReport
from cloud.model.database import Work
from cloud.model.organisation import Organisation, Quota
from cloud.model.principal import Granted, Scope
from protocols.cylinders.book import RuleBook


class Registry(Protocol):
    """The assets: a cylinder is one of them."""

    def peek(self, asset_id: str) -> Asset | None:
        """Return a registered asset at once."""
        ...

    async def put_all(self, work: Callable[[Connection], Sequence[Asset]], *also: Work) -> None:
        """Register the assets that `work` returns, in its transaction."""
        ...

    def add_finding(self, asset_id: str, reason: str, detail: str, at: int) -> None:
        """Count a finding on an asset."""
        ...

    def resolve_finding(self, asset_id: str, reason: str, at: int) -> None:
        """Say that somebody dealt with a finding."""
        ...


class Organisations(Protocol):
    """Fillers and inspection bodies are organisations."""

    def peek(self, organisation_id: str) -> Organisation | None:
        """Return an organisation at once."""
        ...

    def room(self, organisation_id: str, quota: Quota) -> Work:
        """Return what refuses a transaction that goes beyond a quota."""
        ...


class Wanted(Struct, frozen=True, kw_only=True):
    """Which cylinders are asked for; None and empty: any."""

    text: str | None = None
    """Its code, a further code or its serial number, whole."""
    filler: str | None = None
    district: str | None = None
    state: str | None = None
    kind: str | None = None
    gas: str | None = None
    due_before: str | None = None
    """Whose next inspection, as its body wrote it, is due before this day."""
    after: str = ""
    """Asset id of the last one of the page before."""
    limit: int = 100


class WantedFills(Struct, frozen=True, kw_only=True):
    """Which fillings are asked for; None: any."""

    asset_id: str | None = None
    filler: str | None = None
    gateway: str | None = None
    state: str | None = None
    fault: str | None = None
    known: bool | None = None
    """Whether the registry has the cylinder's file."""
    permitted: bool | None = None
    """Whether its filler had a permit for the gas on that day."""
    since: int | None = None
    """Begun then or later, ms since 1970."""
    before: tuple[int, int] | None = None
    """`began_at` and `id` of the last one of the page before."""
    limit: int = 100


class WantedDecisions(Struct, frozen=True, kw_only=True):
    """Which decisions of gates are asked for; None: any."""

    asset_id: str | None = None
    filler: str | None = None
    gateway: str | None = None
    gate: str | None = None
    decision: str | None = None
    refused: bool = False
    """Only those that keep the gun shut."""
    reason: str | None = None
    """Among its reasons."""
    since: int | None = None
    """Observed then or later, ms since 1970."""
    before: str | None = None
    """Key of the last one of the page before."""
    limit: int = 100


class Cylinders(Protocol):
    """The files. What is outside a scope is not told from what does not exist: `not_found`."""

    @property
    def rules(self) -> RuleBook:
        """Which kinds, gases and reasons there are, with their words."""
        ...

    async def get(self, asset_id: str, scope: Scope) -> CylinderRecord:
        """Return a cylinder."""
        ...

    async def find(self, scope: Scope, wanted: Wanted) -> list[CylinderRecord]:
        """Return cylinders by their asset ids."""
        ...

    async def history(
        self, asset_id: str, scope: Scope, *, before: int | None = None, limit: int = 100
    ) -> list[Change]:
        """Return what was changed of a cylinder, the latest first."""
        ...

    async def register(
        self,
        granted: Granted,
        asset_id: str,
        file: CylinderFile,
        district: str | None = None,
        *,
        also: Sequence[Work] = (),
    ) -> tuple[CylinderRecord, Outcome]:
        """Register a cylinder or change its file; `district` None: it stays where it is.

        RefuseInput `bad_request`, `forbidden`, `code_taken`, `registered_twice`, `wrong_state`,
        `quota_reached`.
        """
        ...

    async def take_step(
        self,
        granted: Granted,
        asset_id: str,
        step: Step,
        reason: str,
        *,
        also: Sequence[Work] = (),
    ) -> CylinderRecord:
        """Take it out of use, put it back, lose, find or purge it; RefuseInput `wrong_state`."""
        ...

    async def transfer(
        self,
        granted: Granted,
        asset_id: str,
        to: str,
        reason: str,
        *,
        also: Sequence[Work] = (),
    ) -> None:
        """Make it another filler's; RefuseInput `bad_request`, `wrong_state`, `forbidden`."""
        ...

    async def scrap(
        self,
        granted: Granted,
        asset_id: str,
        how: Destroyed,
        on: str,
        by: str,
        reason: str,
        *,
        also: Sequence[Work] = (),
    ) -> CylinderRecord:
        """End it for ever; RefuseInput `wrong_state`, `bad_request`."""
        ...

    async def block(
        self, granted: Granted, asset_id: str, reason: str, *, also: Sequence[Work] = ()
    ) -> CylinderRecord:
        """Block it as an authority; RefuseInput `wrong_state`."""
        ...

    async def lift(
        self,
        granted: Granted,
        asset_id: str,
        block_id: int,
        reason: str,
        *,
        also: Sequence[Work] = (),
    ) -> CylinderRecord:
        """Lift a block; RefuseInput `wrong_state`, `forbidden`."""
        ...

    async def read_together(
        self, granted: Granted, codes: Sequence[FurtherCode], *, also: Sequence[Work] = ()
    ) -> tuple[list[str], list[str]]:
        """Take codes that were read on one cylinder; where they disagree, block and tell.

        Returns the cylinders that they tell of within the caller's scope, and those of them that
        are blocked for it.
        """
        ...


class Inspections(Protocol):
    """The inspections."""

    async def of(self, asset_id: str, scope: Scope) -> list[Inspection]:
        """Return the inspections of a cylinder, the latest first."""
        ...

    async def record(
        self,
        granted: Granted,
        asset_id: str,
        report: InspectionReport,
        body: str,
        *,
        also: Sequence[Work] = (),
    ) -> CylinderRecord:
        """Record an inspection by a body that is approved for it.

        RefuseInput `bad_request`, `forbidden` without an approval, `wrong_state` where the life was
        extended before, `already_there`.
        """
        ...

    async def withdraw(
        self,
        granted: Granted,
        asset_id: str,
        inspection_id: int,
        reason: str,
        *,
        also: Sequence[Work] = (),
    ) -> CylinderRecord:
        """Take one back that was recorded by mistake; RefuseInput `forbidden`, `wrong_state`."""
        ...


class Vehicles(Protocol):
    """The vehicles that carry cylinders as their fuel tanks."""

    async def get(self, vehicle_id: str, scope: Scope) -> VehicleRecord:
        """Return a vehicle."""
        ...

    async def put(
        self, granted: Granted, vehicle_id: str, file: VehicleFile, *, also: Sequence[Work] = ()
    ) -> tuple[VehicleRecord, bool]:
        """Register or change one, and tell whether it is new; RefuseInput `bad_request`."""
        ...


class Permits(Protocol):
    """Permits of filling units, and approvals of inspection bodies."""

    async def find(
        self, *, organisation: str | None = None, kind: PermitKind | None = None
    ) -> list[Permit]:
        """Return permits; they are no secret."""
        ...

    async def put(
        self,
        granted: Granted,
        organisation: str,
        kind: PermitKind,
        number: str,
        body: PermitBody,
        *,
        also: Sequence[Work] = (),
    ) -> Permit:
        """Write a permit of an organisation within the scope; RefuseInput `bad_request`."""
        ...


class Imports(Protocol):
    """Files of many cylinders."""

    async def take(
        self, granted: Granted, form: ImportForm, raw: bytes, *, also: Sequence[Work] = ()
    ) -> Import:
        """Take a file; its rows are settled beside the call.

        The same file again, while it is being settled, is the same import. RefuseInput
        `bad_request`, `too_large`, `too_many_jobs`.
        """
        ...

    async def find(
        self, granted: Granted, *, before: int | None = None, limit: int = 100
    ) -> list[Import]:
        """Return the imports of the caller's organisation, the latest first."""
        ...

    async def get(self, granted: Granted, import_id: int, *, after_line: int = 0) -> Import:
        """Return an import with rows that it refused, from after a line; RefuseInput."""
        ...


class Fills(Protocol):
    """What gates filled."""

    async def find(self, scope: Scope, wanted: WantedFills) -> list[CylinderFill]:
        """Return fillings, the latest begun first."""
        ...

    async def decisions(self, scope: Scope, wanted: WantedDecisions) -> list[FillDecision]:
        """Return what gates decided, the latest first; RefuseInput `bad_request`: no such key."""
        ...


class Reports(Protocol):
    """What the regulator was told."""

    async def find(
        self,
        scope: Scope,
        *,
        state: str | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[CylinderReport]:
        """Return messages, the latest made first."""
        ...


class Sheets(Protocol):
    """What devices without rules of their own show of cylinders."""

    async def find(
        self, scope: Scope, filler: str, *, text: str | None, after: str, limit: int
    ) -> Sequence[Struct]:
        """Return sheets by asset ids, those after `after`; `text`: a code, whole."""
        ...


class CylinderDesks(Struct, frozen=True):
    """One desk for each kind of thing."""

    cylinders: Cylinders
    inspections: Inspections
    vehicles: Vehicles
    permits: Permits
    imports: Imports
    fills: Fills
    reports: Reports
    cases: Cases
    addresses: Addresses
    sheets: Sheets
