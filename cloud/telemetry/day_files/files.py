"""The day files of one folder, attached to one DuckDB instance as they are needed.

A bounded number is attached at a time; one that is in use by a thread (pinned) stays. Attaching
repairs a damaged file; it never fails because of one.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cloud.telemetry.day_files.guard import LogGuard, first_damage, forget_notes
from cloud.telemetry.day_files.layout import (
    EXTRA,
    EXTRA_COLUMNS,
    OWN_COLUMNS,
    STAGES,
    Layout,
    day_of_name,
    file_name,
    quoted,
    table_name,
    wide,
)
from cloud.telemetry.day_files.ledger import Marks
from cloud.telemetry.day_files.repair import (
    Repairer,
    check_repairable,
    escaped,
    looks_damaged,
    note_saved,
    salvage,
    sync_folder,
)
from protocols.errors import RetryLater, StopService

logger = logging.getLogger("suyuan.cloud.telemetry")

ATTACHED_MAX = 12
"""Beyond it the one that was not used for longest is closed; pinned files do not count."""
REPAIRS_MAX = 6
WAIT_S = 30.0
"""For other threads to leave a file that must be closed."""

OnAttached = Callable[[int, Marks], None]


class DayGone(LookupError):
    """There is no file of that day, or no longer."""


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


class DayFiles:
    """All day files; safe for several threads."""

    def __init__(
        self,
        folder: Path,
        *,
        layouts: dict[str, Layout],
        memory_limit_mb: int,
        on_attached: OnAttached,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._layouts = folder, layouts
        self.repairer = Repairer(folder)
        self._config: dict[str, str | int | float | bool | list[str]] = {
            "threads": 1,
            "memory_limit": f"{memory_limit_mb}MB",
            "temp_directory": str(folder / "spill"),
            "max_temp_directory_size": "8GB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self._on_attached = on_attached
        self._lock = threading.Condition()
        self._attached: OrderedDict[int, DayFile] = OrderedDict()
        self._suspects: dict[int, str] = {}
        self._days = set(self._scan())
        self._base: duckdb.DuckDBPyConnection | None = duckdb.connect(config=self._config)

    def days(self) -> list[int]:
        """Return the days that have a file, oldest first."""
        with self._lock:
            return sorted(self._days)

    @contextmanager
    def use(self, day: int, *, create: bool = False) -> Iterator[DayFile]:
        """Keep a day's file attached while it is used.

        After an error of the engine the file is opened anew for the next use; after one that
        speaks of damage it is rebuilt then.

        Raises:
            DayGone: there is no such file, and `create` is False.
            RetryLater: it cannot be opened now.
            StopService: another process has it.

        """
        with self._lock:
            file = self._pin(day, create=create)
        try:
            yield file
        except duckdb.Error as error:
            with self._lock:
                file.stale = True
                if looks_damaged(error):
                    self._suspects[day] = str(error)
            raise
        finally:
            with self._lock:
                file.pins -= 1
                if file.stale and file.pins == 0 and self._attached.get(day) is file:
                    self._detach(day)
                self._evict()
                self._lock.notify_all()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open a cursor; close it after use.

        Raises:
            RetryLater: the store is closed.

        """
        with self._lock:
            return self._open_base().cursor()

    def remove(self, day: int) -> None:
        """Delete a day's file."""
        with self._lock:
            self._wait_unpinned([day])
            self._detach(day)
            self._days.discard(day)
            for path in self.folder.glob(f"{file_name(day)}*"):
                path.unlink()
            forget_notes(self.folder / file_name(day))
            self.repairer.unmark(day)

    def restart(self) -> None:
        """Open a new instance after an error that spoiled the old one."""
        with self._lock:
            self._wait_unpinned(list(self._attached))
            self._attached.clear()
            if self._base is not None:
                with suppress(duckdb.Error):
                    self._base.close()
                self._base = duckdb.connect(config=self._config)

    def close(self) -> None:
        """Close all files; waits for the threads that use one."""
        with self._lock:
            with suppress(RetryLater):  # a query that hangs does not keep the process alive
                self._wait_unpinned(list(self._attached))
            if self._base is not None:
                for day in list(self._attached):
                    self._detach(day)
            base, self._base = self._base, None
        if base is not None:
            base.close()

    def _scan(self) -> Iterator[int]:
        for path in self.folder.iterdir():
            day = day_of_name(path.name)
            if day is not None:
                yield day

    def _open_base(self) -> duckdb.DuckDBPyConnection:
        if self._base is None:
            raise RetryLater("the telemetry store is closed")
        return self._base

    def _pin(self, day: int, *, create: bool) -> DayFile:
        if day in self._suspects:
            self._wait_unpinned([day])
            self._rebuild_suspect(day)
        file = self._attached.get(day)
        if file is None:
            if day not in self._days and not create:
                raise DayGone(day)
            file = self._attach(day)
        self._attached.move_to_end(day)
        file.pins += 1
        self._evict()
        return file

    def _attach(self, day: int) -> DayFile:
        path = self.folder / file_name(day)
        damaged_at = first_damage(path)
        if damaged_at is not None:
            self.repairer.step(day, f"its log is not what was written, byte position {damaged_at}")
        for _ in range(REPAIRS_MAX):
            try:
                file = self._open(day, path)
            except duckdb.Error as error:
                self._detach(day)
                check_repairable(error, path)
                moved = self.repairer.step(day, str(error))
                if moved is not None:
                    return self._replace(day, path, moved)
            else:
                return self._keep(day, file)
        raise StopService(f"{path} could not be repaired")

    def _replace(self, day: int, path: Path, moved: Path) -> DayFile:
        """Make a new file from what is readable of the damaged one."""
        try:
            file = self._open(day, path)
            with self._open_base().cursor() as cursor:
                salvage(cursor, moved, file.alias)
                note_saved(cursor, file.alias, day)
                file.marks, file.partitions = _read_marks(cursor, file.alias)
        except duckdb.Error as error:
            self._detach(day)
            raise RetryLater(f"{path} cannot be rebuilt now: {error}") from error
        return self._keep(day, file)

    def _rebuild_suspect(self, day: int) -> None:
        self._detach(day)
        why = self._suspects.pop(day)
        path = self.folder / file_name(day)
        if path.exists():
            self._replace(day, path, self.repairer.move_main(day, why))

    def _keep(self, day: int, file: DayFile) -> DayFile:
        if day not in self._days:
            sync_folder(self.folder)
            self._days.add(day)
        file.guard.begin()
        self._attached[day] = file
        self._on_attached(day, file.marks)
        return file

    def _open(self, day: int, path: Path) -> DayFile:
        alias = f"day{day}"
        with self._open_base().cursor() as cursor:
            cursor.execute(f"ATTACH '{escaped(path)}' AS {quoted(alias)}")
            layouts = _bring_up(cursor, alias, self._layouts)
            marks, partitions = _read_marks(cursor, alias)
        return DayFile(day, alias, layouts, marks, partitions, LogGuard(path))

    def _detach(self, day: int) -> None:
        self._attached.pop(day, None)
        with self._open_base().cursor() as cursor:
            try:
                cursor.execute(f"DETACH DATABASE IF EXISTS {quoted(f'day{day}')}")
            except duckdb.Error as error:  # it is detached, but was not written back
                logger.warning("closing %s: %s", file_name(day), str(error)[:300])
                if looks_damaged(error):
                    self._suspects.setdefault(day, str(error))

    def _evict(self) -> None:
        for day, file in list(self._attached.items()):
            if len(self._attached) <= ATTACHED_MAX:
                return
            if file.pins == 0:
                self._detach(day)

    def _wait_unpinned(self, days: list[int]) -> None:
        def free() -> bool:
            return all(self._attached[day].pins == 0 for day in days if day in self._attached)

        if not self._lock.wait_for(free, WAIT_S):
            raise RetryLater("day files are in use by long queries")


