"""What is done about a damaged day file: always a step forward, and nothing is thrown away.

The tail of its log is copied and cut where the error says; a log that gives no position is moved
away; a main file that cannot be opened is moved away, and what is readable of it is copied into
a new one. A marker beside the file says, through a crash too, that its readings must be read from
the log again.
"""

import logging
import os
import re
import shutil
from pathlib import Path

import duckdb

from cloud.telemetry.day_files.layout import ROW_BITS, SUFFIX, day_of_name, file_name, quoted
from protocols.errors import RetryLater, StopService

logger = logging.getLogger("suyuan.cloud.telemetry")

SET_ASIDE_MAX = 16
"""Damaged files kept for a person to look at; the oldest go first."""
SALVAGE_ROWS = 122_880
"""Rows copied at a time: one row group, so that a bad block costs no more than it holds."""
MARKER = ".rebuild"
_POSITION = re.compile(r"byte position (\d+)")
_DAMAGE = ("corrupt", "checksum", "not a valid duckdb", "replaying wal", "not read enough bytes")


def looks_damaged(error: duckdb.Error) -> bool:
    """Tell whether an error speaks of a damaged file."""
    text = str(error).lower()
    return isinstance(error, duckdb.SerializationException) or any(one in text for one in _DAMAGE)


def check_repairable(error: duckdb.Error, path: Path) -> None:
    """Return when opening failed because the file is damaged.

    Raises:
        StopService: another process has it, or it belongs to a newer DuckDB.
        RetryLater: the disk or the memory is the trouble.

    """
    text = str(error)
    if "Could not set lock" in text:
        raise StopService(f"{path} is in use by another process; stop that one first") from error
    if "with version number" in text and "upgrade" in text.lower():
        raise StopService(f"{path} was written by a newer DuckDB: {text[:300]}") from error
    if looks_damaged(error) or isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return
    if isinstance(error, duckdb.OperationalError):
        raise RetryLater(f"{path}: {text[:300]}") from error


