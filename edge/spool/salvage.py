"""Opening a spool whatever its state: what can be read is kept, what cannot is declared lost.

A damaged file is moved into `damaged/N` with its log and read there row by row into a new file,
which takes its place only when it is complete; a start that is interrupted begins anew.
"""

import logging
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from edge.batches import Declared, Line, Lost
from edge.spool.carve import carve
from edge.spool.rows import PAGE_BYTES, LineRow, Row, row_place, unpack
from edge.spool.sqlite import (
    DISTRUSTED,
    FILE,
    SqliteRows,
    SqliteSpool,
    declared_of,
    line_of,
    row_of,
)
from edge.spool.wal import is_of_another, leaves_out_commits
from protocols.clock import Clock
from protocols.errors import RetryLater, StopService
from protocols.messages import is_spool_id
from protocols.ranges import RangeSet
from protocols.topics import STREAMS

log = logging.getLogger(__name__)

NEW_FILE = "spool.new.db"
ASIDE = "damaged"
DONE = "salvaged"
ASIDE_KEPT_MAX = 2
ROWS_PER_COMMIT = 500
SEQ_TRUSTED_MAX = 2**36 - 1
TAIL_MAX = 10_000
"""An id so far behind the last known seq is noise."""
_LINE_FIELDS, _ROW_FIELDS, _LOST_FIELDS = 5, 8, 11
"""By their number of fields the rows of the three tables are told apart."""


class Salvaged(msgspec.Struct):
    """What could be read of a damaged file, but for the batches themselves."""

    lines: dict[Line, LineRow] = {}
    held: dict[Line, RangeSet] = {}
    numbers: dict[Line, int] = {}
    """Line -> position of its spool, as the batches tell it."""
    declared: dict[int, Declared] = {}
    spoiled: list[int] = []
    """Ids of rows that look like batches and cannot be read."""
    unknown: set[Line] = set()
    """Lines whose last seq could not be read."""

    def holds(self, one: Declared) -> bool:
        """Tell whether the batch that declares a loss is there."""
        return one.gap.seq in self.held.get((one.gap.spool, one.gap.stream), RangeSet())


def open_spool(
    folder: Path, *, spool_id: str, boot_id: str, clock: Clock, bytes_max: int
) -> SqliteSpool:
    """Open the spool of a state folder; a damaged one is salvaged first.

    Raises:
        RetryLater: the disk takes nothing (full, read-only, failing).

    """

    def start() -> SqliteSpool:
        return SqliteSpool(
            folder / FILE, spool_id=spool_id, boot_id=boot_id, clock=clock, bytes_max=bytes_max
        )

    try:
        return _open(folder, bytes_max, start)
    except OSError as error:
        raise RetryLater(f"spool: {error}") from error


def _open(folder: Path, bytes_max: int, start: Callable[[], SqliteSpool]) -> SqliteSpool:
    for _ in range(2):
        _finish_interrupted(folder)
        if is_of_another(folder / f"{FILE}-wal", folder / FILE, PAGE_BYTES):
            log.warning("the log of another file lies beside the spool; it is removed")
            (folder / f"{FILE}-wal").unlink()
        if (folder / DISTRUSTED).exists() or _cannot_be_opened(folder):
            log.warning("the spool or its log is damaged; it is set aside and salvaged")
            _set_aside(folder)
            (folder / DISTRUSTED).unlink(missing_ok=True)
        aside = _unsalvaged(folder)
        if aside is not None:
            _rebuild(folder, aside, bytes_max)
        try:
            return start()
        except StopService as error:
            log.warning("%s; it is set aside and salvaged", error)
            _set_aside(folder)
    return start()


def _cannot_be_opened(folder: Path) -> bool:
    """Tell of what SQLite would not complain of, but leave out or throw away."""
    file, wal = folder / FILE, folder / f"{FILE}-wal"
    if file.is_dir() or leaves_out_commits(wal, PAGE_BYTES):
        return True
    return not file.exists() and wal.exists() and wal.stat().st_size > 0


def _finish_interrupted(folder: Path) -> None:
    """Throw away a new file that was not completed."""
    for suffix in ("", "-wal", "-shm"):
        file = folder / f"{NEW_FILE}{suffix}"
        if file.exists():  # a read-only disk refuses to remove even what is not there
            file.unlink()


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
        batches, losses = _salvage(aside, folder / NEW_FILE, bytes_max)
    except StopService as error:
        log.warning("nothing could be salvaged: %s", error)
        _finish_interrupted(folder)
    else:
        (folder / NEW_FILE).rename(folder / FILE)
        log.warning("salvaged %d batches; %d ranges declared lost", batches, losses)
    (aside / DONE).touch()


