"""A spool without a disk: for tests, and for a gateway whose disk takes nothing any more."""

import bisect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edge.batches import Declared, Key
from edge.spool.core import SpoolCore
from edge.spool.rows import LineRow, Row, RowFacts, row_bytes
from protocols.clock import Clock


class MemoryRows:
    """Rows in a dictionary. What it holds survives a new `MemorySpool` over it, as a disk would."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._order: list[int] = []
        self._lines: dict[tuple[int, str], LineRow] = {}
        self._declared: list[Declared] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo everything when the block fails."""
        before = (dict(self._rows), list(self._order), dict(self._lines), list(self._declared))
        try:
            yield
        except BaseException:
            self._rows, self._order, self._lines, self._declared = before
            raise

    def insert(self, row: Row) -> None:
        """Add a row."""
        self._rows[row.id] = row
        bisect.insort(self._order, row.id)

    def delete(self, low: int, high: int) -> int:
        """Remove the rows low..high; return the bytes they took."""
        first, last = bisect.bisect_left(self._order, low), bisect.bisect_right(self._order, high)
        gone = [self._rows.pop(number) for number in self._order[first:last]]
        del self._order[first:last]
        return sum(row_bytes(len(row.body)) for row in gone)

    def get(self, row_id: int) -> Row | None:
        """Read one row."""
        return self._rows.get(row_id)

    def oldest(self, low: int, high: int, limit: int) -> list[RowFacts]:
        """List the first rows of low..high."""
        first, last = bisect.bisect_left(self._order, low), bisect.bisect_right(self._order, high)
        rows = [self._rows[number] for number in self._order[first : min(last, first + limit)]]
        return [
            RowFacts(
                row.id, row.synced, row.from_at, row.to_at, row.records, row_bytes(len(row.body))
            )
            for row in rows
        ]

    def ids(self) -> Iterator[tuple[int, int]]:
        """Yield (id, bytes) of all rows in order."""
        for number in self._order:
            yield number, row_bytes(len(self._rows[number].body))

    def lines(self) -> list[LineRow]:
        """List all lines."""
        return sorted(self._lines.values(), key=lambda line: line.no)

    def put_line(self, line: LineRow) -> None:
        """Write a line."""
        self._lines[line.no, line.stream] = line

    def forget_lines(self, no: int) -> None:
        """Remove both lines of a spool."""
        for stream in ("alarm", "data"):
            self._lines.pop((no, stream), None)

    def declared(self) -> list[Declared]:
        """List the open losses."""
        return list(self._declared)

    def put_declared(self, declared: Sequence[Declared]) -> None:
        """Add losses."""
        self._declared.extend(declared)

    def delete_declared(self, gap: Key) -> None:
        """Remove the losses told by this batch."""
        self._declared = [one for one in self._declared if one.gap != gap]

    def close(self) -> None:
        """Keep the rows for the next spool over them."""


class MemorySpool(SpoolCore):
    """A spool in memory, bounded in bytes like one on disk."""

    def __init__(
        self,
        *,
        spool_id: str,
        boot_id: str,
        clock: Clock,
        bytes_max: int,
        rows: MemoryRows | None = None,
    ) -> None:
        super().__init__(
            rows if rows is not None else MemoryRows(),
            spool_id=spool_id,
            boot_id=boot_id,
            clock=clock,
            bytes_max=bytes_max,
        )
