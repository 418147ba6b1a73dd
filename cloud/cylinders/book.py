"""The cylinders: what is asked of them, and every change."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from cloud.cylinders import blocks, steps
from cloud.cylinders.base import Organisations, Registry, Wanted
from cloud.cylinders.changes import Actor, Turn, actor_of, turn
from cloud.cylinders.check import file_faults
from cloud.cylinders.facts import Changes, changed_since, read_facts
from cloud.cylinders.find import find_cylinders, history_of
from cloud.cylinders.register import FieldRefused, write_file
from cloud.cylinders.rights import (
    asset_after,
    check_filler,
    check_kind,
    check_may_register,
    known_cylinder,
)
from cloud.cylinders.rows import read_record
from cloud.model.asset import Asset
from cloud.model.cylinder import (
    SCHEME,
    Change,
    CylinderFile,
    CylinderRecord,
    Destroyed,
    FurtherCode,
    Outcome,
    Step,
)
from cloud.model.database import Database, Work
from cloud.model.principal import Granted, Scope
from cloud.model.registering import FILLER
from protocols.clock import Clock
from protocols.cylinders.base import Cylinder
from protocols.cylinders.book import RuleBook
from protocols.errors import RefuseInput

CHANGES_MAX = 5_000
"""Of one answer to `changed_since`."""
TurnWork = Callable[[Turn], Sequence[Asset]]
"""Changes cylinders; returns the assets that change with them."""


class Cylinders:
    """All cylinders, in the database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        registry: Registry,
        organisations: Organisations,
        *,
        zone: ZoneInfo,
        rules: RuleBook,
    ) -> None:
        """Make the registry; `rules`: which kinds and gases there are."""
        self._rules = rules
        self.database, self._clock, self._zone = database, clock, zone
        self._registry, self._organisations = registry, organisations

    @property
    def rules(self) -> RuleBook:
        """Which kinds, gases and reasons there are, with their words."""
        return self._rules

    # --- asking ------------------------------------------------------------------------------

    async def facts(self, code: str) -> Cylinder | None:
        """Return what bears on filling a cylinder, by its asset id; None: not registered."""
        return await self.database.read(lambda c: read_facts(c, code))

    async def changed_since(
        self,
        cursor: int,
        filler: str | None,
        limit: int = CHANGES_MAX,
        *,
        vehicles: bool = False,
    ) -> Changes:
        """Return what changed after a cursor, oldest first; 0: all there is.

        Args:
            cursor: of the answer before.
            filler: whose cylinders; None: everybody's.
            limit: at most so many cylinders, and as many that are gone.
            vehicles: also all fuel tanks of vehicles, which anybody fills.

        """
        most = min(limit, CHANGES_MAX)
        return await self.database.read(
            lambda c: changed_since(c, cursor, filler, most, vehicles=vehicles)
        )

    async def get(self, asset_id: str, scope: Scope) -> CylinderRecord:
        """Return a cylinder; RefuseInput `not_found`."""
        self.known(asset_id, scope)
        found = await self.database.read(lambda c: read_record(c, asset_id))
        if found is None:
            raise RefuseInput("not_found", f"{asset_id} has no file")
        return found

    async def find(self, scope: Scope, wanted: Wanted) -> list[CylinderRecord]:
        """Return cylinders by their codes."""
        return await self.database.read(lambda c: find_cylinders(c, scope, wanted))

    async def history(
        self, asset_id: str, scope: Scope, *, before: int | None = None, limit: int = 100
    ) -> list[Change]:
        """Return what was changed of a cylinder, the latest first; RefuseInput `not_found`."""
        self.known(asset_id, scope)
        return await self.database.read(lambda c: history_of(c, asset_id, before, limit))

    # --- changing ----------------------------------------------------------------------------

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

        Raises:
            RefuseInput: `bad_request`, `not_found`, `forbidden`, `code_taken`, `registered_twice`,
                `wrong_state`, `quota_reached`.

        """
        earlier = self._registry.peek(asset_id)
        after = asset_after(earlier, asset_id, district, file.filler)
        self.check(earlier, after, file, granted.scope)
        done = list[Outcome]()

        def work(taken: Turn) -> Sequence[Asset]:
            done.append(write_file(taken, asset_id, file))
            return [after]

        try:
            await self.write(granted, work, [*also, *self.rooms(earlier, granted.scope)])
        except FieldRefused as refused:
            self.tell_twin(refused, asset_id)
            raise
        return await self.get(asset_id, granted.scope), done[0]

    def check(self, earlier: Asset | None, after: Asset, file: CylinderFile, scope: Scope) -> None:
        """Refuse a file that its caller may not write or that is wrong by itself.

        Raises:
            RefuseInput: `bad_request`, `not_found`, `forbidden`.

        """
        check_may_register(earlier, after, file, scope)
        for fault in file_faults(file, self._rules):
            raise FieldRefused("bad_request", fault)
        if earlier is None or earlier.parties.get(FILLER) != file.filler:
            check_filler(self._organisations, file.filler)

    def rooms(self, earlier: Asset | None, scope: Scope) -> list[Work]:
        """Return what refuses a firm's new cylinders beyond its quota."""
        own = sorted(scope.organisations) if earlier is None else []
        return [self._organisations.room(one, "assets_max") for one in own]

    def tell_twin(self, refused: FieldRefused, asset_id: str) -> None:
        """Leave a finding on the cylinder that somebody tried to register once more."""
        if refused.reason == "registered_twice" and refused.twin:
            now_ms = self._clock.wall_ms()
            self._registry.add_finding(refused.twin, refused.reason, f"as {asset_id}", now_ms)

    async def take_step(
        self,
        granted: Granted,
        asset_id: str,
        step: Step,
        reason: str,
        *,
        also: Sequence[Work] = (),
    ) -> CylinderRecord:
        """Take it out of use, put it back, lose, find or purge it.

        Raises:
            RefuseInput: `not_found`, `wrong_state`.

        """
        work = partial(steps.take_step, asset_id=asset_id, step=step, reason=reason)
        return await self.on_one(granted, asset_id, work, also)

    async def transfer(
        self,
        granted: Granted,
        asset_id: str,
        to: str,
        reason: str,
        *,
        also: Sequence[Work] = (),
    ) -> None:
        """Make it another filler's, who sees it from now on; whoever gave it may not any more.

        Raises:
            RefuseInput: `not_found`, `bad_request`, `wrong_state`, `forbidden`.

        """
        earlier = self.known(asset_id, granted.scope)
        firm = not (granted.scope.everything or granted.scope.remits)
        if firm and earlier.parties.get(FILLER) not in granted.scope.organisations:
            raise RefuseInput("forbidden", "filler: its own filler hands it over")
        check_filler(self._organisations, to)

        def work(taken: Turn) -> Sequence[Asset]:
            steps.transfer(taken, asset_id, to, reason)
            return [asset_after(earlier, asset_id, None, to)]

        await self.write(granted, work, also)

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
        """End it for ever; RefuseInput `not_found`, `wrong_state`, `bad_request`."""
        self.known(asset_id, granted.scope)
        self.check_past("on", on)
        work = partial(steps.scrap, asset_id=asset_id, how=how, on=on, by=by, reason=reason)
        return await self.on_one(granted, asset_id, work, also)

    async def block(
        self, granted: Granted, asset_id: str, reason: str, *, also: Sequence[Work] = ()
    ) -> CylinderRecord:
        """Block it as an authority; RefuseInput `not_found`, `wrong_state`."""

        def work(taken: Turn) -> None:
            if not blocks.add_block(taken, asset_id, "authority", reason):
                raise RefuseInput("wrong_state", f"{asset_id} is blocked by an authority")

        return await self.on_one(granted, asset_id, work, also)

    async def lift(
        self,
        granted: Granted,
        asset_id: str,
        block_id: int,
        reason: str,
        *,
        also: Sequence[Work] = (),
    ) -> CylinderRecord:
        """Lift a block; RefuseInput `not_found`, `wrong_state`, `forbidden`."""
        asset = self.known(asset_id, granted.scope)
        any_cause = granted.principal.scope("cylinders.block").admits(asset)
        work = partial(
            blocks.lift_block,
            asset_id=asset_id,
            block_id=block_id,
            reason=reason,
            any_cause=any_cause,
        )
        record = await self.on_one(granted, asset_id, work, also)
        cause = next(one.cause for one in record.blocks if one.id == block_id)
        if not any(one.cause == cause for one in record.blocks if one.lifted_at is None):
            self._registry.resolve_finding(asset_id, cause, self._clock.wall_ms())
        return record

    async def read_together(
        self, granted: Granted, codes: Sequence[FurtherCode], *, also: Sequence[Work] = ()
    ) -> tuple[list[str], list[str]]:
        """Take codes that were read on one cylinder; where they disagree, block and tell.

        Returns the cylinders that they tell of within the caller's scope, and those of them that
        are blocked for it. Others' cylinders get a finding and are not blocked: a caller must not
        stop what is none of theirs.
        """
        told = dict[str, list[FurtherCode]]()
        mine, blocked = list[str](), list[str]()

        def work(taken: Turn) -> Sequence[Asset]:
            told.update(steps.told_by(taken.connection, codes))
            mine.extend(one for one in told if self._admits(granted.scope, one))
            if len(told) > 1:
                blocked.extend(steps.block_disagreeing(taken, told, mine))
            return []

        await self.write(granted, work, also)
        for asset_id in told if len(told) > 1 and mine else ():
            detail = steps.disagreement(told)
            self._registry.add_finding(asset_id, "codes_disagree", detail, self._clock.wall_ms())
        return mine, blocked

    def peek(self, asset_id: str) -> Asset | None:
        """Return a registered asset at once, whoever asks."""
        return self._registry.peek(asset_id)

    def known(self, asset_id: str, scope: Scope) -> Asset:
        """Return the asset of a cylinder within a scope; RefuseInput `not_found`."""
        return known_cylinder(self._registry, asset_id, scope)

    def check_kind(self, organisation: str, kind: str, field: str) -> None:
        """Refuse an organisation that is not active or of another kind; RefuseInput."""
        check_kind(self._organisations, organisation, kind, field)

    def check_past(self, field: str, day: str) -> None:
        """Refuse a day that is on no calendar or has not come yet; RefuseInput `bad_request`."""
        try:
            found = datetime.fromisoformat(day).date()
        except ValueError:
            raise RefuseInput("bad_request", f"{field}: expected a day, found {day!r}") from None
        if found > self.today():
            raise RefuseInput("bad_request", f"{field}: expected today at the latest, found {day}")

    def today(self) -> date:
        """Return the local day."""
        now = datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC)
        return now.astimezone(self._zone).date()

    async def write(self, granted: Granted, work: TurnWork, also: Sequence[Work]) -> None:
        """Change cylinders, in one transaction with the assets that change with them."""
        await self.write_as(actor_of(granted), work, also)

    async def write_as(self, actor: Actor, work: TurnWork, also: Sequence[Work]) -> None:
        """As `write`, for whoever asked earlier."""
        now_ms = self._clock.wall_ms()

        def write(connection: Connection) -> Sequence[Asset]:
            with turn(connection, actor, now_ms) as taken:
                assets = work(taken)
            return [msgspec.structs.replace(one, updated_at=now_ms) for one in assets]

        await self._registry.put_all(write, *also)

    async def on_one(
        self,
        granted: Granted,
        asset_id: str,
        work: Callable[[Turn], None],
        also: Sequence[Work],
    ) -> CylinderRecord:
        """Change one cylinder within the caller's scope; RefuseInput `not_found`."""
        self.known(asset_id, granted.scope)

        def on_turn(taken: Turn) -> Sequence[Asset]:
            work(taken)
            return []

        await self.write(granted, on_turn, also)
        return await self.get(asset_id, granted.scope)

    def _admits(self, scope: Scope, asset_id: str) -> bool:
        asset = self._registry.peek(asset_id)
        return asset is not None and asset.kind == SCHEME and scope.admits(asset)
