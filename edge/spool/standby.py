"""The spool of a gateway whose card fails: in memory for as long as the disk takes nothing.

What is spooled in memory has a spool id of its own. When the disk takes something again, all of it
moves there with its keys; what the disk held before is sent on by a new start (`StopService`).
"""

import logging
from collections.abc import Callable, Sequence

from edge.batches import Batch, Committed, Declared, Draft, Key, Line, Lost, Span
from edge.spool.core import SpoolCore
from protocols.clock import Clock
from protocols.errors import RetryLater, StopService
from protocols.ranges import RangeSet

log = logging.getLogger(__name__)

STANDBY_AFTER_MS = 3_000
"""A disk that has taken nothing for so long is done without: alarms must go out."""
LOOK_AGAIN_MS = 5_000

Open = Callable[[], SpoolCore]


class StandbySpool:
    """A spool on disk, and one in memory that stands in for it."""

    def __init__(self, *, disk: Open, memory: Open, clock: Clock) -> None:
        """Open the one on disk, or the one in memory when the disk takes nothing.

        Args:
            disk: opens the spool on disk; raises RetryLater when that cannot be.
            memory: makes an empty spool in memory, under another id each time.
            clock: when to look for the disk again.

        """
        self._open_disk, self._open_memory, self._clock = disk, memory, clock
        self._disk: SpoolCore | None = None
        self._memory: SpoolCore | None = None
        self._failing_since_ms: int | None = None
        self._look_again_ms = clock.boot_ms() + LOOK_AGAIN_MS
        self._settled_on_disk: dict[Line, RangeSet] = {}
        self._reopened = False
        self._moved = Committed()
        try:
            self._disk = disk()
        except RetryLater as error:
            self._stand_in(error)
        self._id = self._both()[0].id

    @property
    def id(self) -> str:
        """The spool id of this start."""
        return self._id

    @property
    def in_memory(self) -> bool:
        """Tell whether what is committed now is lost by a power cut."""
        return self._memory is not None

    def append(
        self, drafts: Sequence[Draft], settled: Sequence[Span] = (), lost: Sequence[Lost] = ()
    ) -> Committed:
        """Commit, to the disk if it can be (see `Spool`).

        Raises:
            RetryLater: the disk does not take it, and has not been failing for long.
            StopService: the disk is back with batches that only a new start sends on. Nothing is
                committed; the same call commits when it is made again.

        """
        self._look_for_disk()
        if self._reopened and self._memory is None:
            self._reopened = False
            raise StopService("the disk is back with what it held before")
        made = None
        if self._memory is None and self._disk is not None:
            made = self._append_on_disk(self._disk, drafts, settled, lost)
        if made is None and self._memory is not None:
            made = self._append_in_memory(self._memory, drafts, settled, lost)
        made = made or Committed()
        moved, self._moved = self._moved, Committed()
        return Committed(moved.batches + made.batches, moved.declared + made.declared)

    def load(self, key: Key) -> Batch | None:
        """Read one batch (see `Spool`)."""
        memory = self._memory
        if memory is not None and (key.spool == memory.id or self._disk is None):
            return memory.load(key)
        return self._disk.load(key) if self._disk is not None else None

    def held(self) -> list[Span]:
        """List what is held, spool after spool."""
        return [span for spool in self._both() for span in spool.held()]

    def last_seqs(self) -> dict[Line, int]:
        """Return the last seq given out in each line."""
        seqs: dict[Line, int] = {}
        for spool in self._both():
            for line, last in spool.last_seqs().items():
                seqs[line] = max(last, seqs.get(line, 0))
        return seqs

    def declared(self) -> list[Declared]:
        """List the losses whose gap record is not settled yet."""
        return [one for spool in self._both() for one in spool.declared()]

    def known_time_ms(self) -> int:
        """Return the last known wall time (ms since 1970), 0 when none."""
        return max(spool.known_time_ms() for spool in self._both())

    def bytes_held(self) -> int:
        """Return how many bytes the batches take."""
        return sum(spool.bytes_held() for spool in self._both())

    def close(self) -> None:
        """Move to the disk what can be moved, and close."""
        self._look_again_ms = 0
        self._look_for_disk()
        for spool in self._both():
            spool.close()

    def _both(self) -> list[SpoolCore]:
        return [spool for spool in (self._disk, self._memory) if spool is not None]

    def _append_on_disk(
        self,
        disk: SpoolCore,
        drafts: Sequence[Draft],
        settled: Sequence[Span],
        lost: Sequence[Lost],
    ) -> Committed | None:
        """Commit on disk; None when the memory has to stand in."""
        now_ms = self._clock.boot_ms()
        try:
            made = disk.append(drafts, settled, lost)
        except RetryLater as error:
            since_ms = self._failing_since_ms
            self._failing_since_ms = now_ms if since_ms is None else since_ms
            if now_ms - self._failing_since_ms < STANDBY_AFTER_MS:
                raise
            self._stand_in(error)
        except StopService as error:
            disk.close()
            self._disk = None
            self._stand_in(error)
            self._look_again_ms = 0
        else:
            self._failing_since_ms = None
            return made
        return None

    def _append_in_memory(
        self,
        memory: SpoolCore,
        drafts: Sequence[Draft],
        settled: Sequence[Span],
        lost: Sequence[Lost],
    ) -> Committed:
        own = [span for span in settled if span.spool == memory.id]
        made = memory.append(drafts, own, lost)
        for span in settled:
            if span.spool != memory.id:
                line = (span.spool, span.stream)
                self._settled_on_disk.setdefault(line, RangeSet()).add(span.low, span.high)
        return made

    def _stand_in(self, error: RetryLater | StopService) -> None:
        log.error("the disk takes nothing; what is new stays in memory: %s", error)
        self._memory = self._open_memory()
        self._look_again_ms = self._clock.boot_ms() + LOOK_AGAIN_MS

    def _look_for_disk(self) -> None:
        """Move to the disk what the memory holds, if it is time and the disk takes it."""
        if self._memory is None or self._clock.boot_ms() < self._look_again_ms:
            return
        try:
            moved = self._move_to_disk(self._memory)
        except (RetryLater, StopService) as error:
            log.info("the disk still takes nothing: %s", error)
            self._look_again_ms = self._clock.boot_ms() + LOOK_AGAIN_MS
            if isinstance(error, StopService) and self._disk is not None:
                self._disk.close()
                self._disk = None
            return
        log.warning("the disk takes something again; what was in memory is there now")
        self._moved = Committed(
            self._moved.batches + moved.batches, self._moved.declared + moved.declared
        )
        self._memory, self._failing_since_ms = None, None
        self._settled_on_disk.clear()

    def _move_to_disk(self, memory: SpoolCore) -> Committed:
        if self._disk is None:
            self._disk, self._reopened = self._open_disk(), True
        settled = [
            Span(*line, low, high)
            for line, ranges in self._settled_on_disk.items()
            for low, high in ranges
        ]
        return self._disk.adopt(memory, settled)
