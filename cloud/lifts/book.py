"""The lifts: what is asked of them, their files, and every entry of their records."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, select

from cloud.lifts.append import Author, Recorder
from cloud.lifts.base import Organisations, Registry
from cloud.lifts.check import verify_lift
from cloud.lifts.find import find_lifts, find_records, lifts_by_code
from cloud.lifts.findings import Findings
from cloud.lifts.rights import asset_after, check_may_record, known_lift
from cloud.lifts.rows import find_row, lift_of, parties_of, plan_of
from cloud.model.asset import Asset
from cloud.model.database import Database, Work
from cloud.model.lift import (
    FoundByCode,
    Lift,
    LiftCalendar,
    LiftEntry,
    LiftRecord,
    LiftVerdict,
    WantedLifts,
)
from cloud.model.lift_tables import lift_record
from cloud.model.principal import Granted, Scope
from protocols.clock import Clock
from protocols.errors import RefuseInput
from protocols.lifts.base import LiftFile
from protocols.lifts.catalogue import Catalogue
from protocols.lifts.chain import WITHDRAWAL, Kept
from protocols.lifts.records import Draft, Kinds, RecordKind
from protocols.lifts.rules import CalendarRules
from protocols.signed import Sign, Verify

INSPECTIONS = ("periodic", "self_test", "restart", "reinspection")


class LiftBook:
    """All lifts, in the database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        registry: Registry,
        organisations: Organisations,
        *,
        zone: ZoneInfo,
        kinds: Kinds,
        rules: CalendarRules,
        catalogue: Catalogue,
        sign: Sign,
        keys: Callable[[], Collection[bytes]],
        verify: Verify,
        fits: Callable[[str, str], bool],
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            registry: of assets.
            organisations: for their quotas.
            zone: in which days are counted.
            kinds: of records.
            rules: of calendars.
            catalogue: of types.
            sign: signs entries.
            keys: raw public keys that are ours, or were.
            verify: Ed25519.
            fits: tells whether a code is as the codes of a scheme are.

        """
        self.database, self._clock, self._zone = database, clock, zone
        self._registry, self._organisations = registry, organisations
        self.kinds, self.rules, self.catalogue = kinds, rules, catalogue
        self._keys, self._verify = keys, verify
        self.recorder = Recorder(
            kinds=kinds, rules=rules, sign=sign, today=self.today, now_ms=clock.wall_ms
        )
        self._findings = Findings(database, registry, catalogue, clock, fits)

    def today(self) -> date:
        """Return the local day."""
        now = datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC)
        return now.astimezone(self._zone).date()

    # --- asking ------------------------------------------------------------------------------

    async def find(self, scope: Scope, wanted: WantedLifts) -> list[Lift]:
        """Return lifts by what is due of them, the longest overdue first."""
        return await self.database.read(lambda c: find_lifts(c, scope, wanted))

    async def get(self, asset_id: str, scope: Scope) -> Lift:
        """Return a lift; RefuseInput `not_found`."""
        known_lift(self._registry, asset_id, scope)

        def read(connection: Connection) -> Lift:
            row = find_row(connection, asset_id)
            if row is None:
                raise RefuseInput("not_found", f"{asset_id} has no file")
            return lift_of(row, parties_of(connection, [asset_id])[asset_id])

        return await self.database.read(read)

    async def by_code(self, code: str, scope: Scope) -> FoundByCode:
        """Return the lifts that a code of any kind tells of; RefuseInput `not_found`."""
        found = await self.database.read(lambda c: lifts_by_code(c, code, scope))
        if not found:
            raise RefuseInput("not_found", f"no lift with code {code[:64]!r}")
        return FoundByCode(code=code, lifts=tuple(found))

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
        known_lift(self._registry, asset_id, scope)
        return await self.database.read(
            lambda c: find_records(c, asset_id, self.kinds, kind=kind, before=before, limit=limit)
        )

    async def calendar(self, asset_id: str, scope: Scope) -> LiftCalendar:
        """Return what is due and when; RefuseInput `not_found`."""
        known_lift(self._registry, asset_id, scope)
        today = self.today()

        def read(connection: Connection) -> LiftCalendar:
            row = find_row(connection, asset_id)
            if row is None:
                raise RefuseInput("not_found", f"{asset_id} has no file")
            made = plan_of(row, self.rules, today)
            return LiftCalendar(asset_id=asset_id, today=today.isoformat(), plan=made)

        return await self.database.read(read)

    async def verify(self, asset_id: str, scope: Scope) -> LiftVerdict:
        """Look at the whole record; RefuseInput `not_found`."""
        known_lift(self._registry, asset_id, scope)
        keys = self._keys()

        def read(connection: Connection) -> LiftVerdict:
            row = find_row(connection, asset_id)
            if row is None:
                raise RefuseInput("not_found", f"{asset_id} has no file")
            return verify_lift(connection, row, self.kinds, keys, self._verify)

        return await self.database.read(read)

    async def next_inspection(self, asset_id: str) -> date | None:
        """Return by when a lift is inspected next, whoever asks; None: it cannot be told."""
        row = await self.database.read(lambda c: find_row(c, asset_id))
        if row is None:
            return None
        duties = plan_of(row, self.rules, self.today()).duties
        left = [one for one in duties if one.state in ("overdue", "open", "ahead")]
        return next((one.due_on for one in left if one.kind in INSPECTIONS), None)

    # --- changing ----------------------------------------------------------------------------

    async def put(
        self, granted: Granted, asset_id: str, body: LiftEntry, *, also: Sequence[Work] = ()
    ) -> tuple[Lift, bool]:
        """Write static data; tell whether it is new; RefuseInput."""
        earlier = self._registry.peek(asset_id)
        after, file = self.prepared(granted, asset_id, body)
        done, before = list[bool](), await self.rescue_code(asset_id)

        def write(connection: Connection) -> Sequence[Asset]:
            done.append(self.recorder.write_file(connection, asset_id, file))
            return [self.stamped(after)]

        await self._registry.put_all(write, *also, *self.rooms(earlier, granted.scope))
        await self._findings.tell(asset_id, file, before)
        return await self.get(asset_id, granted.scope), done[-1]

    def prepared(self, granted: Granted, asset_id: str, body: LiftEntry) -> tuple[Asset, LiftFile]:
        """Return what will be written; RefuseInput `bad_request`, `not_found`, `forbidden`."""
        file = body.file()
        for field, expected, found in self.catalogue.faults(file):
            raise RefuseInput("bad_request", f"{field}: expected {expected}, found {found}")
        for name in ("manufactured_on", "installed_on", "supervised_on", "inspected_on"):
            day = getattr(file, name)
            if day is not None and day > self.today():
                raise RefuseInput(
                    "bad_request", f"{name}: expected today at the latest, found {day}"
                )
        return asset_after(self._registry.peek(asset_id), asset_id, body, granted), file

    def peek(self, asset_id: str) -> Asset | None:
        """Return a registered asset at once, whoever asks."""
        return self._registry.peek(asset_id)

    async def write_assets(
        self, work: Callable[[Connection], Sequence[Asset]], also: Sequence[Work]
    ) -> None:
        """Register the assets that `work` returns, in its transaction."""
        await self._registry.put_all(work, *also)

    def stamped(self, asset: Asset) -> Asset:
        """Return an asset as changed now."""
        return msgspec.structs.replace(asset, updated_at=self._clock.wall_ms())

    def rooms(self, earlier: Asset | None, scope: Scope) -> list[Work]:
        """Return what refuses a firm's new lifts beyond its quota."""
        own = sorted(scope.organisations) if earlier is None else []
        return [self._organisations.room(one, "assets_max") for one in own]

    async def rescue_code(self, asset_id: str) -> str:
        """Return the rescue code of a lift; empty: it has none."""
        row = await self.database.read(lambda c: find_row(c, asset_id))
        return row["rescue_code"] if row is not None else ""

    async def told(self, asset_id: str, file: LiftFile, before: str) -> None:
        """Leave findings on a lift whose file was written, and on others with its rescue code."""
        await self._findings.tell(asset_id, file, before)

    async def record(
        self, granted: Granted, asset_id: str, draft: Draft, note: Callable[[Kept], Work]
    ) -> Kept:
        """Write an entry; RefuseInput."""
        asset = known_lift(self._registry, asset_id, granted.scope)
        kind = self.recorder.check(draft)
        of = await self._kind_of(asset_id, draft, kind)
        check_may_record(granted, asset, kind, of)
        author = Author(granted.principal.id, granted.principal.organisation or "")

        def write(connection: Connection) -> Kept:
            kept = self.recorder.append(connection, asset_id, draft, author)
            note(kept)(connection)
            return kept

        kept = await self.database.write(write)
        if kept.kind in ("scrap", WITHDRAWAL):
            row = await self.database.read(lambda c: find_row(c, asset_id))
            await self._findings.tell_code(row["rescue_code"] if row is not None else "")
        return kept

    async def _kind_of(self, asset_id: str, draft: Draft, kind: RecordKind) -> RecordKind:
        """Return the kind by whose call an entry is written: a withdrawal's is its target's."""
        if kind.about != "withdraws":
            return kind
        column = lift_record.c
        query = select(column.kind).where(column.asset_id == asset_id, column.seq == draft.about)
        target = await self.database.read(lambda c: c.execute(query).scalar())
        return self.kinds.get(target or "", kind)
