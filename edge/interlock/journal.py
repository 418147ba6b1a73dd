"""What a filling place must not forget: an open gun, the latest time, who was filled, its count.

One SQLite file for all places of a gateway. What is told here before a gun opens is on the disk
when the call returns. Calls block; one thread at a time.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.interlock.base import Entry
from protocols.errors import RetryLater, StopService

FILE = "interlock.sqlite"
NUMBERS = 1_000
"""So many numbers of records are taken at a time: those of a run that ended are never used again,
and not each record costs a write."""
FILLED_DAYS = 400
"""Who was filled longer ago is forgotten."""
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS place
       (id TEXT PRIMARY KEY, numbers INTEGER NOT NULL, opening BLOB)""",
    "CREATE TABLE IF NOT EXISTS filled (code TEXT PRIMARY KEY, day TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS latest (id INTEGER PRIMARY KEY CHECK (id = 1), at_ms INTEGER)",
    """CREATE TABLE IF NOT EXISTS clock_check
       (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, latest_ms INTEGER NOT NULL,
        spool_ms INTEGER NOT NULL, name TEXT NOT NULL, why TEXT NOT NULL,
        told INTEGER NOT NULL DEFAULT 0)""",
)
_CHECKS = "SELECT id, at_ms, latest_ms, spool_ms, name, why FROM clock_check "


class ClockCheck(Struct, frozen=True, kw_only=True):
    """A person says that the clock is right although it shows less than it did."""

    id: int
    at_ms: int
    """By the clock that is right."""
    latest_ms: int
    """What it had shown."""
    spool_ms: int
    """What the spool had as the last known time."""
    name: str
    why: str


class Journal:
    """The file, open."""

    def __init__(self, folder: Path, *, repair: bool = True) -> None:
        """Open it; a damaged one is set aside, and then nothing is known of before.

        Raises:
            RetryLater: the disk does not let it be opened.
            StopService: it is damaged, and `repair` is false.

        """
        file = folder / FILE
        with _translated():
            try:
                self._db = _open(file)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                if not repair:
                    raise StopService(f"{file} is damaged: {error}") from error
                _set_aside(file)
                self._db = _open(file)
                self.damaged = True
            else:
                self.damaged = False
            found = self._db.execute("SELECT at_ms FROM latest").fetchone()
        self.known_ms: int = found[0] if found else 0
        """The latest time that was ever judged by, ms since 1970, as far as it was kept."""

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def begin(self, place: str, first: int) -> tuple[int, Entry | None]:
        """Return the last number that may have been used, and the opening that was not closed.

        Args:
            place: the gate's id.
            first: where a new file counts from: seconds since 1970 never meet an older count.

        Raises:
            RetryLater: the disk does not take it.

        """
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO place VALUES (?, ?, NULL)", (place, first))
            numbers, raw = self._db.execute(
                "SELECT numbers, opening FROM place WHERE id = ?", (place,)
            ).fetchone()
            self._db.execute(
                "UPDATE place SET numbers = ? WHERE id = ?", (numbers + NUMBERS, place)
            )
        if raw is None:
            return numbers, None
        try:
            return numbers, msgspec.json.decode(raw, type=Entry)
        except msgspec.DecodeError:  # of another release: open it was all the same
            self.damaged = True
            return numbers, None

    def reserve(self, place: str, used: int) -> None:
        """Take further numbers. Raises RetryLater."""
        with self._transaction():
            self._db.execute("UPDATE place SET numbers = ? WHERE id = ?", (used + NUMBERS, place))

    def opened(self, place: str, entry: Entry, now_ms: int) -> None:
        """Remember that the gun may be open from now on. Raises RetryLater."""
        with self._transaction():
            self._db.execute(
                "UPDATE place SET opening = ? WHERE id = ?", (msgspec.json.encode(entry), place)
            )
            self._remember(now_ms)

    def closed(self, place: str, filled: str, on: date | None, now_ms: int) -> None:
        """Remember that this filling is told of, and who was filled. Raises RetryLater."""
        with self._transaction():
            self._db.execute("UPDATE place SET opening = NULL WHERE id = ?", (place,))
            if filled and on is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO filled VALUES (?, ?)", (filled, on.isoformat())
                )
                before = date.fromordinal(max(1, on.toordinal() - FILLED_DAYS)).isoformat()
                self._db.execute("DELETE FROM filled WHERE day < ?", (before,))
            self._remember(now_ms)

    def filled(self) -> dict[str, date]:
        """Return who was filled here, and when last. Raises RetryLater."""
        with _translated():
            return {
                code: date.fromisoformat(day)
                for code, day in self._db.execute("SELECT code, day FROM filled")
            }

    def check_clock(self, now_ms: int, name: str, why: str, *, spool_ms: int) -> None:
        """Let time go on from `now_ms`, however much later it was; all else stays.

        Who was filled by the wrong clock on a day that is still to come was filled today.
        `spool_ms` is the last time that the spool knows. Raises RetryLater.
        """
        at = datetime.fromtimestamp(now_ms / 1000, UTC)
        today = (at - timedelta(hours=12)).date().isoformat()  # wherever it is: begun by now
        with self._transaction():
            self._db.execute(
                "INSERT INTO clock_check (at_ms, latest_ms, spool_ms, name, why)"
                " VALUES (?, ?, ?, ?, ?)",
                (now_ms, max(self.known_ms, spool_ms), spool_ms, name, why),
            )
            self._db.execute("UPDATE filled SET day = ? WHERE day > ?", (today, today))
            self._db.execute("INSERT OR REPLACE INTO latest VALUES (1, ?)", (now_ms,))
        self.known_ms = now_ms

    def clock_checks(self) -> list[ClockCheck]:
        """Return those that no record tells of yet. Raises RetryLater."""
        with _translated():
            return _checks(self._db, "WHERE NOT told ORDER BY id")

    def clock_check_told(self, number: int) -> None:
        """Remember that a record tells of it. Raises RetryLater."""
        with self._transaction():
            self._db.execute("UPDATE clock_check SET told = 1 WHERE id = ?", (number,))

    def remember(self, now_ms: int) -> None:
        """Remember the latest time. Raises RetryLater."""
        with self._transaction():
            self._remember(now_ms)

    def _remember(self, now_ms: int) -> None:
        self.known_ms = max(self.known_ms, now_ms)
        self._db.execute("INSERT OR REPLACE INTO latest VALUES (1, ?)", (self.known_ms,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # after some errors SQLite has done it itself
                    self._db.execute("ROLLBACK")
                raise


def last_clock_check(folder: Path) -> ClockCheck | None:
    """Read the newest one of a journal that is not open; None: there is none, or none readable."""
    file = folder / FILE
    if not file.exists():
        return None
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db,
    ):
        return next(iter(_checks(db, "ORDER BY id DESC LIMIT 1")), None)
    return None


def _checks(db: sqlite3.Connection, which: str) -> list[ClockCheck]:
    rows = db.execute(_CHECKS + which)
    return [ClockCheck(**dict(zip(ClockCheck.__struct_fields__, row, strict=True))) for row in rows]


def _open(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        for statement in _SCHEMA:
            db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def _set_aside(file: Path) -> None:
    for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
        path = file.with_name(name)
        if path.exists():
            path.replace(path.with_name(f"{name}.damaged"))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise RetryLater(f"interlock: {error}") from error
