"""The day files of one folder, attached to one DuckDB instance as they are needed.

A bounded number is attached at a time; one that is in use by a thread (pinned) stays. Attaching
repairs a damaged file; it never fails because of one.
"""

import fcntl
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import duckdb

from cloud.telemetry.day_files.guard import forget_notes
from cloud.telemetry.day_files.layout import Layout, day_of_name, file_name
from cloud.telemetry.day_files.ledger import Marks
from cloud.telemetry.day_files.opening import DayFile, Opener, detach
from cloud.telemetry.day_files.repair import Repairer, looks_damaged, sync_folder
from protocols.errors import RetryLater, StopService

ATTACHED_MAX = 12
"""Beyond it the one that was not used for longest is closed; pinned files do not count."""
WAIT_S = 30.0
"""For other threads to leave a file that must be closed."""

OnAttached = Callable[[int, Marks], None]


class DayGone(LookupError):
    """There is no file of that day, or no longer."""


class DayFiles:
    """All day files; safe for several threads.

    Raises at once: StopService when another process has the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        layouts: dict[str, Layout],
        memory_limit_mb: int,
        on_attached: OnAttached,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._own = _lock_folder(folder)
        self.repairer = Repairer(folder)
        self._opener = Opener(folder, layouts, self.repairer)
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
            self._own.close()

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
            file = self._keep(day, self._opener.attach(self._open_base(), day))
        self._attached.move_to_end(day)
        file.pins += 1
        self._evict()
        return file

    def _rebuild_suspect(self, day: int) -> None:
        self._detach(day)
        why = self._suspects.pop(day)
        if (self.folder / file_name(day)).exists():
            self._keep(day, self._opener.rebuild(self._open_base(), day, why))

    def _keep(self, day: int, file: DayFile) -> DayFile:
        if day not in self._days:
            sync_folder(self.folder)
            self._days.add(day)
        self._suspects.pop(day, None)
        self._attached[day] = file
        self._on_attached(day, file.marks)
        return file

    def _detach(self, day: int) -> None:
        self._attached.pop(day, None)
        damage = detach(self._open_base(), day)
        if damage is not None:
            self._suspects.setdefault(day, damage)

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


def _lock_folder(folder: Path) -> IO[str]:
    """Take the folder before anything in it is looked at, and maybe repaired."""
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StopService(f"{folder} is in use by another process; stop that one first") from error
    return lock
