"""The consuming part: judges what the log brings, and keeps its readings in the telemetry store.

One process consumes; further ones stand by and take its place when it gives no sign of life.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from typing import Any

from sqlalchemy import Connection

from cloud.alarms.desk import AlarmDesk
from cloud.incidents.desk import IncidentDesk
from cloud.model import ownership
from cloud.model.cursors import save_positions
from cloud.model.follower import LogFollower
from cloud.model.logged import Positions
from cloud.model.ownership import Holding, Watch
from cloud.remote import outcomes
from cloud.remote.conductor import Conductor
from cloud.roles.alarms import calls_follower, open_deadlines
from cloud.roles.common import Common
from cloud.roles.cylinders import fills_follower, observer_of_scans, reports_of
from cloud.roles.exchange import open_exchange
from cloud.roles.field import cylinder_events, field_follower
from cloud.roles.lifts import open_lift_watch
from cloud.roles.receivers import open_cap, open_couriers
from cloud.roles.rescue import open_rescue_clock
from cloud.roles.retention import RetentionPart
from cloud.roles.trace_delivery import open_deliveries
from cloud.roles.watch import open_notices, open_watch
from cloud.rules.consumer import RulesConsumer
from cloud.scans import store as scans
from cloud.telemetry.base import TelemetryStore
from cloud.telemetry.consumer import TelemetryConsumer
from protocols.errors import RetryLater, StopService

logger = logging.getLogger("suyuan.cloud")

CONSUME = "consume"
"""Name of what the consuming process owns."""
TELEMETRY = "telemetry"
"""Cursor of the telemetry store, noted for other processes; the store itself knows better."""
BEAT_S, LEASE_S = 1.0, 5.0
TRIM_S = 600.0
DAY_MS = 24 * 3600 * 1000


class ConsumeRole:
    """Log to alarms and telemetry."""

    def __init__(
        self,
        common: Common,
        desk: AlarmDesk,
        store: TelemetryStore,
        rescues: IncidentDesk,
        *,
        may_stand_by: bool,
    ) -> None:
        self._common, self._store, self._may_stand_by = common, store, may_stand_by
        self._epoch: int | None = None
        self._watch = Watch(LEASE_S)
        self._trimmed = time.monotonic()
        self._groups_gone = 0
        self._noted: Positions = {}
        self.rules = RulesConsumer(
            log=common.log,
            database=common.state_db,
            rules=common.rules(),
            clock=common.clock,
            apply=desk.apply,
            dead_letter=common.dead_letter("rules"),
            on_commit=common.feed.committed,
        )
        self._telemetry = TelemetryConsumer(
            log=common.log,
            store=store,
            clock=common.clock,
            dead_letter=common.dead_letter("telemetry"),
        )
        self._scans = LogFollower(
            name=scans.NAME,
            log=common.log,
            database=common.state_db,
            mark=scans.MARK,
            keep=scans.keep_scans,
        )
        self._replies = LogFollower(
            name=outcomes.NAME,
            log=common.log,
            database=common.state_db,
            mark=outcomes.MARK,
            keep=outcomes.take_replies,
            streams=("alarm",),
        )
        self._fills, self._observer = fills_follower(common), observer_of_scans(common)
        self._field = field_follower(common)
        self._cylinder_events, self._reports = cylinder_events(common), reports_of(common)
        self._cylinders = open_watch(common, desk)
        self._lifts = open_lift_watch(common, desk)
        self._notices = open_notices(common)
        self._rescues = open_rescue_clock(common, rescues)
        self._deadlines = open_deadlines(common, desk)
        self._test_calls = calls_follower(common, desk)
        self._conductor = Conductor(
            common.state_db,
            common.clock,
            online=lambda: {one.gateway_id for one in common.gateways.all() if one.online},
            on_change=lambda: common.remote.on_change(),  # noqa: PLW0108  # set later
        )
        self._retention = RetentionPart(
            common, {"log": self._let_go_of_log, "telemetry": self._let_go_of_readings}
        )
        self._deliveries = open_deliveries(common)
        self._exchange = open_exchange(common)
        self._cap = open_cap(common)
        self._couriers = open_couriers(common, desk, self._cap)
        common.on_log.append(self._wake)

    async def start(self) -> None:
        """Begin, if no other process consumes.

        Raises:
            StopService: one does, and this one must not stand by.

        """
        await self._common.log_db.write(lambda c: ownership.ensure(c, [CONSUME]))
        row = await self._try_to_begin()
        if self._epoch is None and not self._may_stand_by:
            raise StopService(
                f"{row.owner} consumes the log: stop it, or start this one without --role consume"
            )

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        return {"consume": self._run()}

    async def stop(self) -> None:
        """Finish the flush under way and let another process take over."""
        await self._telemetry.stop()
        if self._epoch is not None:
            held = {CONSUME: self._epoch}
            with contextlib.suppress(RetryLater):
                await self._common.log_db.write(lambda c: ownership.release(c, held))

    @property
    def active(self) -> bool:
        """Whether this process consumes, and does not stand by."""
        return self._epoch is not None

    def ready(self) -> tuple[bool, str]:
        """Tell whether this part does its work."""
        return (True, "") if self.active else (False, "standing by: another process consumes")

    def lags_ms(self) -> dict[str, int]:
        """Return the age of the oldest group that each consumer has not passed."""
        if not self.active:
            return {}
        now_ms = self._common.clock.wall_ms()
        return {"rules": self.rules.lag_ms(now_ms), "telemetry": self._telemetry.lag_ms(now_ms)}

    async def keep_house(self) -> None:
        """Move rollouts, and forget of the log what is old, now and then."""
        if not self.active:
            return
        await self._conductor.look()
        if not self._common.alone:
            await self._note_telemetry()
        if time.monotonic() - self._trimmed < TRIM_S:
            return
        retention_ms = self._common.settings.log.retention_days * DAY_MS
        await self._trim_log(self._common.clock.wall_ms() - retention_ms)

    async def _trim_log(self, before_ms: int) -> None:
        self._trimmed = time.monotonic()
        passed = [self.rules.positions(), self._telemetry.positions()]
        passed += [one.positions() for one in self._followers()]
        self._groups_gone += await self._common.log.trim(before_ms, passed)

    async def _let_go_of_log(self, before_ms: int) -> int:
        """Return how many groups went since this was asked last."""
        await self._trim_log(before_ms)
        gone, self._groups_gone = self._groups_gone, 0
        return gone

    async def _let_go_of_readings(self, before_ms: int) -> None:
        await asyncio.to_thread(self._store.drop_before, before_ms)

    async def _note_telemetry(self) -> None:
        positions = self._telemetry.positions()
        if positions != self._noted:
            await self._common.state_db.write(lambda c: save_positions(c, TELEMETRY, positions))
            self._noted = positions

    def _followers(self) -> list[LogFollower]:
        found = [self._replies, self._scans, self._fills, self._observer, self._test_calls]
        return found if self._field is None else [*found, self._field]

    async def _run(self) -> None:
        while self._epoch is None:
            await asyncio.sleep(BEAT_S)
            with contextlib.suppress(RetryLater):  # nobody can begin while the database is away
                await self._try_to_begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.rules.run(), name="rules")
            group.create_task(self._telemetry.run(), name="telemetry")
            group.create_task(self._deadlines.run(), name="deadlines of alarms")
            for follower in self._followers():
                group.create_task(follower.run(), name=follower.name)
            group.create_task(self._cylinder_events.run(), name="cylinder events")
            if self._reports is not None:
                group.create_task(self._reports.run(), name="reports")
            group.create_task(self._retention.run(), name="retention")
            group.create_task(self._deliveries.run(), name="subscriptions")
            group.create_task(self._exchange.run(), name="exchange")
            group.create_task(self._cap.run(self._common.feed), name="CAP messages")
            group.create_task(self._couriers.run(), name="receivers")
            group.create_task(self._cylinders.run(), name="watch over cylinders")
            group.create_task(self._lifts.run(), name="watch over lifts")
            group.create_task(self._notices.run(), name="notices on cylinders")
            group.create_task(self._rescues.run(), name="deadlines of rescues")
            group.create_task(self._beat(self._epoch), name="beat")

    async def _try_to_begin(self) -> Holding:
        rows = await self._common.log_db.read(ownership.read_all)
        row = next(one for one in rows if one.name == CONSUME)
        stale = self._watch.stale([row], time.monotonic())
        if row.owner in (None, self._common.name) or stale:
            name = self._common.name
            self._epoch = await self._common.log_db.write(lambda c: ownership.claim(c, row, name))
        if self._epoch is not None:
            partitions = self._common.shards.partitions()
            await asyncio.to_thread(self._common.log.refresh, partitions)
            await self.rules.start()
            await self._telemetry.start()
            for follower in self._followers():
                await follower.start()
        return row

    async def _beat(self, epoch: int) -> None:
        held = {CONSUME: epoch}

        def show(connection: Connection) -> None:
            ownership.check(connection, held)
            ownership.beat(connection, held)

        while True:
            with contextlib.suppress(RetryLater):
                await self._common.log_db.write(show)
            await asyncio.sleep(BEAT_S)

    def _wake(self) -> None:
        if self.active:
            passed = [self.rules.judged(), self._telemetry.positions()]
            passed += [one.read() for one in self._followers()]
            self._common.log.release(passed)
            self.rules.wake()
            self._telemetry.wake()
            for one in self._followers():
                one.wake()
