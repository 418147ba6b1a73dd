"""The spool on disk: SQLite, write-ahead log, every commit synced (design 4).

A commit touches two pages, one with the batch and one with the last seqs; what was settled is
deleted by the next commit, on pages that are written anyway.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge.batches import Declared, Key, Lost
from edge.spool.core import SpoolCore
from edge.spool.rows import PAGE_BYTES, LineRow, Row, RowFacts, row_bytes
from protocols.clock import Clock
from protocols.errors import RetryLater, StopService

FILE = "spool.db"
WAL_PAGES_MAX = 4000
BUSY_S = 5.0
SCHEMA = (
    """CREATE TABLE spool_history (id INTEGER PRIMARY KEY, spool TEXT NOT NULL,
       stream TEXT NOT NULL, last_seq INTEGER NOT NULL, last_at INTEGER NOT NULL)""",
    """CREATE TABLE batch (id INTEGER PRIMARY KEY, synced INTEGER NOT NULL,
       created_ms INTEGER NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER NOT NULL,
       records INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL)""",
    """CREATE TABLE lost (id INTEGER PRIMARY KEY, spool TEXT NOT NULL, stream TEXT NOT NULL,
       from_seq INTEGER NOT NULL, to_seq INTEGER, from_at INTEGER, to_at INTEGER,
       reason TEXT NOT NULL, records INTEGER, gap_spool TEXT NOT NULL, gap_seq INTEGER NOT NULL)""",
)
_NOT_NOW = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_INTERRUPT,
}


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of SQLite into what the caller should do.

    Raises:
        RetryLater: the file is as it was; the disk is full, busy or read-only.
        StopService: the file is damaged.

    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _NOT_NOW:
            raise RetryLater(f"spool: {error}") from error
        raise StopService(f"spool damaged: {error}") from error


class SqliteRows:
    """Rows in one SQLite file; usable from any thread, one at a time."""

    def __init__(self, file: Path, *, bytes_max: int) -> None:
        with translated():
            self._connection = sqlite3.connect(
                file, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(bytes_max)
            except sqlite3.Error:
                self._connection.close()
                raise

    def _prepare(self, bytes_max: int) -> None:
        pages = min(WAL_PAGES_MAX, bytes_max // 16 // PAGE_BYTES)
        for pragma in (
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            "synchronous=FULL",
            f"wal_autocheckpoint={pages}",
            f"journal_size_limit={pages * PAGE_BYTES}",
            "cache_size=-1024",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        if not self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                self._connection.execute(statement)
            self._connection.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end, or change nothing (see `Rows`)."""
        with translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # after some errors SQLite has done it itself
                    self._connection.execute("ROLLBACK")
                raise

    def insert(self, row: Row) -> None:
        """Add a row."""
        self._write("INSERT", row)

    def restore(self, row: Row) -> None:
        """Add a row, or a later version of it."""
        self._write("INSERT OR REPLACE", row)

    def _write(self, verb: str, row: Row) -> None:
        self._connection.execute(
            f"{verb} INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.id,
                row.synced,
                row.created_ms,
                row.from_at,
                row.to_at,
                row.records,
                row.crc,
                row.body,
            ),
        )

    def delete(self, low: int, high: int) -> int:
        """Remove the rows low..high; return the bytes they took."""
        lengths = self._connection.execute(
            "SELECT length(body) FROM batch WHERE id BETWEEN ? AND ?", (low, high)
        ).fetchall()
        self._connection.execute("DELETE FROM batch WHERE id BETWEEN ? AND ?", (low, high))
        return sum(row_bytes(length) for (length,) in lengths)

    def get(self, row_id: int) -> Row | None:
        """Read one row; None when it is not there or cannot be read."""
        with suppress(sqlite3.DatabaseError, OverflowError):
            found = self._connection.execute("SELECT * FROM batch WHERE id = ?", (row_id,))
            for row in found:
                return row_of(row)
        return None

    def oldest(self, low: int, high: int, limit: int) -> list[RowFacts]:
        """List the first rows of low..high."""
        found = self._connection.execute(
            "SELECT id, synced, from_at, to_at, records, length(body) FROM batch"
            " WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
            (low, high, limit),
        )
        return [
            RowFacts(number, bool(synced), from_at, to_at, records, row_bytes(length))
            for number, synced, from_at, to_at, records, length in found
        ]

    def ids(self) -> Iterator[tuple[int, int]]:
        """Yield (id, bytes) of all rows in order."""
        with translated():
            for number, length in self._connection.execute(
                "SELECT id, length(body) FROM batch ORDER BY id"
            ):
                yield number, row_bytes(length)

    def lines(self) -> list[LineRow]:
        """List all lines, by `no`."""
        with translated():
            found = self._connection.execute("SELECT * FROM spool_history ORDER BY id").fetchall()
        return [line_of(row) for row in found]

    def put_line(self, line: LineRow) -> None:
        """Write a line over what was known of it."""
        self._connection.execute(
            "INSERT OR REPLACE INTO spool_history VALUES (?, ?, ?, ?, ?)",
            (_line_id(line), line.spool, line.stream, line.last_seq, line.last_at),
        )

    def forget_lines(self, no: int) -> None:
        """Remove both lines of a spool."""
        self._connection.execute(
            "DELETE FROM spool_history WHERE id BETWEEN ? AND ?", (2 * no, 2 * no + 1)
        )

    def declared(self) -> list[Declared]:
        """List the losses that are declared and not settled."""
        with translated():
            found = self._connection.execute("SELECT * FROM lost ORDER BY id").fetchall()
        return [declared_of(row) for row in found]

    def put_declared(self, declared: Sequence[Declared]) -> None:
        """Add losses."""
        for one in declared:
            lost = one.lost
            self._connection.execute(
                "INSERT INTO lost (spool, stream, from_seq, to_seq, from_at, to_at, reason,"
                " records, gap_spool, gap_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(lost.spool, lost.stream, lost.from_seq, lost.to_seq),
                    *(lost.from_at, lost.to_at, lost.reason, lost.records),
                    *(one.gap.spool, one.gap.seq),
                ),
            )

    def delete_declared(self, gap: Key) -> None:
        """Remove the losses told by this batch."""
        self._connection.execute(
            "DELETE FROM lost WHERE gap_spool = ? AND gap_seq = ?", (gap.spool, gap.seq)
        )

    def close(self) -> None:
        """Close the file; SQLite empties its log into it."""
        with suppress(sqlite3.Error):  # everything that counts was committed before
            self._connection.close()


