"""What was done with this handheld, on its disk until the service has said its word on it.

One SQLite file, in WAL mode with FULL sync: what `append` returned is there after a power cut. At
most UNSETTLED_MAX records and UNSETTLED_BYTES_MAX bytes wait for the service. At that bound nothing
new is taken: the person is told to come into reach, and nothing that was done is ever dropped. Of
settled records the newest SETTLED_MAX stay for looking back; one that the service found fault with
stays beyond that until somebody has looked at it.
"""

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from protocols.errors import RefuseInput, RetryLater, StopService
from protocols.handheld import RECORD_BYTES_MAX, Inspection, Outcome, Record, Settled

FILE = "handheld.db"
UNSETTLED_MAX = 20_000
UNSETTLED_BYTES_MAX = 64 * 1024 * 1024
NEARLY_FULL = 0.8
SETTLED_MAX = 5_000
_TABLES = """
CREATE TABLE IF NOT EXISTS record (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL,
    asset TEXT,
    outcome TEXT,
    word BLOB,
    seen INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS waiting ON record (number) WHERE outcome IS NULL;
CREATE INDEX IF NOT EXISTS faulty ON record (number)
    WHERE outcome IN ('conflict', 'refused') AND seen = 0;
CREATE INDEX IF NOT EXISTS of_asset ON record (asset, number);
CREATE TABLE IF NOT EXISTS photo (
    sha256 TEXT PRIMARY KEY, file TEXT NOT NULL, number INTEGER NOT NULL, word TEXT
);
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""

_record = msgspec.json.Decoder(Record)
_settled = msgspec.json.Decoder(Settled)

Room = Literal["free", "nearly_full", "full"]


class KeptRecord(Struct, frozen=True, kw_only=True):
    """A record with the service's word on it, None while it waits."""

    record: Record
    outcome: Outcome | None = None
    word: Settled | None = None