def _bring_up(
    cursor: duckdb.DuckDBPyConnection, alias: str, wanted: dict[str, Layout]
) -> dict[str, Layout]:
    """Make what a new file, or one of an older catalog, lacks; return the wide tables' columns."""
    found: dict[str, dict[str, str]] = {}
    query = (
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = ?"
    )
    for table, column, type_ in cursor.execute(query, [alias]).fetchall():
        found.setdefault(table, {})[column] = type_
    contents: dict[str, dict[str, str]] = {
        wide(kind): {**OWN_COLUMNS, **points} for kind, points in wanted.items()
    }
    contents[EXTRA] = EXTRA_COLUMNS
    statements = [
        f"CREATE TABLE {quoted(alias)}.{name}"
        for name in (
            "mark(partition VARCHAR, applied BIGINT, through BIGINT)",
            "noted(day BIGINT, partition VARCHAR, position BIGINT)",
        )
        if name.split("(")[0] not in found
    ]
    for content, columns in contents.items():
        for stage in STAGES:
            name = table_name(stage, content)
            statements += _missing(alias, name, columns, found.get(name))
    if statements:
        cursor.execute("BEGIN")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("COMMIT")
    return {kind: _columns(found, kind, points) for kind, points in wanted.items()}


def _missing(
    alias: str, name: str, columns: dict[str, str], found: dict[str, str] | None
) -> list[str]:
    table = f"{quoted(alias)}.{quoted(name)}"
    if found is None:
        body = ", ".join(f"{quoted(column)} {type_}" for column, type_ in columns.items())
        return [f"CREATE TABLE {table}({body})"]
    return [
        f"ALTER TABLE {table} ADD COLUMN {quoted(column)} {type_}"
        for column, type_ in columns.items()
        if column not in found
    ]


def _columns(found: dict[str, dict[str, str]], kind: str, wanted: Layout) -> Layout:
    """Return the points' columns: a type that was other when the file was made stays."""
    have = found.get(table_name("arrival", wide(kind)), {})
    kept = {column: type_ for column, type_ in have.items() if not column.startswith("_")}
    return {**wanted, **kept}  # type: ignore[dict-item]  # only our own types are ever made


def _read_marks(cursor: duckdb.DuckDBPyConnection, alias: str) -> tuple[Marks, set[str]]:
    marks = Marks()
    rows = cursor.execute(f"SELECT partition, applied, through FROM {quoted(alias)}.mark")  # noqa: S608
    partitions = set()
    for partition, applied, through in rows.fetchall():
        partitions.add(partition)
        marks.applied[partition] = applied
        marks.through[partition] = through
    rows = cursor.execute(f"SELECT day, partition, position FROM {quoted(alias)}.noted")  # noqa: S608
    for day, partition, position in rows.fetchall():
        marks.noted.setdefault(day, {})[partition] = position
    return marks, partitions
