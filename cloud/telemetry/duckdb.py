"""Telemetry in DuckDB: a wide table per kind of asset, a file per UTC day, one process.

Writes run one after the other; queries run beside them, each in a cursor of its own. A damaged
file never stops the service: it is repaired, and `positions` goes back so that the log fills the
hole, see day_files/repair.py and day_files/ledger.py.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from cloud.model.logged import LogGroup, Positions
from cloud.telemetry.base import Aggregate, Refused, Series
from cloud.telemetry.day_files.collect import Collector, DayRows
from cloud.telemetry.day_files.files import DayFiles
from cloud.telemetry.day_files.forget import Horizon, set_aside_after
from cloud.telemetry.day_files.insert import commit_day, transaction, write_marks
from cloud.telemetry.day_files.layout import DAY_MS, layouts
from cloud.telemetry.day_files.ledger import Ledger, Marks, covers
from cloud.telemetry.day_files.opening import DayFile
from cloud.telemetry.day_files.read import DayReader
from cloud.telemetry.day_files.repair import looks_damaged
from cloud.telemetry.day_files.sorting import Sorter, has_arrivals
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger("suyuan.cloud.telemetry")


class DuckDbStore:
    """All telemetry of one folder, which belongs to this process alone.

    Raises at once: StopService when another process has the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        retention_days: int = 400,
        memory_limit_mb: int = 512,
    ) -> None:
        self._clock, self._retention_ms = clock, retention_days * DAY_MS
        self._layouts = layouts()
        self._ledger = Ledger()
        self._resumed: Positions = {}
        self._loaded = False
        self._writing = threading.Lock()
        self._files = DayFiles(
            folder,
            layouts=self._layouts,
            memory_limit_mb=memory_limit_mb,
            on_attached=self._attached,
        )
        self._horizon = Horizon(folder)
        self._sorter = Sorter(self._files, clock)
        self._reader = DayReader(self._files)
        try:
            self._load()
        except BaseException:
            self._files.close()
            raise
        self._sorter.start()

    def append(self, groups: Sequence[LogGroup]) -> list[Refused]:
        """See TelemetryStore; one transaction for each day that the groups touch."""
        with self._writing, self._mapped():
            if self._ledger.went_back:
                raise RetryLater("positions went back; resume from there")
            collector = Collector(self._layouts, self._ledger, self._day_min())
            for group in groups:
                collector.add(group)
            days = sorted(collector.days)
            for day in days:
                through = self._ledger.reaches(groups) if day == days[-1] else {}
                self._commit(day, collector.days[day], through)
            for day in self._ledger.passed(groups):
                self._finish_rebuild(day)
            return collector.refused

    def positions(self) -> Positions:
        """See TelemetryStore."""
        self._resumed = self._ledger.positions()
        return dict(self._resumed)

    def settled(self) -> Positions:
        """See TelemetryStore; what `positions` returned last was durable."""
        return self._resumed

    def rewind(self, heads: Positions) -> None:
        """See TelemetryStore; rows of later groups go to a Parquet file in `damaged`.

        A partition that the log does not know at all starts anew; its rows stay.
        """
        with self._writing, self._mapped():
            for partition, position in self._ledger.through.items():
                head = heads.get(partition, 0)
                if head >= position:
                    continue
                logger.warning("the log of %s was put back: %d to %d", partition, position, head)
                for day in self._files.days():
                    if self._ledger.applied(day):
                        with self._files.use(day) as file, self._files.cursor() as cursor:
                            set_aside_after(cursor, file, self._files.repairer, partition, head)
                self._ledger.rewound(partition, head)

    def readings(
        self, asset: str, points: Sequence[str], from_ms: int, to_ms: int, limit: int
    ) -> Series:
        """See TelemetryStore."""
        with self._mapped():
            return self._reader.readings(asset, tuple(points), from_ms, to_ms, limit)

    def aggregate(
        self,
        asset: str,
        points: Sequence[str],
        from_ms: int,
        to_ms: int,
        step_ms: int,
        how: Aggregate,
    ) -> Series:
        """See TelemetryStore; `mean` looks for the value before `from_ms` in the last week."""
        with self._mapped():
            return self._reader.aggregate(asset, tuple(points), from_ms, to_ms, step_ms, how)

    def drop_before(self, ms: int) -> None:
        """See TelemetryStore; later readings of those days are refused as too old."""
        with self._writing, self._mapped():
            gone = [day for day in self._files.days() if (day + 1) * DAY_MS <= ms]
            if gone:
                self._keep_positions(after=gone[-1])
            self._horizon.move(ms)
            for day in gone:
                self._files.remove(day)
                self._ledger.dropped(day)

    def sort_closed(self) -> int:
        """Sort closed hours now, late history too; returns how many rows were moved."""
        with self._mapped():
            return self._sorter.sort_closed(at_once=True)

    def close(self) -> None:
        """See TelemetryStore."""
        self._sorter.stop()
        with self._writing:
            self._files.close()

    def _load(self) -> None:
        found: dict[int, Marks] = {}
        for day in self._files.days():
            with self._mapped():
                found[day] = self._look(day)
        repairer = self._files.repairer
        day_min = self._day_min()
        lost = self._ledger.load(found, rebuilding=repairer.marked(), day_min=day_min)
        for day in lost:
            logger.error("day %d holds less than was noted of it: read again from the log", day)
            repairer.mark(day)
        self._loaded = True

    def _look(self, day: int) -> Marks:
        """Read what a file says of positions, and whether it has rows to sort."""
        try:
            return self._look_once(day)
        except duckdb.Error as error:
            if not looks_damaged(error):
                raise
        return self._look_once(day)  # rebuilt by now

    def _look_once(self, day: int) -> Marks:
        with self._files.use(day) as file, self._files.cursor() as cursor:
            if has_arrivals(cursor, file):
                self._sorter.touched(day, day * DAY_MS)
            return file.marks

    def _attached(self, day: int, marks: Marks) -> None:
        """A file was opened, maybe repaired: it must hold what was applied to it."""
        if not self._loaded:
            return
        if covers(marks.applied, self._ledger.applied(day)):
            self._ledger.found(day, marks.applied)
        else:
            logger.error("day %d lost something: read again from the log", day)
            self._files.repairer.mark(day)
            self._ledger.went_down(day, marks)

    def _day_min(self) -> int:
        """Return the first day that is kept."""
        oldest_ms = max(self._horizon.ms, self._clock.wall_ms() - self._retention_ms)
        return oldest_ms // DAY_MS

    def _commit(self, day: int, rows: DayRows, through: Positions) -> None:
        with self._files.use(day, create=True) as file, self._files.cursor() as cursor:
            if self._ledger.went_back:  # found damaged only now
                raise RetryLater("positions went back; resume from there")
            if not all(self._ledger.takes(day, *one) for one in rows.positions.items()):
                raise RetryLater("stored after all, by a commit that seemed to fail")
            noted = self._ledger.to_note(day)
            commit_day(
                cursor,
                file,
                rows,
                through=through,
                noted=noted,
                skip_stored=self._ledger.rebuilding(day),
            )
            self._ledger.committed(day, rows.positions, noted)
        self._sorter.touched(day, rows.first_at)

    def _finish_rebuild(self, day: int) -> None:
        target = self._ledger.target(day)
        with self._files.use(day, create=True) as file:
            self._mark(file, target, {})
        self._ledger.committed(day, target)
        self._files.repairer.unmark(day)
        self._ledger.rebuilt(day)
        logger.warning("day %d is rebuilt from the log", day)

    def _keep_positions(self, *, after: int) -> None:
        """Write the positions into a file that stays, before files that hold them go."""
        later = [day for day in self._files.days() if day > after]
        day = later[-1] if later else max(self._clock.wall_ms() // DAY_MS, after + 1)
        with self._files.use(day, create=True) as file:
            self._mark(file, {}, self._ledger.through)

    def _mark(self, file: DayFile, applied: Positions, through: Positions) -> None:
        with self._files.cursor() as cursor, transaction(cursor):
            write_marks(cursor, file, applied=applied, through=through)
        file.partitions.update(applied, through)
        file.guard.follow()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Say of an engine's error what the caller should do."""
        try:
            yield
        except (duckdb.FatalException, duckdb.InternalException) as error:
            self._files.restart()
            raise RetryLater(f"DuckDB was started anew: {str(error)[:300]}") from error
        except duckdb.Error as error:
            if looks_damaged(error):
                raise RetryLater(f"a day file is damaged: {str(error)[:300]}") from error
            if isinstance(error, duckdb.OperationalError | duckdb.InterruptException):
                raise RetryLater(str(error)[:300]) from error
            raise RefuseInput("engine_refused", str(error)[:300]) from error
        except OSError as error:
            raise RetryLater(str(error)) from error
