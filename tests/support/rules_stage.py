"""The rules with real desk, feed and database on a log in memory that a test writes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from cloud.alarms.desk import AlarmDesk
from cloud.feed.store import FeedStore
from cloud.model.database import Database, Work
from cloud.model.logged import LoggedBatch, LogGroup, Placing, Positions
from cloud.rules.consumer import RulesConsumer
from cloud.rules.load import load_rules
from cloud.rules.rule import RuleSet
from protocols.clock import ManualClock
from protocols.readings import Value
from protocols.records import Readings, Record, encode_records
from protocols.topics import Stream
from tests.support.state_database import open_state

ALARM, DATA = "all/alarm", "all/data"
SPOOL = "ab" * 16
LIFT = "elevator:L1"


class MemoryLog:
    """A log whose groups are there as soon as they are written."""

    def __init__(self) -> None:
        self.groups: dict[str, list[LogGroup]] = {ALARM: [], DATA: []}
        self.reads: list[str] = []

    def write(self, partition: str, committed_at: int, *batches: LoggedBatch) -> LogGroup:
        """Append one group."""
        groups = self.groups[partition]
        group = LogGroup(
            partition=partition,
            position=len(groups) + 1,
            committed_at=committed_at,
            batches=batches,
        )
        groups.append(group)
        return group

    def read(self, partition: str, after: int, limit: int) -> Sequence[LogGroup]:
        """Return groups in order."""
        self.reads.append(partition)
        return self.groups[partition][after : after + limit]

    def at_hand(self, partition: str, after: int, limit: int) -> Sequence[LogGroup] | None:
        return self.read(partition, after, limit)

    def heads(self) -> Positions:
        """Return the newest positions."""
        return {name: len(groups) for name, groups in self.groups.items() if groups}


class Killed(Exception):
    """The process ended here."""


class MortalDatabase(Database):
    """A database whose process can be killed before or after its n-th write."""

    writes = 0
    kill_before: int | None = None
    kill_after: int | None = None

    async def write(self, work: Callable[[Connection], Any], *also: Work) -> Any:
        """Write, or die."""
        self.writes += 1
        if self.writes == self.kill_before:
            raise Killed
        result = await super().write(work, *also)
        if self.writes == self.kill_after:
            raise Killed
        return result


class RulesStage:
    """One process after the other on the same log and database."""

    def __init__(self, url: str, rules: RuleSet | None = None) -> None:
        open_state(url).close()
        self.database = MortalDatabase(url, name="state")
        self.log, self.clock = MemoryLog(), ManualClock()
        self.rules = rules or load_rules()
        self.start_ms = self.clock.wall_ms()
        self.dead: list[tuple[str, int, int, str]] = []
        self._seq = 0
        self.restart()

    def restart(self) -> None:
        """Make a new process; the old one is simply gone."""
        self.feed = FeedStore(self.database, self.clock)
        self.desk = AlarmDesk(
            database=self.database,
            clock=self.clock,
            append_feed=self.feed.append,
            on_commit=self.feed.committed,
        )
        self.rules_consumer = RulesConsumer(
            log=self.log,
            database=self.database,
            rules=self.rules,
            clock=self.clock,
            apply=self.desk.apply,
            dead_letter=lambda group, batch, index, reason: self.dead.append(
                (group.partition, group.position, index, reason)
            ),
            on_commit=self.feed.committed,
            values_every_ms=5_000,  # so that kills fall into such rounds
        )

    async def settle(self) -> None:
        """Let the consumer do all that there is to do now."""
        while await self.rules_consumer.advance():
            pass

    async def pass_to(self, second: float) -> None:
        """Let time pass to `second` after the start, doing what falls due."""
        self.clock.advance(self.start_ms + round(second * 1000) - self.clock.wall_ms())
        await self.settle()

    def batch(
        self,
        asset: str,
        at: Sequence[float],
        values: Mapping[str, Sequence[Value]],
        *,
        stream: Stream = "data",
        gateway: str = "gw-1",
        placing: Placing = "as_sent",
        more: Sequence[Record] = (),
        spool: str = SPOOL,
    ) -> LoggedBatch:
        """Make a batch of one record; `at` in seconds after the start."""
        self._seq += 1
        record = Readings(
            asset=asset,
            at=[self.start_ms + round(second * 1000) for second in at],
            values={name: list(column) for name, column in values.items()},
        )
        return LoggedBatch(
            gateway=gateway,
            spool=spool,
            stream=stream,
            seq=self._seq,
            boot_id="boot",
            clock="synced",
            received_at=self.clock.wall_ms(),
            placing=placing,
            records_raw=encode_records([record, *more]),
        )

    def say(
        self,
        values: Mapping[str, Value],
        *,
        asset: str = LIFT,
        at: float | None = None,
        urgent: bool = False,
        gateway: str = "gw-1",
    ) -> None:
        """Log one reading, observed now or at a second after the start."""
        now_ms = self.clock.wall_ms()
        second = (now_ms - self.start_ms) / 1000 if at is None else at
        stream: Stream = "alarm" if urgent else "data"
        own = asset.startswith(("gateway:", "service:"))
        batch = self.batch(
            asset,
            [second],
            {name: [value] for name, value in values.items()},
            stream=stream,
            gateway=gateway,
            spool="" if own else SPOOL,
        )
        self.log.write(ALARM if urgent else DATA, now_ms, batch)
        self.rules_consumer.wake()

    async def told(self, *names: str) -> list[tuple[Any, ...]]:
        """Return chosen fields of all items of the feed, in order."""
        items = await self.feed.read(0, 1000)
        offsets = [item.offset for item in items]
        assert offsets == list(range(1, len(offsets) + 1))
        found = [msgspec.json.decode(item.data) for item in items]
        return [tuple(one[name] for name in names) for one in found]
