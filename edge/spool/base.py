"""What a spool is: the only place where a reading is safe before the cloud has settled it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from protocols.readings import ClockState
from protocols.topics import Stream


class Key(msgspec.Struct, frozen=True, array_like=True):
    """The identity of a batch within a gateway."""

    spool: str
    stream: Stream
    seq: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Records under one key; what `wrap` needs but the time of sending."""

    key: Key
    boot_id: str
    clock: ClockState
    created_ms: int
    """ms since boot of the daemon that wrote it; only to order within one spool."""
    from_at: int
    to_at: int
    """Smallest and largest `at` inside, for a gap record."""
    records: int
    """How many records are inside."""
    records_raw: bytes


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A batch before the spool has given it a key."""

    stream: Stream
    clock: ClockState
    boot_id: str
    created_ms: int
    from_at: int
    to_at: int
    records: int
    records_raw: bytes


class Held(msgspec.Struct, frozen=True, gc=False):
    """What is kept in memory of a batch on disk."""

    key: Key
    bytes: int
    """Payload bytes of its records."""


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A range that will never be sent; kept until the cloud has settled its gap record."""

    spool: str
    stream: Stream
    from_seq: int
    to_seq: int | None
    from_at: int | None
    to_at: int | None
    reason: str
    records: int | None


class Spool(Protocol):
    """Durable batches. Calls block; one thread at a time."""

    @property
    def id(self) -> str:
        """The spool id of this start of the daemon, 32 hex digits."""
        ...

    def append(
        self, drafts: Sequence[Draft], settled: Sequence[Key], lost: Sequence[Lost] = ()
    ) -> list[Batch]:
        """Commit drafts, deletions and losses in one transaction; durable on return.

        At the byte bound the oldest `data` batches are dropped and declared lost, `alarm` batches
        only when no `data` is left.
        """
        ...

    def load(self, key: Key) -> Batch | None:
        """Read one batch; None when it is gone or damaged (then it is declared lost)."""
        ...

    def held(self) -> list[Held]:
        """List all batches on disk, oldest first."""
        ...

    def last_seqs(self) -> dict[tuple[str, Stream], int]:
        """Return the last seq given out in each (spool, stream) that this card knows of."""
        ...

    def lost(self) -> list[Lost]:
        """List the losses whose gap record is not settled yet."""
        ...

    def close(self) -> None:
        """Commit and close."""
        ...
