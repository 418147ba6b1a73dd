"""Batches and what is told of them; spool, uplink and agent share these types."""

import msgspec

from protocols.readings import ClockState
from protocols.topics import Stream

Line = tuple[str, Stream]
"""(spool, stream): what sequence numbers count in."""


class Key(msgspec.Struct, frozen=True, array_like=True):
    """The identity of a batch within a gateway."""

    spool: str
    stream: Stream
    seq: int


class Span(msgspec.Struct, frozen=True, array_like=True):
    """Batches low..high (both included) of one line."""

    spool: str
    stream: Stream
    low: int
    high: int


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
    """A batch before the spool has given it a key.

    Empty `records_raw`: its records were dropped before the disk would take them; the spool gives
    it a key all the same and declares it lost.
    """

    stream: Stream
    clock: ClockState
    boot_id: str
    created_ms: int
    from_at: int
    to_at: int
    records: int
    records_raw: bytes


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A range that will never be sent; kept until the cloud has settled its gap record."""

    spool: str
    stream: Stream
    from_seq: int
    to_seq: int | None
    """None: the tail, unknown."""
    from_at: int | None = None
    to_at: int | None = None
    """ms since 1970; None where nobody knows."""
    reason: str
    records: int | None = None


class Declared(msgspec.Struct, frozen=True):
    """A loss, and the batch of stream `alarm` that tells the cloud of it."""

    lost: Lost
    gap: Key


class Committed(msgspec.Struct, frozen=True):
    """What one commit made."""

    batches: tuple[Batch, ...] = ()
    """The drafts with their keys, in order, then batches of gap records."""
    declared: tuple[Declared, ...] = ()
    """Losses that are new; batches in their ranges are no longer held."""
