"""The account of every batch: settled, doubled, declared lost, refused."""

import msgspec

from protocols.topics import Stream


class SpoolLedger(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one (spool, stream) of a gateway; seqs are batches."""

    spool: str
    stream: Stream
    through: int
    received: list[tuple[int, int]]
    batches: int
    """Batches stored."""
    records: int
    """Records stored."""
    duplicates: int
    """Batches that came again and were dropped."""
    declared_lost: int
    """Batches that a gap record declared lost, less those that had been stored before."""
    declared_lost_records: int
    dead_letters: int
    """Records or whole batches kept as dead letters."""
    unknown_tail: bool
    """A gap record said that nobody knows how many batches followed."""
    last_at: int
    """When a batch of it was last received, ms since 1970."""
