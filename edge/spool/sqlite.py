"""The spool on disk: SQLite, write-ahead log, every commit synced (design 4).

A commit touches two pages, one with the batch and one with the last seqs; what was settled is
deleted by the next commit, on pages that are written anyway.

A full disk is a smaller bound: the reserve becomes part of the file and of its log, and from then
on the oldest `data` give way to what is new, declared lost, as at the byte bound.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge.batches import Committed, Declared, Draft, Key, Lost, Span
from edge.spool.core import DROP_SHARE, ROWS_SHARE, SpoolCore
from edge.spool.reserve import FILE as RESERVE_FILE
from edge.spool.reserve import Reserve
from edge.spool.rows import PAGE_BYTES, LineRow, Row, RowFacts, row_bytes
from edge.spool.wal import Log
from protocols.clock import Clock
from protocols.errors import RetryLater, StopService

T = TypeVar("T")

log = logging.getLogger(__name__)

FILE = "spool.db"
APPLICATION_ID = int.from_bytes(b"SYsp", "big")
"""Marks the file, and its log with it, as a spool."""
DISTRUSTED = "spool.distrusted"
"""Beside a file that opens and is damaged all the same: the next start salvages it."""
WAL_PAGES_MAX = 4000
WAL_PAGES_TIGHT = 128
"""On a full disk the log begins anew after so many pages."""
BUSY_S = 5.0
READS_MAX = 3
"""A sector that is not read at first may be at the next try."""
RESERVE_AGAIN_MS = 60_000
"""After so long the disk may have room again."""
CLAIM_BYTES_MAX = 1024 * 1024
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


class DiskFull(RetryLater):
    """There is no room on the disk; nothing has changed."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of SQLite into what the caller should do.

    Raises:
        DiskFull: the file is as it was.
        RetryLater: the file is as it was; the disk fails, is busy or read-only.
        StopService: the file is damaged.

    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL:
            raise DiskFull(f"spool: {error}") from error
        if code is not None and code & 0xFF in _NOT_NOW:
            raise RetryLater(f"spool: {error}") from error
        raise StopService(f"spool damaged: {error}") from error
    except UnicodeDecodeError as error:  # of SQLite's own message, which quotes what it found
        raise StopService(f"spool damaged: {error}") from error


def wal_bytes_max(bytes_max: int) -> int:
    """Return how long the log grows before its pages are written into the file."""
    return min(WAL_PAGES_MAX * PAGE_BYTES, bytes_max // 16)


class SqliteRows:
    """Rows in one SQLite file; usable from any thread, one at a time."""

    def __init__(self, file: Path, *, bytes_max: int) -> None:
        log_before = Log(file.with_name(f"{file.name}-wal"), PAGE_BYTES)
        with translated():
            self._connection = sqlite3.connect(
                file, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(bytes_max)
                self.tail_unknown = self._open_log(log_before)
                """Commits may be missing: the file is as it was at an earlier moment."""
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, bytes_max: int) -> None:
        self._wal_pages = pages = wal_bytes_max(bytes_max) // PAGE_BYTES
        for pragma in (
            "locking_mode=EXCLUSIVE",  # the index of the log stays in memory and wears no card
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            "synchronous=FULL",
            f"wal_autocheckpoint={pages}",
            f"journal_size_limit={pages * PAGE_BYTES}",
            "cache_size=-1024",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        if not self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                self._connection.execute(statement)
            self._connection.execute("COMMIT")

    def _open_log(self, before: Log) -> bool:
        """Note in the file itself that it is open; tell whether its log has lost something."""
        (was_open,) = self._connection.execute("PRAGMA user_version").fetchone()
        (_, frames, _) = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        lost = before.goes_on_after(frames) or (bool(was_open) and not before.bytes)
        if not lost:  # else the traces stay until the loss is declared
            self._connection.execute("PRAGMA user_version=1")
            self.empty_log()
        return lost

    def empty_log(self) -> None:
        """Write into the file what is in the log, as far as that is possible now."""
        with translated():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

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

    def claim(self, size: int) -> None:
        """Let the file and its log grow by `size` bytes each, before anything else takes them.

        Raises:
            RetryLater: the disk has less; what could be had is kept.
            StopService: the file is damaged.

        """
        with translated():
            self._connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES_TIGHT}")
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            with self.transaction():
                self._connection.execute("CREATE TABLE IF NOT EXISTS claim (room BLOB)")
                self._connection.execute("INSERT INTO claim VALUES (zeroblob(?))", (size,))
            with self.transaction():
                self._connection.execute("DROP TABLE claim")
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def relax(self) -> None:
        """Let the log grow as usual again."""
        with translated():
            self._connection.execute(f"PRAGMA wal_autocheckpoint={self._wal_pages}")

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
        found = self._connection.execute(
            "SELECT length(body) FROM batch WHERE id BETWEEN ? AND ?", (low, high)
        )
        size = sum(row_bytes(length) for (length,) in map(_whole, found))
        self._connection.execute("DELETE FROM batch WHERE id BETWEEN ? AND ?", (low, high))
        return size

    def get(self, row_id: int) -> Row | None:
        """Read one row; None when it is not there or cannot be read, however often."""
        for _ in range(READS_MAX):
            with suppress(sqlite3.DatabaseError, OverflowError):
                found = self._connection.execute("SELECT * FROM batch WHERE id = ?", (row_id,))
                return next(map(row_of, found), None)
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
            for number, synced, from_at, to_at, records, length in map(_whole, found)
        ]

    def ids(self) -> Iterator[tuple[int, int]]:
        """Yield (id, bytes) of all rows in order."""
        with translated():
            found = self._connection.execute("SELECT id, length(body) FROM batch ORDER BY id")
            for number, length in map(_whole, found):
                yield number, row_bytes(length)

    def lines(self) -> list[LineRow]:
        """List all lines, by `no`."""
        with translated():
            found = self._connection.execute("SELECT * FROM spool_history ORDER BY id").fetchall()
        return [_checked(line_of, row, LineRow) for row in found]

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
        return [_checked(declared_of, row, Declared) for row in found]

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
            self._connection.execute("PRAGMA user_version=0")
        with suppress(sqlite3.Error):
            self._connection.close()


