"""How a batch lies in a store: one compressed row under a number that sorts as it is sent."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from edge.batches import Batch, Declared, Key
from protocols.readings import ClockState
from protocols.topics import Stream

SEQ_BITS = 36
PAGE_BYTES = 1024
"""Small: where little comes, a commit wears the card by its pages, not by its bytes."""
_ROW_OVERHEAD_BYTES = 40
_PAGE_ROOM_BYTES = PAGE_BYTES - 12


class Row(msgspec.Struct, frozen=True, gc=False):
    """One batch as stored."""

    id: int
    synced: bool
    created_ms: int
    from_at: int
    to_at: int
    records: int
    crc: int
    body: bytes
    """zlib level 1 of spool id, boot id and records."""


class RowFacts(msgspec.Struct, frozen=True, gc=False):
    """What a gap record must tell of a row that is dropped."""

    id: int
    synced: bool
    from_at: int
    to_at: int
    records: int
    bytes: int


class LineRow(msgspec.Struct, frozen=True):
    """What a card remembers of one (spool, stream)."""

    no: int
    """Position of the spool among all that this card has known; later starts have higher ones."""
    spool: str
    stream: Stream
    last_seq: int
    last_at: int
    """Last known wall time when a batch was written here, ms since 1970; 0 when none."""


class Rows(Protocol):
    """A store of rows; all changes happen inside a transaction."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at the end, or change nothing.

        Raises:
            RetryLater: not now (disk full, busy).
            StopService: the store is damaged.

        """
        ...

    def insert(self, row: Row) -> None:
        """Add a row."""
        ...

    def delete(self, low: int, high: int) -> int:
        """Remove the rows low..high; return the bytes they took."""
        ...

    def get(self, row_id: int) -> Row | None:
        """Read one row; None when it is not there or cannot be read."""
        ...

    def oldest(self, low: int, high: int, limit: int) -> list[RowFacts]:
        """List the first rows of low..high."""
        ...

    def ids(self) -> Iterator[tuple[int, int]]:
        """Yield (id, bytes) of all rows in order."""
        ...

    def lines(self) -> list[LineRow]:
        """List all lines, by `no`."""
        ...

    def put_line(self, line: LineRow) -> None:
        """Write a line over what was known of it."""
        ...

    def forget_lines(self, no: int) -> None:
        """Remove both lines of a spool."""
        ...

    def declared(self) -> list[Declared]:
        """List the losses that are declared and not settled."""
        ...

    def put_declared(self, declared: Sequence[Declared]) -> None:
        """Add losses."""
        ...

    def delete_declared(self, gap: Key) -> None:
        """Remove the losses told by this batch."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


def row_id(no: int, stream: Stream, seq: int) -> int:
    """Number a row: by spool, `alarm` before `data`, by seq."""
    return (no << SEQ_BITS + 1) | ((stream == "data") << SEQ_BITS) | seq


def row_place(number: int) -> tuple[int, Stream, int]:
    """Take the number of a row apart: (no, stream, seq)."""
    stream: Stream = "data" if number >> SEQ_BITS & 1 else "alarm"
    return number >> SEQ_BITS + 1, stream, number & ((1 << SEQ_BITS) - 1)


def row_bytes(body_bytes: int) -> int:
    """Estimate what a row takes on disk: its share of a page, or whole pages."""
    size = body_bytes + _ROW_OVERHEAD_BYTES
    if size <= _PAGE_ROOM_BYTES:
        return PAGE_BYTES // (_PAGE_ROOM_BYTES // size)
    return -(-size // _PAGE_ROOM_BYTES) * PAGE_BYTES


def pack(number: int, batch: Batch) -> Row:
    """Make the row of a batch."""
    boot = batch.boot_id.encode()[:255]
    content = bytes.fromhex(batch.key.spool) + bytes([len(boot)]) + boot + batch.records_raw
    row = Row(
        number,
        batch.clock == "synced",
        batch.created_ms,
        batch.from_at,
        batch.to_at,
        batch.records,
        0,
        zlib.compress(content, 1),
    )
    return msgspec.structs.replace(row, crc=_crc(row, content))


def unpack(row: Row) -> Batch | None:
    """Make the batch of a row; None when a single bit is not as it was written."""
    try:
        content = zlib.decompress(row.body)
        if _crc(row, content) != row.crc:
            return None
        boot_end = 17 + content[16]
        boot_id = content[17:boot_end].decode()
    except (zlib.error, IndexError, UnicodeDecodeError, TypeError, OverflowError):
        return None  # of a damaged file any column may hold anything
    _, stream, seq = row_place(row.id)
    clock: ClockState = "synced" if row.synced else "free"
    return Batch(
        key=Key(content[:16].hex(), stream, seq),
        boot_id=boot_id,
        clock=clock,
        created_ms=row.created_ms,
        from_at=row.from_at,
        to_at=row.to_at,
        records=row.records,
        records_raw=content[boot_end:],
    )


def _crc(row: Row, content: bytes) -> int:
    head = (row.id, row.synced, row.created_ms, row.from_at, row.to_at, row.records)
    return zlib.crc32(content, zlib.crc32(b"%d %d %d %d %d %d" % head))
