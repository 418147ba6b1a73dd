"""Reads the log, judges it, and stores what came of it in one transaction.

Rule state, alarms, feed items and the cursor `rules` move together, so a kill between any two
commits neither forgets nor repeats. An alert that only became pending is not worth a commit of its
own: until the next one the cursor stays behind, and the same log makes it pending again.

Values of assets are stored in rounds, in slices, each beside the cursor of that moment; merging is
idempotent, so stored values may be ahead of the cursor `rules_values` but never of `rules`. After a
start they are loaded, the log is merged silently up to `rules`, and judged from there.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from cloud.log.base import LogReader
from cloud.model.asset import LatestValue
from cloud.model.cursors import load_positions, save_positions
from cloud.model.database import Database
from cloud.model.logged import LoggedBatch, LogGroup, PlacedReadings, Positions
from cloud.model.shards import stream_of
from cloud.model.transition import Transition
from cloud.rules import store
from cloud.rules.engine import Engine
from cloud.rules.evaluate import NEVER
from cloud.rules.judge import AlertKey
from cloud.rules.rule import RuleSet
from protocols.clock import Clock
from protocols.errors import RetryLater, StopService
from protocols.records import Readings
from protocols.topics import Stream

logger = logging.getLogger("suyuan.cloud.rules")

COMMITS = "commits"
"""Stands among the cursor's partitions: how many transactions there were. It tells a commit whose
answer was lost from one that failed, and this process from another that took its place."""
READ_GROUPS = 8
REPLAY_GROUPS_MAX = 1_000
"""What was logged but not judged before a restart is judged in the order of its commits, like the
first time, up to so many groups; of a longer backlog `alarm` goes first."""
RECORDS_PER_SLICE = 100
"""So many records are judged before other work of the process gets its turn: more than are read in
one, or judging falls behind at the limit."""
ASSETS_PER_SLICE = 100
"""So many assets are stored in one transaction, few, for an alarm may have to wait for it,"""
SLICE_EVERY_MS = 200
"""and one transaction at most so often: a fleet's values are spread over seconds."""
COMMIT_EVERY_MS = 2_000
"""At least so often the cursor is stored, when it moved."""
VALUES_EVERY_MS = 60_000
"""So rarely, for a fleet's values change all the time; a start merges what was logged since."""
REST_MAX_S = 1.0
RECORD_TRIES = 3
COMMIT_TRIES = 6
AWAY_S = 1.0
"""A database server that is away is asked again so often, for as long as it takes."""