def row_of(row: tuple[Any, ...]) -> Row:
    """Make a row of a line of table `batch`."""
    number, synced, created_ms, from_at, to_at, records, crc, body = row
    return Row(number, bool(synced), created_ms, from_at, to_at, records, crc, body)


def line_of(row: tuple[Any, ...]) -> LineRow:
    """Make a line of a line of table `spool_history`."""
    number, spool, stream, last_seq, last_at = row
    return LineRow(number >> 1, spool, stream, last_seq, last_at)


def declared_of(row: tuple[Any, ...]) -> Declared:
    """Make a declared loss of a line of table `lost`."""
    _, spool, stream, from_seq, to_seq, from_at, to_at, reason, records, gap_spool, gap_seq = row
    lost = Lost(
        spool=spool,
        stream=stream,
        from_seq=from_seq,
        to_seq=to_seq,
        from_at=from_at,
        to_at=to_at,
        reason=reason,
        records=records,
    )
    return Declared(lost, Key(gap_spool, "alarm", gap_seq))


def _line_id(line: LineRow) -> int:
    return 2 * line.no + (line.stream == "data")


class SqliteSpool(SpoolCore):
    """A spool in `folder / spool.db`, opened as it is; `open_spool` also takes damaged ones."""

    def __init__(
        self, file: Path, *, spool_id: str, boot_id: str, clock: Clock, bytes_max: int
    ) -> None:
        rows = SqliteRows(file, bytes_max=bytes_max)
        try:
            super().__init__(
                rows, spool_id=spool_id, boot_id=boot_id, clock=clock, bytes_max=bytes_max
            )
        except BaseException:
            rows.close()
            raise
