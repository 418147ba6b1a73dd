"""Moves the rows of closed hours, by asset and time, from the arrival tables to the sorted ones.

A move is one transaction on what it saw at its start: rows that arrive meanwhile stay where they
are for the next one, so inserts go on beside it and the content never changes. Rows that come late
for an hour are moved when no more came for a while, as a sorted run of their own.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import duckdb

from cloud.telemetry.day_files.files import DayFiles, DayGone
from cloud.telemetry.day_files.insert import transaction
from cloud.telemetry.day_files.layout import EXTRA, STAGES, file_name, wide
from cloud.telemetry.day_files.opening import DayFile
from protocols.clock import Clock
from protocols.errors import RetryLater

logger = logging.getLogger("suyuan.cloud.telemetry")

HOUR_MS = 3600 * 1000
GRACE_MS = 2 * 60 * 1000
"""An hour counts as closed so long after its end."""
QUIET_S = 60.0
LATE_ROWS_MAX = 200_000
"""So many late rows are moved though more keep coming."""
ROUND_S = 30.0


class Sorter:
    """Knows which days have rows to move, and moves them on a thread of its own."""

    def __init__(
        self, files: DayFiles, clock: Clock, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._files, self._clock, self._monotonic = files, clock, monotonic
        self._lock = threading.Lock()
        self._touched: dict[int, tuple[float, int]] = {}
        """Day -> when a row for a closed hour last came, and how often any came."""
        self._stop = threading.Event()
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to sort in the background."""
        self._thread = threading.Thread(target=self._run, name="telemetry-sort", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Break off what is under way (nothing of it is done then) and end."""
        self._stop.set()
        with self._lock:
            if self._cursor is not None:
                self._cursor.interrupt()
        if self._thread is not None:
            self._thread.join()

    def touched(self, day: int, first_at: int) -> None:
        """Rows arrived for a day, the earliest at `first_at`."""
        late = first_at < self._closed_before()
        with self._lock:
            late_at, times = self._touched.get(day, (float("-inf"), 0))
            self._touched[day] = (self._monotonic() if late else late_at, times + 1)

    def sort_closed(self, *, at_once: bool = False) -> int:
        """Move what is due; returns how many rows. `at_once`: late rows too, without waiting."""
        before_ms, moved = self._closed_before(), 0
        with self._lock:
            days = list(self._touched.items())
        for day, seen in days:
            if self._stop.is_set():
                break
            quiet = at_once or self._monotonic() - seen[0] >= QUIET_S
            left = 0
            with suppress(DayGone), self._files.use(day) as file:  # else: dropped meanwhile
                done, left = self._sort_day(file, before_ms, quiet=quiet)
                moved += done
            if not left:
                self._forget(day, seen)
        return moved

    def _run(self) -> None:
        while not self._stop.wait(ROUND_S):
            try:
                moved = self.sort_closed()
            except (duckdb.Error, RetryLater) as error:
                if not self._stop.is_set():
                    logger.warning("sorting will be tried again: %s", str(error)[:300])
            else:
                if moved:
                    logger.info("sorted %d rows", moved)

    def _closed_before(self) -> int:
        return (self._clock.wall_ms() - GRACE_MS) // HOUR_MS * HOUR_MS

    def _sort_day(self, file: DayFile, before_ms: int, *, quiet: bool) -> tuple[int, int]:
        """Return how many rows were moved, and how many are left for later."""
        contents = [(wide(kind), "_asset, _at, _sequence") for kind in file.layouts]
        contents.append((EXTRA, "_asset, _point, _at, _sequence"))
        moved, left = 0, 0
        with self._files.cursor() as cursor:
            with self._lock:
                self._cursor = cursor
            try:
                for content, order in contents:
                    for hour_ms, rows in _hours(cursor, file, content):
                        due = hour_ms < before_ms and (quiet or rows >= LATE_ROWS_MAX)
                        if due and not self._stop.is_set():
                            moved += _move(cursor, file, content, order, hour_ms)
                        else:
                            left += rows
            finally:
                with self._lock:
                    self._cursor = None
        return moved, left

    def _forget(self, day: int, seen: tuple[float, int]) -> None:
        with self._lock:
            if self._touched.get(day) == seen:  # else more came while the others were moved
                del self._touched[day]


def has_arrivals(cursor: duckdb.DuckDBPyConnection, file: DayFile) -> bool:
    """Tell whether some rows of a file were not moved yet."""
    contents = [EXTRA, *map(wide, file.layouts)]
    parts = [f"EXISTS (SELECT 1 FROM {file.table('arrival', one)})" for one in contents]  # noqa: S608
    return bool(cursor.execute(f"SELECT {' OR '.join(parts)}").fetchall()[0][0])


def _hours(cursor: duckdb.DuckDBPyConnection, file: DayFile, content: str) -> list[tuple[int, int]]:
    rows = cursor.execute(
        f"SELECT _at // {HOUR_MS} * {HOUR_MS} AS hour, count(*)"  # noqa: S608
        f" FROM {file.table('arrival', content)} GROUP BY hour ORDER BY hour"
    ).fetchall()
    return [(int(hour), int(count)) for hour, count in rows]


def _move(
    cursor: duckdb.DuckDBPyConnection, file: DayFile, content: str, order: str, hour_ms: int
) -> int:
    arrival, closed = (file.table(stage, content) for stage in STAGES)
    hour = {"low": hour_ms, "high": hour_ms + HOUR_MS}
    where = "WHERE _at >= $low AND _at < $high"
    with transaction(cursor):
        inserted = cursor.execute(
            f"INSERT INTO {closed} BY NAME SELECT * FROM {arrival} {where} ORDER BY {order}",  # noqa: S608
            hour,
        ).fetchall()
        deleted = cursor.execute(f"DELETE FROM {arrival} {where}", hour).fetchall()  # noqa: S608
        if inserted != deleted:
            raise RetryLater(f"{file_name(file.day)}: moved {inserted}, deleted {deleted}")
    return int(inserted[0][0])
