"""A watch over a registry of cylinders, with an alarm desk, and what gateways tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec.structs import replace
from sqlalchemy import select

from cloud.alarms.desk import AlarmDesk
from cloud.cylinders.fills import FillKeeper
from cloud.cylinders.watch.alarms import CaseAlarms
from cloud.cylinders.watch.desk import CaseDesk
from cloud.cylinders.watch.runner import CylinderWatch
from cloud.cylinders.watch.stations import note_snapshot
from cloud.feed.store import FeedStore
from cloud.model.alarm import Alarm
from cloud.model.logged import LoggedBatch
from cloud.model.tables import alarm, feed
from cloud.model.watch_tables import cylinder_case
from cloud.scans.store import keep_scans
from protocols.catalog.files import data_root
from protocols.cylinders.load import load_rules
from protocols.cylinders.watch import load_watch
from protocols.records import Code, Record, Scan
from tests.support.cylinders import ZONE, Yard
from tests.support.log_groups import batch

BOOK, WATCH = load_rules(data_root() / "cylinders"), load_watch()


@dataclass
class Post:
    """A watch at work."""

    yard: Yard
    watch: CylinderWatch = field(init=False)
    desk: AlarmDesk = field(init=False)
    lists: CaseDesk = field(init=False)
    _seq: int = 0

    def __post_init__(self) -> None:
        """Begin to watch."""
        self.restart()

    def restart(self, **terms: Any) -> None:
        """Forget all that is in memory."""
        database, clock = self.yard.database, self.yard.clock
        store = FeedStore(database, clock)
        self.desk = AlarmDesk(
            database=database, clock=clock, append_feed=store.append, on_commit=store.committed
        )
        watch = replace(WATCH, **terms)
        alarms = CaseAlarms(watch, self.desk.apply)
        self.watch = CylinderWatch(
            database,
            clock,
            zone=ZONE,
            watch=watch,
            book=BOOK,
            alarms=alarms,
            on_commit=store.committed,
        )
        self.lists = CaseDesk(
            database, clock, zone=ZONE, watch=watch, alarms=alarms, on_commit=store.committed
        )

    def batch(self, *records: Record, gateway: str = "gw-1") -> LoggedBatch:
        """Return a batch as the log has it, received now."""
        self._seq += 1
        made = batch(*records, seq=self._seq)
        return replace(made, gateway=gateway, received_at=self.yard.clock.wall_ms())

    def take(self, batches: Iterable[LoggedBatch]) -> None:
        """Keep what is in batches, as the followers of the log do."""
        keeper = FillKeeper(self.yard.clock, zone=ZONE, count=lambda _: None)
        for one in batches:
            self.yard.database.write_now(partial(keeper.keep, batches=[one]))
            self.yard.database.write_now(partial(keep_scans, batches=[one]))

    async def tell(self, *records: Record, gateway: str = "gw-1") -> None:
        """Take records of a gateway, and look."""
        self.take([self.batch(*records, gateway=gateway)])
        await self.watch.look()

    async def later(self, hours: float) -> None:
        """Let time pass, and look."""
        self.yard.clock.advance(round(hours * 3_600_000))
        await self.watch.look()

    def snapshot(self, gateway: str, number_ms: int, station: str = "gas-a") -> None:
        """Let a gateway ask with a snapshot of a moment."""
        now_ms, number = self.yard.clock.wall_ms(), number_ms // 1_000
        self.yard.database.write_now(lambda c: note_snapshot(c, gateway, station, number, now_ms))

    def cases(self, *, ended: bool = False) -> list[tuple[str, str]]:
        """Return kind and subject of what stands on the lists, or stood."""
        return [(row["kind"], row["subject"]) for row in self.rows() if ended or row["open"]]

    def rows(self) -> list[dict[str, Any]]:
        """Return all cases."""
        query = select(cylinder_case).order_by(cylinder_case.c.id)
        found = self.yard.database.read_now(lambda c: c.execute(query).mappings().all())
        return [dict(row) for row in found]

    async def alarms(self) -> Sequence[Alarm]:
        """Return all alarms."""
        return await self.desk.find()

    def feed_items(self) -> int:
        """Count what went out on the feed."""
        return len(self.yard.database.read_now(lambda c: c.execute(select(feed)).all()))

    def alarm_rows(self) -> int:
        """Count the alarms that ever were."""
        return len(self.yard.database.read_now(lambda c: c.execute(select(alarm)).all()))


def scan(at: int, *codes: tuple[str, str], step: str | None = "filling", **fields: Any) -> Scan:
    """Return a reading."""
    told = [Code(scheme, value) for scheme, value in codes]
    return Scan(reader="reader-1", at=at, codes=told, step=step, **fields)