def known_time_ms(folder: Path) -> int:
    """Read what `Spool.known_time_ms` would tell, of a state folder that no daemon uses.

    Raises:
        RetryLater: not now.
        StopService: the file is damaged; a start of the daemon salvages it.

    """
    file = folder / FILE
    if not file.exists():
        return 0
    with translated(), closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as card:
        found = card.execute(
            "SELECT last_at FROM spool_history WHERE last_at > 0"
            " ORDER BY id >> 1 DESC, last_at DESC LIMIT 1"
        ).fetchone()
    return 0 if found is None else _whole(found)[0]


def _whole(row: tuple[Any, ...]) -> tuple[int, ...]:
    """Return a row of whole numbers.

    Raises:
        StopService: it holds something else, so the file is damaged.

    """
    for value in row:
        if type(value) is not int:
            raise StopService(f"spool damaged: expected whole numbers, found {row!r:.200}")
    return row


def _checked(make: Callable[[tuple[Any, ...]], T], row: tuple[Any, ...], kind: type[T]) -> T:
    """Make something of a row whose fields are what they must be.

    Raises:
        StopService: they are not, so the file is damaged.

    """
    try:
        made = make(row)
        msgspec.convert(msgspec.to_builtins(made), kind)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise StopService(f"spool damaged: {error}") from error
    return made


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

    _rows: SqliteRows

    def __init__(
        self, file: Path, *, spool_id: str, boot_id: str, clock: Clock, bytes_max: int
    ) -> None:
        self._distrusted = file.with_name(DISTRUSTED)
        self._room = min(CLAIM_BYTES_MAX, bytes_max // 64)
        # the file grows by what is in the log, then both by the room that is claimed
        size = wal_bytes_max(bytes_max) + 2 * self._room
        self._reserve = Reserve(file.with_name(RESERVE_FILE), size)
        self._tight = False
        self._reserve_again_ms = 0

        def start() -> None:
            rows = SqliteRows(file, bytes_max=bytes_max)
            try:
                SpoolCore.__init__(
                    self, rows, spool_id=spool_id, boot_id=boot_id, clock=clock, bytes_max=bytes_max
                )
            except BaseException:
                rows.close()
                raise

        try:
            start()
        except RetryLater:
            if not self._reserve.release():
                raise
            start()
            self._bytes_max_normal = self._rows_bytes_max
            self._tighten()
        else:
            self._bytes_max_normal = self._rows_bytes_max
            self._reserve.hold()
            self._begin()

    def _begin(self) -> None:
        """Leave word of this spool in the file, so that a log that is lost leaves a trace."""
        if self._rows.tail_unknown:
            self._doubt_tail()
            return
        with suppress(RetryLater):
            self.register()
            self._rows.empty_log()

    def append(
        self, drafts: Sequence[Draft], settled: Sequence[Span] = (), lost: Sequence[Lost] = ()
    ) -> Committed:
        """Commit drafts, deletions and losses in one transaction (see `Spool`)."""
        return self._kept(lambda: SpoolCore.append(self, drafts, settled, lost))

    def adopt(self, other: SpoolCore, settled: Sequence[Span] = ()) -> Committed:
        """Take over all that another spool holds (see `SpoolCore`)."""
        return self._kept(lambda: SpoolCore.adopt(self, other, settled))

    def close(self) -> None:
        """Declare what was found on the way, and close; its log's room is set aside again."""
        with suppress(RetryLater, StopService):
            self.append(())
        super().close()
        self._reserve.hold(part=True)

    def _kept(self, commit: Callable[[], Committed]) -> Committed:
        """Commit; a file that turns out to be damaged is not trusted by the next start."""
        try:
            return self._with_room(commit)
        except StopService:
            with suppress(OSError):
                self._distrusted.touch()
            raise

    def _with_room(self, commit: Callable[[], Committed]) -> Committed:
        """Commit; on a full disk make room and try once more."""
        if self._tight and self._clock.boot_ms() >= self._reserve_again_ms:
            self._try_to_relax()
        try:
            return commit()
        except DiskFull:
            if not self._reserve.release():
                self._shrink()
            self._tighten()
        return commit()

    def _tighten(self) -> None:
        """Take the room of the reserve, and be content with it and with what is held."""
        if not self._tight:
            log.warning("the disk is full: the oldest data give way from now on")
            self._rows_bytes_max = min(
                self._rows_bytes_max, self._bytes + int(self._room * ROWS_SHARE)
            )
        self._tight = True
        self._reserve_again_ms = self._clock.boot_ms() + RESERVE_AGAIN_MS
        with suppress(RetryLater):  # the commit that follows tells whether it was enough
            self._rows.claim(self._room)

    def _shrink(self) -> None:
        """Hold less than now, but never so little that alarms find no room."""
        least = self._room // 2
        bound = max(least, int(self._bytes * (1 - DROP_SHARE)))
        self._rows_bytes_max = min(self._rows_bytes_max, bound)

    def _try_to_relax(self) -> None:
        self._reserve_again_ms = self._clock.boot_ms() + RESERVE_AGAIN_MS
        if self._reserve.hold():
            log.warning("the disk has room again")
            self._tight, self._rows_bytes_max = False, self._bytes_max_normal
            self._rows.relax()