def _salvage(aside: Path, file: Path, bytes_max: int) -> tuple[int, int]:
    """Write all that can be read into a new file; return how many batches and losses."""
    found, rows = Salvaged(), SqliteRows(file, bytes_max=bytes_max)
    try:
        for part in _parts(_read(aside, found)):
            with rows.transaction():
                for row in part:
                    rows.restore(row)
        _complete_lines(found)
        _doubt_tails(found)
        with rows.transaction():
            for line in found.lines.values():
                rows.put_line(line)
            rows.put_declared([one for one in found.declared.values() if found.holds(one)])
    finally:
        rows.close()
    lost = _losses(found)
    spool = SqliteSpool(
        file,
        spool_id=os.urandom(16).hex(),
        boot_id="salvage",
        clock=_NoClock(),
        bytes_max=bytes_max,
    )
    spool.append((), (), lost)
    spool.close()
    return sum(held.count() for held in found.held.values()), len(lost)


class _NoClock:
    """Gap records need no time of their own."""

    def wall_ms(self) -> int:
        return 0

    def boot_ms(self) -> int:
        return 0


def _parts(rows: Iterator[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    for row in rows:
        part.append(row)
        if len(part) == ROWS_PER_COMMIT:
            yield part
            part = []
    yield part


def _read(aside: Path, found: Salvaged) -> Iterator[Row]:
    """Yield batches, note lines and losses; told apart by shape, batches also by a checksum."""
    for rowid, fields in carve(aside / FILE, aside / f"{FILE}-wal", PAGE_BYTES):
        row = (rowid, *fields[1:])  # the first field is the rowid's alias, stored as null
        with suppress(TypeError, ValueError, OverflowError, AttributeError, struct.error):
            if len(row) == _LINE_FIELDS:
                _take_line(line_of(row), found)
            elif len(row) == _LOST_FIELDS:
                _take_declared(row, found)
            elif len(row) == _ROW_FIELDS and (stored := _take_batch(row, found)) is not None:
                yield stored


def _take_line(line: LineRow, found: Salvaged) -> None:
    known = found.lines.get((line.spool, line.stream))
    if _sound(line) and (known is None or known.last_seq <= line.last_seq):
        found.lines[line.spool, line.stream] = line


def _sound(line: LineRow) -> bool:
    return (
        isinstance(line.spool, str)
        and is_spool_id(line.spool)
        and line.stream in STREAMS
        and isinstance(line.last_seq, int)
        and 0 <= line.last_seq <= SEQ_TRUSTED_MAX
        and isinstance(line.last_at, int)
    )


def _take_declared(row: tuple[Any, ...], found: Salvaged) -> None:
    with suppress(msgspec.ValidationError):
        one = msgspec.convert(msgspec.to_builtins(declared_of(row)), Declared)
        if is_spool_id(one.lost.spool) and is_spool_id(one.gap.spool):
            found.declared[row[0]] = one


def _take_batch(row: tuple[Any, ...], found: Salvaged) -> Row | None:
    stored = row_of(row)
    batch = unpack(stored)
    if batch is None:
        found.spoiled.append(stored.id)
        return None
    line = (batch.key.spool, batch.key.stream)
    found.held.setdefault(line, RangeSet()).add(batch.key.seq)
    found.numbers[line] = row_place(stored.id)[0]
    return stored


def _complete_lines(found: Salvaged) -> None:
    """Make lines for batches whose line could not be read; their tail is unknown."""
    for key, held in found.held.items():
        known, no = found.lines.get(key), found.numbers[key]
        if known is None or known.last_seq < held.top:
            last_at = known.last_at if known else 0
            found.lines[key] = LineRow(no, *key, held.top, last_at)
            found.unknown.add(key)
        elif known.no != no:
            found.lines[key] = LineRow(no, *key, known.last_seq, known.last_at)


def _doubt_tails(found: Salvaged) -> None:
    """A batch behind the last known seq, though it cannot be read, tells of more."""
    lines = {(line.no, line.stream): (key, line.last_seq) for key, line in found.lines.items()}
    for number in found.spoiled:
        no, stream, seq = row_place(number)
        key, last_seq = lines.get((no, stream), (None, 0))
        if key is not None and last_seq < seq <= last_seq + TAIL_MAX:
            found.unknown.add(key)


def _losses(found: Salvaged) -> list[Lost]:
    """Declare whatever may have been in the file and is not there any more.

    Batches that were settled before are in these ranges too; they stay settled, for the first
    settlement wins. The newest spool may have had more than any page that can be read tells.
    """
    lost = [one.lost for one in found.declared.values() if not found.holds(one)]
    newest = max((line.no for line in found.lines.values()), default=0)
    for (spool, stream), line in found.lines.items():
        held = found.held.get((spool, stream), RangeSet())
        lost += [
            Lost(spool=spool, stream=stream, from_seq=low, to_seq=high, reason="damaged")
            for low, high in held.missing(1, line.last_seq)
        ]
        if (spool, stream) in found.unknown or line.no == newest:
            top = line.last_seq + 1
            lost.append(
                Lost(spool=spool, stream=stream, from_seq=top, to_seq=None, reason="damaged")
            )
    return lost
