"""Attaches one day file, and repairs it as far as needed for that."""

import logging
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cloud.telemetry.day_files.guard import LogGuard, first_damage
from cloud.telemetry.day_files.layout import Layout, file_name, quoted, table_name
from cloud.telemetry.day_files.ledger import Marks
from cloud.telemetry.day_files.repair import (
    Repairer,
    check_repairable,
    escaped,
    looks_damaged,
    note_saved,
    salvage,
)
from cloud.telemetry.day_files.schema import bring_up, read_marks
from protocols.errors import RetryLater, StopService

logger = logging.getLogger("suyuan.cloud.telemetry")

REPAIRS_MAX = 6
"""Steps that are tried on one file: its log is cut a few times, then moved away, then the file."""


@dataclass
class DayFile:
    """One attached file."""

    day: int
    alias: str
    layouts: dict[str, Layout]
    """Kind -> columns of its wide table, as this file has them."""
    marks: Marks
    """As read when it was attached."""
    partitions: set[str]
    """Those that have a row in table `mark`."""
    guard: LogGuard
    pins: int = 0
    stale: bool = False
    """An error left it open what the file holds: it is opened anew for its next use."""

    def table(self, stage: str, content: str) -> str:
        """Name a table for SQL."""
        return f"{quoted(self.alias)}.{quoted(table_name(stage, content))}"

    def own(self, name: str) -> str:
        """Name a table of positions for SQL."""
        return f"{quoted(self.alias)}.{name}"


class Opener:
    """Opens the files of one folder; the caller makes sure that no two threads open one."""

    def __init__(self, folder: Path, layouts: dict[str, Layout], repairer: Repairer) -> None:
        self._folder, self._layouts, self._repairer = folder, layouts, repairer

    def attach(self, base: duckdb.DuckDBPyConnection, day: int) -> DayFile:
        """Attach a day's file, made if there is none, repaired if it is damaged.

        Raises:
            RetryLater: the disk or the memory is the trouble.
            StopService: another process has it, or it belongs to a newer DuckDB.

        """
        path = self._folder / file_name(day)
        damaged_at = first_damage(path)
        if damaged_at is not None:
            self._repairer.step(day, f"its log is not what was written, byte position {damaged_at}")
        for _ in range(REPAIRS_MAX):
            try:
                return self._open(base, day, path)
            except duckdb.Error as error:
                detach(base, day)
                check_repairable(error, path)
                moved = self._repairer.step(day, str(error))
                if moved is not None:
                    return self._replace(base, day, moved)
        raise StopService(f"{path} could not be repaired")

    def rebuild(self, base: duckdb.DuckDBPyConnection, day: int, why: str) -> DayFile:
        """Put a new file in the place of one with a damaged block; errors as `attach`."""
        return self._replace(base, day, self._repairer.move_main(day, why))

    def _replace(self, base: duckdb.DuckDBPyConnection, day: int, moved: Path) -> DayFile:
        """Make a new file from what is readable of the damaged one."""
        path = self._folder / file_name(day)
        try:
            file = self._open(base, day, path)
            with base.cursor() as cursor:
                salvage(cursor, moved, file.alias)
                note_saved(cursor, file.alias, day)
                file.marks, file.partitions = read_marks(cursor, file.alias)
        except duckdb.Error as error:
            detach(base, day)
            raise RetryLater(f"{path} cannot be rebuilt now: {error}") from error
        file.guard.follow()
        return file

    def _open(self, base: duckdb.DuckDBPyConnection, day: int, path: Path) -> DayFile:
        alias = f"day{day}"
        with base.cursor() as cursor:
            cursor.execute(f"ATTACH '{escaped(path)}' AS {quoted(alias)}")
            layouts = bring_up(cursor, alias, self._layouts)
            marks, partitions = read_marks(cursor, alias)
        file = DayFile(day, alias, layouts, marks, partitions, LogGuard(path))
        file.guard.begin()
        return file


def detach(base: duckdb.DuckDBPyConnection, day: int) -> str | None:
    """Close a day's file, if it is open; returns the error when that showed damage."""
    with base.cursor() as cursor:
        try:
            cursor.execute(f"DETACH DATABASE IF EXISTS {quoted(f'day{day}')}")
        except duckdb.Error as error:  # it is detached, but was not written back
            logger.warning("closing %s: %s", file_name(day), str(error)[:300])
            return str(error) if looks_damaged(error) else None
    return None
