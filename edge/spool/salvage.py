"""Opening a spool whatever its state: what can be read is kept, what cannot is declared lost.

A damaged file is moved into `damaged/N` with its log and read there row by row into a new file,
which takes its place only when it is complete; a start that is interrupted begins anew.
"""

import logging
import os
import shutil
import sqlite3
from collections import deque
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from edge.batches import Batch, Declared, Line, Lost
from edge.spool.rows import LineRow, Row, row_place, unpack
from edge.spool.sqlite import (
    FILE,
    PAGE_BYTES,
    SqliteRows,
    SqliteSpool,
    declared_of,
    line_of,
    row_of,
)
from protocols.clock import Clock
from protocols.errors import StopService
from protocols.messages import is_spool_id
from protocols.ranges import RangeSet
from protocols.topics import STREAMS

log = logging.getLogger(__name__)

NEW_FILE = "spool.new.db"
ASIDE = "damaged"
DONE = "salvaged"
ASIDE_KEPT_MAX = 2
ERRORS_MAX = 5_000
"""Reads that may fail before the rest of a damaged table is given up."""
LEAP_SEARCHED_MAX = 2**16
"""Between damaged places so far apart nothing is searched: that is another spool's range."""
ID_MAX = 2**63 - 1
SEQ_TRUSTED_MAX = 2**36 - 1


class Salvaged(msgspec.Struct):
    """What could be read of a damaged file."""

    lines: dict[Line, LineRow] = {}
    rows: dict[int, tuple[Row, Batch]] = {}
    declared: list[Declared] = []
    unknown: set[Line] = set()
    """Lines whose last seq could not be read."""


def open_spool(
    folder: Path, *, spool_id: str, boot_id: str, clock: Clock, bytes_max: int
) -> SqliteSpool:
    """Open the spool of a state folder; a damaged one is salvaged first.

    Raises:
        RetryLater: the disk takes nothing (full, read-only).

    """

    def _start() -> SqliteSpool:
        return SqliteSpool(
            folder / FILE, spool_id=spool_id, boot_id=boot_id, clock=clock, bytes_max=bytes_max
        )

    for _ in range(2):
        _finish_interrupted(folder)
        aside = _unsalvaged(folder)
        if aside is not None:
            _rebuild(folder, aside, bytes_max)
        try:
            return _start()
        except StopService as error:
            log.warning("%s; it is set aside and salvaged", error)
            _set_aside(folder)
    return _start()


def _finish_interrupted(folder: Path) -> None:
    """Throw away a new file that was not completed."""
    for suffix in ("", "-wal", "-shm"):
        (folder / f"{NEW_FILE}{suffix}").unlink(missing_ok=True)


def _unsalvaged(folder: Path) -> Path | None:
    """Return the folder set aside last, when nothing has taken its place yet."""
    if (folder / FILE).exists():
        return None
    numbers = _numbers(folder)
    last = folder / ASIDE / str(numbers[-1]) if numbers else None
    return last if last is not None and not (last / DONE).exists() else None


def _numbers(folder: Path) -> list[int]:
    aside = folder / ASIDE
    names = [one.name for one in aside.iterdir()] if aside.is_dir() else []
    return sorted(int(name) for name in names if name.isdigit())


def _set_aside(folder: Path) -> Path:
    numbers = _numbers(folder)
    for number in numbers[: max(0, len(numbers) - ASIDE_KEPT_MAX + 1)]:
        shutil.rmtree(folder / ASIDE / str(number), ignore_errors=True)
    aside = folder / ASIDE / str(max(numbers, default=0) + 1)
    aside.mkdir(parents=True)
    for suffix in ("-wal", "", "-shm"):  # the log first: without it the file is older, not wrong
        with suppress(FileNotFoundError):
            (folder / f"{FILE}{suffix}").rename(aside / f"{FILE}{suffix}")
    return aside


def _rebuild(folder: Path, aside: Path, bytes_max: int) -> None:
    """Fill a new file with what can be read of the one set aside, and put it in place."""
    try:
        found = _read(aside / FILE)
        lost = _losses(found)
        _write(folder / NEW_FILE, found, lost, bytes_max)
    except (StopService, sqlite3.Error, OSError) as error:
        log.warning("nothing could be salvaged: %s", error)
        _finish_interrupted(folder)
    else:
        (folder / NEW_FILE).rename(folder / FILE)
        log.warning("salvaged %d batches; %d ranges declared lost", len(found.rows), len(lost))
    (aside / DONE).touch()


def _write(file: Path, found: Salvaged, lost: list[Lost], bytes_max: int) -> None:
    rows = SqliteRows(file, bytes_max=bytes_max)
    with rows.transaction():
        for line in found.lines.values():
            rows.put_line(line)
        for row, _ in found.rows.values():
            rows.insert(row)
        rows.put_declared([one for one in found.declared if _gap_held(one, found)])
    rows.close()
    spool = SqliteSpool(
        file,
        spool_id=os.urandom(16).hex(),
        boot_id="salvage",
        clock=_NoClock(),
        bytes_max=bytes_max,
    )
    spool.append((), (), lost)
    spool.close()


class _NoClock:
    """Gap records need no time of their own."""

    def wall_ms(self) -> int:
        return 0

    def boot_ms(self) -> int:
        return 0


def _gap_held(one: Declared, found: Salvaged) -> bool:
    line = found.lines.get((one.gap.spool, one.gap.stream))
    return line is not None and any(batch.key == one.gap for _, batch in found.rows.values())