class RulesConsumer:
    """The rules as a consumer of the log.

    Args:
        log: both partitions.
        database: the state database.
        rules: what to judge by.
        clock: the cloud's clock.
        apply: carries out transitions inside the transaction that stores them.
        dead_letter: keeps a record (group, batch, index, reason) that failed three times.
        on_commit: called after each transaction with transitions.
        values_every_ms: so often a round of storing changed values begins.

    """

    def __init__(
        self,
        *,
        log: LogReader,
        database: Database,
        rules: RuleSet,
        clock: Clock,
        apply: Callable[[Connection, Sequence[Transition]], None],
        dead_letter: Callable[[LogGroup, LoggedBatch, int, str], None],
        on_commit: Callable[[], None] = lambda: None,
        values_every_ms: int = VALUES_EVERY_MS,
    ) -> None:
        self._log, self._database, self._rules, self._clock = log, database, rules, clock
        self._apply, self._dead_letter, self._on_commit = apply, dead_letter, on_commit
        self._values_every_ms = values_every_ms
        self._engine = Engine(rules)
        self._judge = self._engine.judge
        self._done: Positions = {}
        self._values_at: Positions = {}
        self._round: Positions | None = None
        self._round_left = 0
        self._round_at_ms = self._slice_at_ms = self._committed_at_ms = 0
        self._moved = False
        self._commits = 0
        self._waiting: dict[str, deque[LogGroup]] = {}
        self._replay: list[LogGroup] = []
        self._wake = asyncio.Event()
        self._oldest_ms: int | None = None

    def wake(self) -> None:
        """Say that new groups are in the log; on the loop."""
        if self._oldest_ms is None:
            self._oldest_ms = self._clock.wall_ms()
        self._wake.set()

    def latest(self, asset: str) -> dict[str, LatestValue]:
        """Return the last value of each point of an asset."""
        return self._engine.latest(asset)

    def assets_of(self, gateway: str) -> list[str]:
        """Return the assets that this gateway was the last to report."""
        return self._engine.assets_of(gateway)

    def lag_ms(self, now_ms: int) -> int:
        """Return the age of the oldest group that is not dealt with, 0 when there is none."""
        return 0 if self._oldest_ms is None else max(0, now_ms - self._oldest_ms)

    def positions(self) -> Positions:
        """Return the positions from which a restart would read: the log before may go."""
        return dict(self._values_at)

    def judged(self) -> Positions:
        """Return the positions up to which everything was judged."""
        return dict(self._done)

    # --- start --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load values and alerts and catch up silently to where judging stopped."""
        heads = await asyncio.to_thread(self._log.heads)
        self._commits = await asyncio.to_thread(
            self._database.write_now, lambda c: store.begin_reign(c, COMMITS)
        )
        await self._database.read(self._load)
        # A log put back from a copy is behind the cursors: what it takes from now on is new.
        for cursor in (self._done, self._values_at):
            for partition in cursor:
                cursor[partition] = min(cursor[partition], heads.get(partition, 0))
        for partition, end in self._done.items():
            await self._merge_silently(partition, self._values_at.get(partition, 0), end)
        self._values_at = {name: self._values_at.get(name, 0) for name in self._done | heads}
        self._replay = await self._read_replay(heads)
        now_ms = self._clock.wall_ms()
        for count, asset in enumerate(self._engine.assets()):
            self._judge.judge_idle(asset, now_ms)
            if count % ASSETS_PER_SLICE == 0:
                await asyncio.sleep(0)
        self._round_at_ms = self._committed_at_ms = now_ms
        self._wake.set()

    def _load(self, connection: Connection) -> None:
        self._done = load_positions(connection, store.RULES)
        del self._done[COMMITS]
        self._values_at = load_positions(connection, store.VALUES)
        for asset, packed in store.load_values(connection):
            self._engine.restore_values(asset, packed)
        now_ms = self._clock.wall_ms()
        for (asset, alert), packed in store.load_alerts(connection):
            rule = self._rules.by_alert.get(alert)
            if rule is not None and asset.startswith(f"{rule.kind}:"):
                state = store.unpack_alert(rule, packed)
                self._engine.restore_alert((asset, alert), state)
                continue
            firing, evidence = store.evidence_of(packed)
            if firing:
                self._judge.withdraw(asset, alert, evidence, now_ms)
            else:
                self._judge.changed[(asset, alert)] = None

    async def _merge_silently(self, partition: str, after: int, end: int) -> None:
        while after < end:
            limit = min(READ_GROUPS, end - after)
            groups = await asyncio.to_thread(self._log.read, partition, after, limit)
            if not groups:
                return
            for group in groups:
                await self._take(group, silent=True)
                after = group.position

    async def _read_replay(self, heads: Positions) -> list[LogGroup]:
        left = {name: head - self._done.get(name, 0) for name, head in heads.items()}
        if sum(left.values()) > REPLAY_GROUPS_MAX:
            return []
        groups: list[LogGroup] = []
        for name, count in left.items():
            after = self._done.get(name, 0)
            groups += await asyncio.to_thread(self._log.read, name, after, count) if count else []
        return sorted(groups, key=lambda group: (group.committed_at, group.partition))

    # --- run ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Judge what comes until cancelled.

        Raises:
            StopService: the state database stays away.

        """
        while True:
            try:
                if not await self.advance():
                    await self._rest()
            except RetryLater as error:
                logger.warning("%s", error)
                await asyncio.sleep(AWAY_S)

    async def advance(self) -> bool:
        """Judge all of `alarm`, then one group of `data`; tell whether there was anything."""
        self._wake.clear()
        if self._replay:
            await self._judge_group(self._replay.pop(0))
            return True
        asked_at_ms = self._clock.wall_ms()
        busy = await self._drain_alarm()
        group = await self._next_data()
        if group is None:
            self._judge.fire_due(asked_at_ms, self._clock.wall_ms())
            await self._commit_if_due()
        else:
            await self._judge_group(group)
        await self._store_values()
        if not (busy or group or self._wake.is_set()):
            self._oldest_ms = None
        return busy or group is not None

    async def _drain_alarm(self) -> bool:
        found = False
        for partition in self._behind("alarm"):
            more = True
            while more:
                groups = await self._read(partition)
                for group in groups:
                    await self._take(group)
                    self._done[partition], self._moved, found = group.position, True, True
                    await self._commit_if_due()
                more = len(groups) == READ_GROUPS
        return found

    async def _next_data(self) -> LogGroup | None:
        """Return the group of `data` that was committed first of all that wait."""
        for partition in self._behind("data"):
            if not self._waiting.get(partition) and (groups := await self._read(partition)):
                self._waiting[partition] = deque(groups)
        heads = [waiting[0] for waiting in self._waiting.values() if waiting]
        if not heads:
            return None
        first = min(heads, key=lambda group: group.committed_at)
        return self._waiting[first.partition].popleft()

    def _behind(self, stream: Stream) -> list[str]:
        """Return the partitions of a stream with groups that are not judged yet."""
        heads = self._log.heads()
        return [
            name
            for name in sorted(heads)
            if stream_of(name) == stream and heads[name] > self._done.get(name, 0)
        ]

    async def _read(self, partition: str) -> Sequence[LogGroup]:
        after = self._done.get(partition, 0)
        found = self._log.at_hand(partition, after, READ_GROUPS)
        if found is None:
            found = await asyncio.to_thread(self._log.read, partition, after, READ_GROUPS)
        return found

    async def _judge_group(self, group: LogGroup) -> None:
        """Judge a group, after the deadlines that fell before it was committed."""
        self._oldest_ms = group.committed_at
        self._judge.fire_due(group.committed_at - 1, self._clock.wall_ms())
        await self._commit_if_due()
        await self._take(group)
        self._done[group.partition], self._moved = group.position, True
        await self._commit_if_due()

    async def _take(self, group: LogGroup, *, silent: bool = False) -> None:
        now_ms, count = self._clock.wall_ms(), 0
        for batch in group.batches:
            trusted = not batch.spool  # what the service itself put into the log
            for number, reading in enumerate(batch.readings()):
                self._try(group, batch, number, reading, now_ms, trusted=trusted, silent=silent)
                count += 1
                if count % RECORDS_PER_SLICE == 0:
                    await asyncio.sleep(0)

    def _try(
        self,
        group: LogGroup,
        batch: LoggedBatch,
        number: int,
        reading: PlacedReadings,
        now_ms: int,
        *,
        trusted: bool,
        silent: bool,
    ) -> None:
        for _ in range(RECORD_TRIES):
            try:
                self._engine.apply(reading, now_ms, trusted=trusted, silent=silent)
                return
            except store.RECORD_FAULTS as error:
                reason = f"{type(error).__name__}: {error}"
        if not silent:
            self._dead_letter(group, batch, _index_of(batch, number), reason)

    async def _rest(self) -> None:
        now_ms = self._clock.wall_ms()
        wait_s = REST_MAX_S
        if self._judge.next_due < NEVER:
            wait_s = min(wait_s, max(0.0, (self._judge.next_due - now_ms) / 1000))
        if self._round is not None:
            wait_s = min(wait_s, SLICE_EVERY_MS / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()

    # --- storing ------------------------------------------------------------------------------

    async def _commit_if_due(self) -> None:
        late = self._clock.wall_ms() - self._committed_at_ms >= COMMIT_EVERY_MS
        if self._judge.transitions or (late and (self._moved or self._judge.changed)):
            await self._commit([])

    async def _store_values(self) -> None:
        """Store a slice of the changed values when a round is under way or due."""
        now_ms = self._clock.wall_ms()
        if self._round is None:
            nothing = not self._engine.dirty_count and self._done.items() <= self._values_at.items()
            if nothing or now_ms - self._round_at_ms < self._values_every_ms:
                return
            self._round, self._round_at_ms = dict(self._done), now_ms
            self._round_left = self._engine.dirty_count
        elif now_ms - self._slice_at_ms < SLICE_EVERY_MS:
            return
        self._slice_at_ms = now_ms
        packed = self._engine.take_dirty(min(ASSETS_PER_SLICE, self._round_left))
        self._round_left -= len(packed)
        if self._round_left > 0:
            await self._commit(packed)
            return
        await self._commit(packed, values_at=self._round)
        self._values_at |= self._round
        self._round = None

    async def _commit(
        self, packed: Sequence[tuple[str, bytes]], *, values_at: Positions | None = None
    ) -> None:
        judge, done, number = self._judge, dict(self._done), self._commits
        transitions, judge.transitions = judge.transitions, []
        changed, judge.changed = judge.changed, {}
        alerts: dict[AlertKey, bytes | None] = {}
        for key in changed:
            state = self._engine.alert(key)
            rule = self._rules.by_alert.get(key[1])
            alerts[key] = store.pack_alert(rule, state) if rule and state else None

        def work(connection: Connection) -> None:
            if not store.count_commit(connection, COMMITS, number):
                return  # it was done; only the answer got lost
            store.save_alerts(connection, alerts)
            store.save_values(connection, packed)
            save_positions(connection, store.RULES, done)
            if values_at is not None:
                save_positions(connection, store.VALUES, values_at)
            if transitions:
                self._apply(connection, transitions)

        await self._write(work)
        self._commits = number + 1
        self._moved, self._committed_at_ms = False, self._clock.wall_ms()
        if transitions:
            self._on_commit()

    async def _write(self, work: Callable[[Connection], None]) -> None:
        tries = 0
        while True:
            tries += 1
            try:
                await self._database.write(work)
                return
            except RetryLater as error:
                logger.warning("%s", error)
                await asyncio.sleep(AWAY_S)
            except OperationalError as error:
                if tries >= COMMIT_TRIES:
                    raise StopService(f"the state database cannot be written: {error}") from error
                await asyncio.sleep(0.1 * 2**tries)


def _index_of(batch: LoggedBatch, number: int) -> int:
    """Return the index among the batch's good records of its n-th readings."""
    indexes = [index for index, record in batch.taken() if isinstance(record, Readings)]
    return indexes[number]
