"""What a spool is: the only place where a reading is safe before the cloud has settled it."""

from collections.abc import Sequence
from typing import Protocol

from edge.batches import Batch, Committed, Declared, Draft, Key, Line, Lost, Span


class Spool(Protocol):
    """Durable batches. Calls block; one thread at a time."""

    @property
    def id(self) -> str:
        """The spool id of this start of the daemon, 32 hex digits."""
        ...

    def append(
        self, drafts: Sequence[Draft], settled: Sequence[Span] = (), lost: Sequence[Lost] = ()
    ) -> Committed:
        """Commit drafts, deletions and losses in one transaction; durable on return.

        Gap records for new losses are written in the same transaction. At the byte bound the
        oldest `data` batches are dropped and declared lost, `alarm` batches only when no `data`
        is left; batches of gap records never.

        Raises:
            RetryLater: the disk does not take it; nothing has changed.
            StopService: the file is damaged; opening it again salvages it.

        """
        ...

    def load(self, key: Key) -> Batch | None:
        """Read one batch; None when it is gone or damaged: the next commit declares it lost."""
        ...

    def held(self) -> list[Span]:
        """List what is on disk, spool after spool, the oldest first."""
        ...

    def last_seqs(self) -> dict[Line, int]:
        """Return the last seq given out in each line that this card knows of."""
        ...

    def declared(self) -> list[Declared]:
        """List the losses whose gap record is not settled yet."""
        ...

    def known_time_ms(self) -> int:
        """Return the last known wall time (ms since 1970) on this card, 0 when none."""
        ...

    def bytes_held(self) -> int:
        """Return how many bytes the batches take."""
        ...

    def close(self) -> None:
        """Close; everything was committed before."""
        ...