class Repairer:
    """Sets aside, cuts and marks the files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._damaged = folder / "damaged"

    def step(self, day: int, why: str) -> Path | None:
        """Do the next thing about a file that does not open.

        Returns where its main file was moved to, when that was the step; None: try again.
        """
        main = self._folder / file_name(day)
        logs = sorted(self._folder.glob(f"{main.name}.wal*"))
        logger.error("day file %s is damaged, it is repaired: %s", main.name, why[:300])
        self.mark(day)
        self._damaged.mkdir(exist_ok=True)
        found = _POSITION.search(why)
        log = main.with_name(main.name + ".wal")
        if found and log.exists() and int(found[1]) < log.stat().st_size:
            shutil.copy2(log, self._free_name(log))
            with log.open("r+b") as file:
                file.truncate(int(found[1]))
                os.fsync(file.fileno())
            return None
        if logs:
            for log in logs:
                log.replace(self._free_name(log))
            return None
        moved = self._free_name(main)
        main.replace(moved)
        return moved

    def move_main(self, day: int, why: str) -> Path:
        """Move away a file in which reading met a damaged block; it must be closed."""
        main = self._folder / file_name(day)
        logger.error("day file %s has a damaged block, it is rebuilt: %s", main.name, why[:300])
        self.mark(day)
        self._damaged.mkdir(exist_ok=True)
        moved = self._free_name(main)
        for log in sorted(self._folder.glob(f"{main.name}.wal*")):
            log.replace(moved.with_name(moved.name + log.name.removeprefix(main.name)))
        main.replace(moved)
        return moved

    def set_aside_name(self, stem: str, suffix: str) -> Path:
        """Return a free name among the files that were set aside."""
        self._damaged.mkdir(exist_ok=True)
        return self._free_name(Path(stem + suffix))

    def mark(self, day: int) -> None:
        """Write durably that a day is to be rebuilt from the log."""
        with self._marker(day).open("w") as file:
            os.fsync(file.fileno())
        sync_folder(self._folder)

    def unmark(self, day: int) -> None:
        """The rebuild is complete."""
        self._marker(day).unlink(missing_ok=True)

    def marked(self) -> set[int]:
        """Return the days whose rebuild was begun and not finished."""
        names = (path.name.removesuffix(MARKER) for path in self._folder.glob(f"*{MARKER}"))
        return {day for name in names if (day := day_of_name(name + SUFFIX)) is not None}

    def _marker(self, day: int) -> Path:
        return self._folder / (file_name(day).removesuffix(SUFFIX) + MARKER)

    def _free_name(self, path: Path) -> Path:
        kept = sorted(self._damaged.iterdir(), key=lambda p: (p.stat().st_mtime_ns, p.name))
        for old in kept[: max(0, len(kept) + 1 - SET_ASIDE_MAX)]:
            old.unlink()
        number = 1
        while (target := self._damaged / f"{number}.{path.name}").exists():
            number += 1
        return target


def salvage(cursor: duckdb.DuckDBPyConnection, source: Path, alias: str) -> int:
    """Copy the readable rows of a damaged file into the file attached as `alias`.

    Returns how many. What is not readable comes back from the log, as far as that goes.
    """
    try:
        cursor.execute(f"ATTACH '{escaped(source)}' AS salvage (READ_ONLY)")
    except duckdb.Error as error:
        logger.error("nothing can be read of %s: %s", source.name, str(error)[:300])  # noqa: TRY400
        return 0
    saved = 0
    try:
        for table in _tables(cursor, "salvage"):
            if table.startswith(("arrival_", "sorted_")):
                saved += _salvage_table(cursor, table, alias)
    finally:
        cursor.execute("DETACH salvage")
    logger.warning("saved %d rows of %s", saved, source.name)
    return saved


def note_saved(cursor: duckdb.DuckDBPyConnection, alias: str, day: int) -> None:
    """Note in a file up to which log positions it has saved rows: they will come again."""
    tables = [name for name in _tables(cursor, alias) if name.startswith(("arrival_", "sorted_"))]
    rows = " UNION ALL ".join(
        f"SELECT _partition, _sequence FROM {quoted(alias)}.{quoted(name)}"  # noqa: S608
        for name in tables
    )
    cursor.execute(
        f"INSERT INTO {quoted(alias)}.noted"  # noqa: S608
        f" SELECT ?, _partition, max(_sequence) >> {ROW_BITS} FROM ({rows}) GROUP BY _partition",
        [day],
    )


def _tables(cursor: duckdb.DuckDBPyConnection, alias: str) -> list[str]:
    query = "SELECT table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY 1"
    return [row[0] for row in cursor.execute(query, [alias]).fetchall()]


def _salvage_table(cursor: duckdb.DuckDBPyConnection, table: str, alias: str) -> int:
    saved, name = 0, quoted(table)
    try:
        count = cursor.execute(f"SELECT max(rowid) + 1 FROM salvage.{name}").fetchall()[0][0] or 0  # noqa: S608
        for start in range(0, count, SALVAGE_ROWS):
            saved += _salvage_rows(cursor, name, alias, start)
    except duckdb.Error as error:
        logger.warning("table %s: %s", table, str(error)[:300])
    return saved


def _salvage_rows(cursor: duckdb.DuckDBPyConnection, name: str, alias: str, start: int) -> int:
    try:
        found = cursor.execute(
            f"INSERT INTO {quoted(alias)}.{name} BY NAME SELECT * FROM salvage.{name}"  # noqa: S608
            " WHERE rowid >= ? AND rowid < ?",
            [start, start + SALVAGE_ROWS],
        ).fetchall()
        return int(found[0][0])
    except duckdb.Error as error:
        logger.warning("rows %d and on of %s are lost here: %s", start, name, str(error)[:200])
        return 0


def escaped(path: Path) -> str:
    """Write a path inside a SQL string."""
    return str(path).replace("'", "''")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
