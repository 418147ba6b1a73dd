"""Reads the log and keeps its readings in the telemetry store.

All blocking calls run on one thread of the consumer's own. The store knows what it holds, so each
round begins at the store's positions: a restart, an error and a rebuild all go on the same way.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from cloud.log.base import LogReader
from cloud.model.logged import LoggedBatch, LogGroup, Positions
from cloud.telemetry.base import Refused, RefuseRecord, TelemetryStore
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger("suyuan.cloud.telemetry")

T = TypeVar("T")
DeadLetterBox = Callable[[LogGroup, LoggedBatch, int, str], None]
"""(group, batch, index of the record or -1 for the whole batch, reason); blocking."""

GROUPS_PER_READ = 50
"""Of one partition; the next round reads on at once."""
FLUSH_S = 0.5
"""What is settled shows within 1 s; a flush costs about the same whatever it holds."""
BYTES_PER_FLUSH = 8 * 1024 * 1024
"""A flush ends with the group that goes beyond this many bytes of records."""
TRIES = 3
POLL_S = 1.0
"""Looks so often into the log though nobody woke it."""
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.2, 10.0
_BAD_INPUT = (
    RefuseInput,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)
"""What a group may do to a store for good; anything else is no fault of the group."""


class TelemetryConsumer:
    """One per store; `start`, then `run` until cancelled, then `stop`."""

    def __init__(
        self,
        *,
        log: LogReader,
        store: TelemetryStore,
        clock: Clock,
        dead_letter: DeadLetterBox,
        flush_interval_s: float = FLUSH_S,
    ) -> None:
        self._log, self._store, self._clock = log, store, clock
        self._dead_letter, self._interval_s = dead_letter, flush_interval_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telemetry")
        self._wake = asyncio.Event()
        self._lock = threading.Lock()
        self._begun = False
        self._positions: Positions = {}
        self._settled: Positions = {}
        self._waiting_since = clock.wall_ms()
        """No group before this time is unprocessed; kept while a group waits."""

    async def start(self) -> None:
        """Learn from where to read; a log that was put back is told to the store.

        A store that is away learns it later, before anything else.
        """
        try:
            await self._call(self._begin)
        except RetryLater as error:
            logger.warning("telemetry is away: %s", error)

    async def run(self) -> None:
        """Store what the log brings until cancelled; what is under way is finished by `stop`."""
        loop, backoff_s = asyncio.get_running_loop(), BACKOFF_MIN_S
        while True:
            self._wake.clear()
            started = loop.time()
            try:
                more = await self._call(self._flush)
                backoff_s = BACKOFF_MIN_S
            except RetryLater as error:
                logger.warning("telemetry waits %.1f s: %s", backoff_s, error)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
                continue
            if not more:
                await self._pause(started + self._interval_s - loop.time())

    async def stop(self) -> None:
        """Wait for the flush under way and end the thread."""
        await asyncio.to_thread(self._thread.shutdown)

    def wake(self) -> None:
        """New groups are in the log; call it on the loop."""
        self._wake.set()

    def positions(self) -> Positions:
        """Return up to where everything is stored durably; the log may forget that."""
        with self._lock:
            return dict(self._settled)

    def lag_ms(self, now_ms: int) -> int:
        """Return the age of the oldest group that is not stored, 0 when there is none."""
        heads = self._log.heads()
        with self._lock:
            if all(self._positions.get(name, 0) >= head for name, head in heads.items()):
                return 0
            return max(0, now_ms - self._waiting_since)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _pause(self, rest_s: float) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return
        if rest_s > 0:
            await asyncio.sleep(rest_s)

    def _begin(self) -> None:
        self._store.rewind(self._log.heads())
        self._begun = True
        self._look()

    def _look(self) -> Positions:
        positions = self._store.positions()
        with self._lock:
            self._positions, self._settled = positions, self._store.settled()
        return positions

    def _flush(self) -> bool:
        """Store the next groups; True: there are more."""
        if not self._begun:
            self._begin()
        now_ms, heads = self._clock.wall_ms(), self._log.heads()
        positions = self._look()
        groups = list(self._next_groups(heads, positions, now_ms))
        with self._lock:
            self._waiting_since = min((group.committed_at for group in groups), default=now_ms)
        if groups:
            self._bury(self._append(groups))
            positions = self._look()
        return any(positions.get(name, 0) < head for name, head in heads.items())

    def _next_groups(
        self, heads: Positions, positions: Positions, now_ms: int
    ) -> Iterator[LogGroup]:
        """Yield groups in order, up to the bounds; `alarm` before `data`, by name."""
        room = BYTES_PER_FLUSH
        for partition in sorted(heads):
            after, head = positions.get(partition, 0), heads[partition]
            if after >= head:
                continue
            found = self._log.read(partition, after, GROUPS_PER_READ)
            if not found:  # the log forgot them, and nothing after them is left
                yield LogGroup(partition=partition, position=head, committed_at=now_ms, batches=())
            for group in found:
                if room < 0:
                    return
                room -= sum(len(batch.records_raw) for batch in group.batches)
                yield group

    def _append(self, groups: Sequence[LogGroup]) -> list[Refused]:
        try:
            return list(self._store.append(groups))
        except _BAD_INPUT as error:
            logger.warning("a flush failed, its groups are tried one by one: %r", error)
        return [refused for group in groups for refused in self._append_one(group)]

    def _append_one(self, group: LogGroup) -> Sequence[Refused]:
        """Store one group; what fails three times goes to the dead letters, the rest is stored."""
        while True:
            error = self._try(group)
            if not isinstance(error, Exception):
                return error
            culprit = _culprit(group, error)
            if culprit is not None:
                batch, index = culprit
                self._dead_letter(group, batch, index, str(error)[:300])
                group = _without(group, batch, index)
            elif group.batches:
                for batch in group.batches:
                    self._dead_letter(group, batch, -1, repr(error)[:300])
                group = msgspec.structs.replace(group, batches=())
            else:
                raise RetryLater(f"the store refuses an empty group: {error!r}") from error

    def _try(self, group: LogGroup) -> Sequence[Refused] | Exception:
        failed: Exception = RetryLater("not tried")
        for _ in range(TRIES):
            try:
                return self._store.append([group])
            except _BAD_INPUT as error:
                failed = error
        return failed

    def _bury(self, refused: Sequence[Refused]) -> None:
        for one in refused:
            self._dead_letter(one.group, one.batch, one.index, one.reason)


def _culprit(group: LogGroup, error: Exception) -> tuple[LoggedBatch, int] | None:
    """Return the batch and record that an error names, if it can be taken out of the group."""
    if isinstance(error, RefuseRecord) and any(one is error.batch for one in group.batches):
        in_vain = error.index in error.batch.set_aside
        return error.batch, -1 if in_vain else error.index
    return None


def _without(group: LogGroup, batch: LoggedBatch, index: int) -> LogGroup:
    """Return the group without a record, or without the whole batch when `index` is -1."""
    rest: tuple[LoggedBatch, ...] = ()
    if index >= 0:
        rest = (msgspec.structs.replace(batch, set_aside=(*batch.set_aside, index)),)
    parts = [rest if one is batch else (one,) for one in group.batches]
    return msgspec.structs.replace(group, batches=tuple(one for part in parts for one in part))