def _losses(found: Salvaged) -> list[Lost]:
    """Declare whatever may have been in the file and is not there any more.

    Batches that were settled before are in these ranges too; they stay settled, for the first
    settlement wins.
    """
    lost = [one.lost for one in found.declared if not _gap_held(one, found)]
    held: dict[Line, RangeSet] = {}
    for _, batch in found.rows.values():
        held.setdefault((batch.key.spool, batch.key.stream), RangeSet()).add(batch.key.seq)
    for (spool, stream), line in found.lines.items():
        for low, high in held.get((spool, stream), RangeSet()).missing(1, line.last_seq):
            lost.append(
                Lost(spool=spool, stream=stream, from_seq=low, to_seq=high, reason="damaged")
            )
        if (spool, stream) in found.unknown:
            top = line.last_seq + 1
            lost.append(
                Lost(spool=spool, stream=stream, from_seq=top, to_seq=None, reason="damaged")
            )
    return lost


def _read(file: Path) -> Salvaged:
    found = Salvaged()
    if not file.exists():
        return found
    if not _read_into(file, found):
        repaired = file.with_name("repaired.db")
        with suppress(OSError):
            _with_fresh_first_page(file, repaired)
            _read_into(repaired, found)
        for path in file.parent.glob("repaired.db*"):
            path.unlink(missing_ok=True)
    _complete_lines(found)
    return found


def _with_fresh_first_page(file: Path, repaired: Path) -> None:
    """Copy a file, with a first page as every spool has it: it holds the schema alone."""
    fresh = file.with_name("repaired.db-fresh")
    SqliteRows(fresh, bytes_max=2**20).close()
    page = bytearray(fresh.read_bytes()[:PAGE_BYTES])
    fresh.unlink()
    shutil.copyfile(file, repaired)
    pages = file.stat().st_size // PAGE_BYTES
    page[28:32] = pages.to_bytes(4, "big")
    page[32:40] = bytes(8)
    with repaired.open("r+b") as out:
        out.write(page)


def _read_into(file: Path, found: Salvaged) -> bool:
    """Read what can be read; False when the file does not even open."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.DatabaseError:
            return False
        for line in map(line_of, _rows(connection, "spool_history", 5)):
            if _sound(line):
                found.lines[line.spool, line.stream] = line
        found.declared = [declared_of(row) for row in _rows(connection, "lost", 11)]
        for raw in _rows(connection, "batch", 8):
            with suppress(TypeError, ValueError, OverflowError):
                row = row_of(raw)
                batch = unpack(row)
                if batch is not None:
                    found.rows[row.id] = (row, batch)
    return True


def _sound(line: LineRow) -> bool:
    return (
        isinstance(line.spool, str)
        and is_spool_id(line.spool)
        and line.stream in STREAMS
        and isinstance(line.last_seq, int)
        and 0 <= line.last_seq <= SEQ_TRUSTED_MAX
        and isinstance(line.last_at, int)
    )


def _complete_lines(found: Salvaged) -> None:
    """Make lines for batches whose line could not be read; their tail is unknown."""
    for row, batch in found.rows.values():
        key = (batch.key.spool, batch.key.stream)
        known, no = found.lines.get(key), row_place(row.id)[0]
        if known is None or known.last_seq < batch.key.seq:
            last_at = known.last_at if known else 0
            found.lines[key] = LineRow(no, *key, batch.key.seq, last_at)
            found.unknown.add(key)
        elif known.no != no:
            found.lines[key] = LineRow(no, *key, known.last_seq, known.last_at)


def _rows(connection: sqlite3.Connection, table: str, width: int) -> Iterable[tuple[Any, ...]]:
    """Read a table row by row, jumping over what fails by ever longer leaps, then back to it."""
    found: dict[int, tuple[Any, ...]] = {}
    todo, errors = deque([(0, ID_MAX)]), 0
    while todo and errors < ERRORS_MAX:
        low, high = todo.popleft()
        last = _scan(connection, table, (low, high), "ASC", found)
        if last is None:
            continue
        errors += 1
        leap = 1
        while (landed := last + 1 + leap) <= high:
            reached = _scan(connection, table, (landed, high), "ASC", found)
            if reached is None or reached >= landed:
                break
            errors, leap = errors + 1, 2 * leap
        if landed <= high:
            if reached is not None:
                todo.append((reached + 1, high))
            high = landed - 1
        first = _scan(connection, table, (last + 1, high), "DESC", found)
        if first is not None and last + 1 < first - 1 and landed - last < LEAP_SEARCHED_MAX:
            middle = (last + first) // 2
            todo += [(last + 1, middle), (middle + 1, first - 1)]
    return [row for row in found.values() if len(row) == width]


def _scan(
    connection: sqlite3.Connection,
    table: str,
    bounds: tuple[int, int],
    order: str,
    found: dict[int, tuple[Any, ...]],
) -> int | None:
    """Read rows in one direction; None when the end was reached, else the last id before it."""
    low, high = bounds
    at = low - 1 if order == "ASC" else high + 1
    try:
        for row in connection.execute(
            f"SELECT * FROM {table} WHERE id BETWEEN ? AND ? ORDER BY id {order}",  # noqa: S608
            (low, min(high, ID_MAX)),
        ):
            if not isinstance(row[0], int):
                continue
            found[row[0]] = row
            at = row[0]
    except (sqlite3.Error, OverflowError, UnicodeDecodeError):
        return at
    return None
