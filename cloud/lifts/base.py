"""What the files of lifts need of others, and what others may ask of them."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from cloud.model.asset import Asset
from cloud.model.cylinder import ImportForm
from cloud.model.cylinder_records import Import
from cloud.model.database import Work
from cloud.model.lift import (
    FoundByCode,
    Lift,
    LiftCalendar,
    LiftCase,
    LiftEntry,
    LiftRecord,
    LiftVerdict,
    WantedLifts,
)
from cloud.model.organisation import Quota
from cloud.model.principal import Granted, Scope
from protocols.lifts.catalogue import Catalogue
from protocols.lifts.chain import Kept
from protocols.lifts.records import Draft, Kinds
from protocols.lifts.watch import LiftTerms


class Registry(Protocol):
    """The assets: a lift is one of them."""

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
    """Parties are organisations."""

    def room(self, organisation_id: str, quota: Quota) -> Work:
        """Return what refuses a transaction that goes beyond a quota."""
        ...


class Lifts(Protocol):
    """The files of lifts, and their records."""

    @property
    def kinds(self) -> Kinds:
        """The kinds of records, with their words."""
        ...

    @property
    def catalogue(self) -> Catalogue:
        """The types of lifts, and the city's rescue codes."""
        ...

    def today(self) -> date:
        """Return the local day."""
        ...

    async def find(self, scope: Scope, wanted: WantedLifts) -> list[Lift]:
        """Return lifts by what is due of them, the longest overdue first."""
        ...

    async def get(self, asset_id: str, scope: Scope) -> Lift:
        """Return a lift; RefuseInput `not_found`."""
        ...

    async def by_code(self, code: str, scope: Scope) -> FoundByCode:
        """Return the lifts that a code of any kind tells of; RefuseInput `not_found`."""
        ...

    async def put(
        self, granted: Granted, asset_id: str, body: LiftEntry, *, also: Sequence[Work] = ()
    ) -> tuple[Lift, bool]:
        """Write static data; tell whether it is new.

        RefuseInput `bad_request`, `not_found`, `forbidden`, `quota_reached`.
        """
        ...

    async def record(
        self, granted: Granted, asset_id: str, draft: Draft, note: Callable[[Kept], Work]
    ) -> Kept:
        """Write an entry; `note`: writes of it into the audit, in the same transaction.

        RefuseInput `bad_request`, `not_found`, `forbidden`, `wrong_state`.
        """
        ...

    async def records(
        self,
        asset_id: str,
        scope: Scope,
        *,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[LiftRecord]:
        """Return entries, the newest first; RefuseInput `not_found`."""
        ...

    async def calendar(self, asset_id: str, scope: Scope) -> LiftCalendar:
        """Return what is due and when; RefuseInput `not_found`."""
        ...

    async def verify(self, asset_id: str, scope: Scope) -> LiftVerdict:
        """Look at the whole record; RefuseInput `not_found`."""
        ...

    async def next_inspection(self, asset_id: str) -> date | None:
        """Return by when a lift is inspected next, whoever asks; None: it cannot be told."""
        ...


class Imports(Protocol):
    """Files of many lifts."""

    async def take(
        self, granted: Granted, form: ImportForm, raw: bytes, *, also: Sequence[Work] = ()
    ) -> Import:
        """Take a file; its rows are settled later, each by itself.

        RefuseInput `bad_request`, `too_large`, `too_many_jobs`.
        """
        ...

    async def find(
        self, granted: Granted, *, before: int | None = None, limit: int = 100
    ) -> list[Import]:
        """Return the imports of the caller's organisation, the latest first."""
        ...

    async def get(self, granted: Granted, import_id: int, *, after_line: int = 0) -> Import:
        """Return one with refused rows; RefuseInput `not_found`."""
        ...


class Cases(Protocol):
    """What is overdue."""

    @property
    def terms(self) -> LiftTerms:
        """The kinds of cases, with their words."""
        ...

    async def find(
        self,
        scope: Scope,
        *,
        kind: str | None = None,
        asset_id: str | None = None,
        ended: bool = False,
        after: tuple[str, int] | None = None,
        limit: int = 100,
    ) -> list[LiftCase]:
        """Return cases by their day, the longest overdue first."""
        ...

    async def due(self, scope: Scope, wanted: WantedLifts, until: date) -> list[Lift]:
        """Return lifts of which something is due until a day."""
        ...


def noting(noted: Callable[..., Work], granted: Granted, asset_id: str) -> Callable[[Kept], Work]:
    """Return what notes an entry in the audit: its number and hash are proof of it there, too."""
    return lambda kept: noted(
        granted, f"asset:{asset_id}", what=kept.kind, entry=kept.seq, hash=kept.hash
    )


class LiftDesks(NamedTuple):
    """All that is asked of lifts."""

    lifts: Lifts
    imports: Imports
    cases: Cases
