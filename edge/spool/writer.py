"""Commits to the spool on a thread of its own: grouped, urgent at once, deletions along with it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec

from edge.batches import Batch, Committed, Draft, Key, Lost, Span
from edge.spool.base import Spool
from protocols.clock import Clock
from protocols.errors import RetryLater, StopService

log = logging.getLogger(__name__)

DELETE_IDLE_MS = 75_000
"""Deletions wait so long for a commit to ride on, then get one of their own. Longer than the status
record takes: where little comes, a commit of their own would double what the card wears."""
RETRY_MS = 1_000
UNWRITTEN_BYTES_MAX = 4 * 1024 * 1024
"""While the disk takes nothing so much waits in memory; beyond it the oldest `data` go first, and
are declared lost once the disk is back."""


class Drafts(Protocol):
    """Where drafts come from."""

    def due_ms(self) -> int | None:
        """Return when something should be taken, ms since boot; None when nothing waits."""
        ...

    def take(self, *, everything: bool = False) -> list[Draft]:
        """Return what is due."""
        ...


class Settlements(Protocol):
    """Who knows what is to be deleted and declared, and wants to know what was committed."""

    def has_settled(self) -> bool:
        """Tell whether something is to be deleted."""
        ...

    def has_lost(self) -> bool:
        """Tell whether losses wait to be declared."""
        ...

    def take_settled(self) -> list[Span]:
        """Return what to delete."""
        ...

    def take_lost(self) -> list[Lost]:
        """Return what to declare."""
        ...

    def committed(self, made: Committed, deleted: Sequence[Span] = ()) -> None:
        """Take note of a commit."""
        ...

    def not_committed(self, deleted: Sequence[Span], lost: Sequence[Lost]) -> None:
        """Take back what a failed commit was given."""
        ...


class SpoolWriter:
    """The only one that touches the spool after it was opened."""

    def __init__(
        self,
        spool: Spool,
        *,
        drafts: Drafts,
        settlements: Settlements,
        clock: Clock,
        on_committed: Callable[[], None],
    ) -> None:
        self._spool, self._drafts, self._settlements = spool, drafts, settlements
        self._clock, self._on_committed = clock, on_committed
        self._thread = ThreadPoolExecutor(1, "spool")
        self._event = asyncio.Event()
        self._wake_ms: int | None = None
        self._unwritten: list[Draft] = []
        self._damaged = False
        self._settled_since_ms: int | None = None
        self._retry_ms = 0
        self._one_commit = asyncio.Lock()
        self.failing: str | None = None
        """Why the last commit failed, None when it did not."""
        self.counters = {"commits": 0, "commits_failed": 0, "drafts_dropped": 0}

    async def run(self) -> None:
        """Commit what is due until cancelled; a commit under way is always finished.

        Raises:
            StopService: the spool is damaged.

        """
        while True:
            await self._wait_due()
            await asyncio.shield(self.flush(everything=False))

    def changed(self) -> None:
        """Look again when something is due sooner than was thought."""
        if self._settled_since_ms is None and self._settlements.has_settled():
            self._settled_since_ms = self._clock.boot_ms()
        due_ms = self._due_ms()
        if due_ms is not None and (self._wake_ms is None or due_ms < self._wake_ms):
            self._event.set()

    async def load(self, key: Key) -> Batch | None:
        """Read a batch; None when it is gone or damaged, which the next commit declares."""
        loop = asyncio.get_running_loop()
        batch = await loop.run_in_executor(self._thread, self._spool.load, key)
        self._damaged = self._damaged or batch is None
        return batch

    async def flush(self, *, everything: bool = True) -> None:
        """Commit now; `everything`: also what is not due yet."""
        async with self._one_commit:
            self._unwritten += self._drafts.take(everything=everything)
            settled, lost = self._settlements.take_settled(), self._settlements.take_lost()
            self._settled_since_ms = None
            if self._unwritten or settled or lost or self._damaged:
                await self._commit(settled, lost)

    async def close(self) -> None:
        """Close the spool; call `flush` before."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._spool.close)
        self._thread.shutdown()

    async def _commit(self, settled: list[Span], lost: list[Lost]) -> None:
        drafts, self._damaged = self._unwritten, False
        self._unwritten = []
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(
                self._thread, self._spool.append, drafts, settled, lost
            )
        except RetryLater as error:
            self._keep(drafts, error)
            self._settlements.not_committed(settled, lost)
            return
        except StopService:  # a last commit may still succeed
            self._unwritten = drafts
            self._settlements.not_committed(settled, lost)
            raise
        self.failing = None
        self.counters["commits"] += 1
        self._settlements.committed(made, settled)
        self._on_committed()

    def _keep(self, drafts: list[Draft], error: RetryLater) -> None:
        if self.failing is None:
            log.warning("not written, trying again: %s", error)
        self.failing = str(error)
        self.counters["commits_failed"] += 1
        self._damaged = True  # whatever was to be declared still is
        self._retry_ms = self._clock.boot_ms() + RETRY_MS
        self._unwritten = drafts + self._unwritten
        self._bound_unwritten()

    def _bound_unwritten(self) -> None:
        size = sum(len(draft.records_raw) for draft in self._unwritten)
        for stream in ("data", "alarm"):
            for index, draft in enumerate(self._unwritten):
                if size <= UNWRITTEN_BYTES_MAX:
                    break
                if draft.stream == stream and draft.records_raw:
                    size -= len(draft.records_raw)
                    self._unwritten[index] = msgspec.structs.replace(draft, records_raw=b"")
                    self.counters["drafts_dropped"] += 1
        self._unwritten = _joined(self._unwritten)

    def _due_ms(self) -> int | None:
        times = [self._drafts.due_ms()]
        if self._settlements.has_lost() or self._damaged or self._unwritten:
            times.append(0)
        if self._settled_since_ms is not None:
            times.append(self._settled_since_ms + DELETE_IDLE_MS)
        due_ms = min((time for time in times if time is not None), default=None)
        return None if due_ms is None else max(due_ms, self._retry_ms)

    async def _wait_due(self) -> None:
        while True:
            self._event.clear()
            due_ms, now_ms = self._due_ms(), self._clock.boot_ms()
            if due_ms is not None and due_ms <= now_ms:
                return
            self._wake_ms = due_ms
            timeout_s = None if due_ms is None else (due_ms - now_ms) / 1000 + 0.001
            try:
                async with asyncio.timeout(timeout_s):
                    await self._event.wait()
            except TimeoutError:
                pass
            self._wake_ms = None


def _joined(drafts: list[Draft]) -> list[Draft]:
    """Join neighbours that were dropped, so that a long outage stays small in memory."""
    joined: list[Draft] = []
    for draft in drafts:
        last = joined[-1] if joined else None
        if (
            last is None
            or last.records_raw
            or draft.records_raw
            or (last.stream, last.clock) != (draft.stream, draft.clock)
        ):
            joined.append(draft)
        else:
            joined[-1] = msgspec.structs.replace(
                last,
                from_at=min(last.from_at, draft.from_at),
                to_at=max(last.to_at, draft.to_at),
                records=last.records + draft.records,
            )
    return joined