class Store:
    """One per state folder, for one process and one thread."""

    def __init__(self, folder: Path) -> None:
        """Open the file; one that is damaged is set aside under another name, and told.

        Raises:
            StopService: the folder takes no file.

        """
        self.set_aside: Path | None = None
        """Where a damaged file went; its records are not sent until it was repaired by hand."""
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._link = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StopService(f"{path}: {error}") from None
            self.set_aside = _set_aside(path)
            self._link = _open(path)
        except OSError as error:
            raise StopService(f"{folder}: {error}") from None
        self.id = self._identity()
        query = "SELECT count(*), coalesce(sum(length(body)), 0) FROM record WHERE outcome IS NULL"
        self.waiting, self._waiting_bytes = self._link.execute(query).fetchone()

    @property
    def room(self) -> Room:
        """How much more it takes before it must be emptied."""
        full = max(self.waiting / UNSETTLED_MAX, self._waiting_bytes / UNSETTLED_BYTES_MAX)
        return "full" if full >= 1 else "nearly_full" if full >= NEARLY_FULL else "free"

    def append(self, make: Callable[[int], Record], **also: bytes) -> Record:
        """Keep a record; durable on return, together with what `also` keeps by name.

        Args:
            make: builds the record from its number.
            also: as `keep`.

        Raises:
            RefuseInput: `store_full`; `too_large`: the record alone is beyond its bound.
            RetryLater: the disk does not take it; nothing was kept, the same may be tried again.

        """
        if self.room == "full":
            raise RefuseInput("store_full", f"{self.waiting} records wait for the service")
        with self._transaction():
            number = self._link.execute("INSERT INTO record (body) VALUES (x'')").lastrowid
            record = make(number or 0)
            body = msgspec.json.encode(record)
            if len(body) > RECORD_BYTES_MAX:
                raise RefuseInput("too_large", f"{len(body)} bytes, at most {RECORD_BYTES_MAX}")
            asset = getattr(record.what, "asset", None)
            change = "UPDATE record SET body = ?, asset = ? WHERE number = ?"
            self._link.execute(change, (body, asset, number))
            photos = record.what.photos if isinstance(record.what, Inspection) else ()
            rows = [(one.sha256, one.file, number) for one in photos]
            self._link.executemany("INSERT OR IGNORE INTO photo VALUES (?, ?, ?, NULL)", rows)
            self._keep(also)
        self.waiting += 1
        self._waiting_bytes += len(body)
        return record

    def unsettled(self, records_max: int, bytes_max: int, after: int = 0) -> list[bytes]:
        """Return the oldest records that wait, behind number `after`, as they were written."""
        found, taken = list[bytes](), 0
        query = (
            "SELECT body FROM record WHERE outcome IS NULL AND number > ? ORDER BY number LIMIT ?"
        )
        for (body,) in self._link.execute(query, (after, records_max)):
            taken += len(body) + 1
            if found and taken > bytes_max:
                break
            found.append(body)
        return found

    def settle(self, words: Sequence[Settled]) -> None:
        """Keep the service's words; those on records that are settled or unknown change nothing."""
        change = (
            "UPDATE record SET outcome = ?, word = ? WHERE number = ? AND outcome IS NULL "
            "RETURNING length(body)"
        )
        settled, freed = 0, 0
        with self._transaction():
            for word in words:
                values = (word.outcome, msgspec.json.encode(word), word.number)
                for (size,) in self._link.execute(change, values).fetchall():
                    settled, freed = settled + 1, freed + size
            self._forget_old()
        self.waiting -= settled
        self._waiting_bytes -= freed

    def faulty(self) -> list[KeptRecord]:
        """Return what the service found fault with and nobody has looked at, the oldest first."""
        where = "outcome IN ('conflict', 'refused') AND seen = 0 ORDER BY number LIMIT 500"
        return list(self._find(where, ()))

    def unsent_photos(self) -> list[tuple[str, str]]:
        """Return (SHA-256, file) of the photos that the service expects, of the oldest records."""
        query = (
            "SELECT sha256, file FROM photo WHERE word IS NULL AND number IN "
            "(SELECT number FROM record WHERE outcome IS NOT NULL) ORDER BY number LIMIT 500"
        )
        return self._link.execute(query).fetchall()

    def settle_photo(self, sha256: str, word: str) -> None:
        """Note what became of a photo: `sent`, or the reason for which it cannot be."""
        with self._transaction():
            self._link.execute("UPDATE photo SET word = ? WHERE sha256 = ?", (word, sha256))

    @property
    def lost_photos(self) -> int:
        """How many photos could not be sent: their file is gone or was changed."""
        query = "SELECT count(*) FROM photo WHERE word NOT IN ('sent', 'seen')"
        return int(self._link.execute(query).fetchone()[0])

    def look_at_photos(self) -> None:
        """Note that a person has been told of lost photos."""
        with self._transaction():
            self._link.execute("UPDATE photo SET word = 'seen' WHERE word != 'sent'")

    def look_at(self, number: int) -> None:
        """Note that a person has read the service's word on a record."""
        with self._transaction():
            self._link.execute("UPDATE record SET seen = 1 WHERE number = ?", (number,))

    def history(self, asset: str, limit: int = 20) -> list[KeptRecord]:
        """Return what was done here about one asset, the newest first."""
        return list(self._find("asset = ? ORDER BY number DESC LIMIT ?", (asset, limit)))

    def shelf(self, place: str) -> frozenset[str]:
        """Return what was on a shelf when it was counted here last; nothing where it never was."""
        known = self.kept(f"shelf {place}")
        return (
            frozenset() if known is None else frozenset(msgspec.json.decode(known, type=list[str]))
        )

    def get(self, number: int) -> KeptRecord | None:
        """Return one record."""
        return next(iter(self._find("number = ?", (number,))), None)

    def keep(self, **values: bytes) -> None:
        """Keep values by name, in one transaction; durable on return."""
        with self._transaction():
            self._keep(values)

    def kept(self, name: str) -> bytes | None:
        """Return what is kept under a name."""
        row = self._link.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Close the file."""
        self._link.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Do all of it durably, or nothing; RetryLater when the disk does not take it."""
        try:
            with self._link:
                self._link.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.OperationalError as error:
            raise RetryLater(f"{FILE}: {error}") from None

    def _keep(self, values: dict[str, bytes]) -> None:
        self._link.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", list(values.items()))

    def _forget_old(self) -> None:
        forget = (
            "DELETE FROM record WHERE outcome IS NOT NULL AND number <= "
            "(SELECT max(number) FROM record) - ? "
            "AND (outcome IN ('taken', 'known') OR seen = 1) "
            "AND number NOT IN (SELECT number FROM photo WHERE word IS NULL)"
        )
        self._link.execute(forget, (SETTLED_MAX,))
        self._link.execute(
            "DELETE FROM photo WHERE word IN ('sent', 'seen') AND number NOT IN "
            "(SELECT number FROM record)"
        )

    def _find(self, where: str, values: tuple[object, ...]) -> Iterable[KeptRecord]:
        query = f"SELECT body, outcome, word FROM record WHERE {where}"  # noqa: S608
        for body, outcome, word in self._link.execute(query, values).fetchall():
            yield KeptRecord(
                record=_record.decode(body),
                outcome=outcome,
                word=None if word is None else _settled.decode(word),
            )

    def _identity(self) -> str:
        known = self.kept("store")
        if known is None:
            known = uuid.uuid4().hex.encode()
            self.keep(store=known)
        return known.decode()


def _open(path: Path) -> sqlite3.Connection:
    link = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        path.chmod(0o600)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            link.execute(f"PRAGMA {pragma}")
        with closing(link.execute("PRAGMA quick_check")) as checked:
            if checked.fetchone() != ("ok",):
                raise sqlite3.DatabaseError("damaged")
        link.executescript(_TABLES)
    except BaseException:
        link.close()
        raise
    return link


def _set_aside(path: Path) -> Path:
    """Rename a damaged file with its log; nothing of it is deleted."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm"):
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.rename(aside.with_name(aside.name + suffix))
    return path.rename(aside)
