"""Heads of the audit outside its database: a file that grows by one line every few seconds.

A database that is cut, or put back to an earlier state, no longer holds the entry that a head
names. Such a head is never written over: its file is set aside, and `verify` reads it for good.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from sqlalchemy import Connection, select

from cloud.model.audit import Head, mac_of, read_head
from cloud.model.database import Database
from cloud.model.people_tables import audit
from protocols.clock import Clock, iso
from protocols.durable import PRIVATE, sync_folder

logger = logging.getLogger(__name__)

HEADS_FILE = "audit-heads.jsonl"
EARLIER_FILE = "audit-heads.1.jsonl"
ANY_FILE = "audit-heads*.jsonl"
FILE_BYTES_MAX = 1 << 20
"""Some 4,000 heads; then a new file is begun, and the one before the last is forgotten."""
FILES_MAX = 100
"""Beyond it no further file is set aside: heads go on in the one that there is."""


class KeptHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line."""

    seq: int
    hash: str
    recorded_at: int
    """ms since 1970."""
    mac: str
    """Over all the rest."""

    def is_genuine(self, key: bytes) -> bool:
        """Tell whether the service wrote it."""
        return self.mac == _mac(key, self.seq, self.hash, self.recorded_at)


class HeadsFile:
    """Appends heads. Not thread-safe; of one process."""

    def __init__(self, folder: Path, key: bytes, clock: Clock) -> None:
        self._folder, self._key, self._clock = folder, key, clock
        self._file = folder / HEADS_FILE
        self._last: KeptHead | None = None
        if self._file.exists():
            _drop_torn_end(self._file)
            genuine = [one for _, one in read_heads(self._file) if one and one.is_genuine(key)]
            self._last = genuine[-1] if genuine else None

    def follow(self, database: Database) -> None:
        """Write the newest head if it is another than the last; blocking.

        Raises:
            OSError: the file cannot be written; the head is written the next time.
            RetryLater: the database is away.

        """
        head, in_place = database.read_now(self._look)
        if self._last is not None and not in_place:
            self._set_aside(self._last)
        if head is not None and (self._last is None or self._last.seq != head.seq):
            self._append(head)

    def _look(self, connection: Connection) -> tuple[Head | None, bool]:
        """Return the head if its entry is there, and whether that of the last kept one still is."""
        head = read_head(connection)
        if head is not None and not _is_there(connection, head):
            head = None
        return head, self._last is None or _is_there(connection, self._last)

    def _set_aside(self, last: KeptHead) -> None:
        self._last = None
        at = iso(self._clock.wall_ms()).replace(":", "")
        aside = self._folder / f"audit-heads.{at}.jsonl"
        if len(list(self._folder.glob(ANY_FILE))) < FILES_MAX:
            self._file.replace(aside)
        text = "the audit no longer holds its entry %d as it was: cut off, bent or put back; see %s"
        logger.error(text, last.seq, aside)

    def _append(self, head: Head) -> None:
        now_ms = self._clock.wall_ms()
        kept = KeptHead(head.seq, head.hash, now_ms, _mac(self._key, head.seq, head.hash, now_ms))
        if self._file.exists() and self._file.stat().st_size >= FILE_BYTES_MAX:
            self._file.replace(self._folder / EARLIER_FILE)
        handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(kept) + b"\n")
            file.flush()
            os.fsync(handle)
        sync_folder(self._folder)
        self._last = kept


def _is_there(connection: Connection, head: Head | KeptHead) -> bool:
    """Tell whether the audit holds the entry that a head names."""
    query = select(audit.c.hash).where(audit.c.seq == head.seq)
    return head.seq == 0 or connection.execute(query).scalar() == head.hash


def read_heads(file: Path) -> Iterator[tuple[int, KeptHead | None]]:
    """Yield (line number, head); None for a line that is none.

    A last line that was not written to its end is passed over: a power cut leaves it.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield number, msgspec.json.decode(line, type=KeptHead)
            except (msgspec.DecodeError, UnicodeDecodeError):
                yield number, None


def _drop_torn_end(file: Path) -> None:
    with file.open("r+b") as written:
        whole = written.read().rfind(b"\n") + 1
        written.truncate(whole)


def _mac(key: bytes, seq: int, hash_: str, recorded_at: int) -> str:
    return mac_of(key, ["kept head", seq, hash_, recorded_at])
