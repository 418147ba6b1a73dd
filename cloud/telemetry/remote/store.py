"""A telemetry store over an engine that runs as a server of its own.

Every write can be repeated: a row's place is its asset, its time and its generation of the log.
So after any doubt the store goes back to the positions that the engine itself has noted, and the
log is read again from there.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence

from cloud.model.logged import LogGroup, PlacedReadings, Positions
from cloud.telemetry.base import Aggregate, Refused, RefuseRecord, Series
from cloud.telemetry.day_files.collect import IMPOSSIBLE, TOO_OLD, record_index
from cloud.telemetry.day_files.layout import DAY_MS
from cloud.telemetry.day_files.queries import SeriesBuilder, Window
from cloud.telemetry.day_files.read import LOOK_BACK_DAYS, STEPS_MAX
from cloud.telemetry.remote.book import NO_PARTITION, Book, Mark
from cloud.telemetry.remote.engine import Engine
from cloud.telemetry.remote.fold import Fold
from cloud.telemetry.remote.lines import Lines
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger("suyuan.cloud.telemetry")

CHECK_MS = 5_000
"""Looks so often whether the engine was started anew; far less than it takes to settle."""
FOLLOW_MS = 60_000
NOTES_MAX = 12
"""So many positions wait to be settled."""
AT_MAX_MS = 9_223_372_036_853
"""The year 2262, where times in nanoseconds end."""
PAGE = 20_000
_BAD = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


class EngineStore:
    """See TelemetryStore; the engine may be away when it is made."""

    def __init__(self, engine: Engine, *, clock: Clock, retention_days: int) -> None:
        self._engine, self._clock = engine, clock
        self._retention_ms = retention_days * DAY_MS
        self._writing = threading.Lock()
        self._book = Book()
        self._run: str | None = None
        self._checked_at, self._doubt, self._writes = 0, False, False
        self._notes: deque[tuple[int, Positions]] = deque()
        """(time since boot, positions): what had been sent then."""

    def append(self, groups: Sequence[LogGroup]) -> list[Refused]:
        """See TelemetryStore."""
        with self._writing:
            self._writes = True
            self._check()
            if self._book.went_back:
                raise RetryLater("positions went back; resume from there")
            new = [group for group in groups if self._book.takes(group)]
            lines, refused = Lines(self._engine.dialect), list[Refused]()
            if self._engine.settle_ms:
                self._add_marks(lines, self._book.sent_marks(new))
            for group in new:
                refused += self._add(lines, group)
            self._send(lines)
            self._book.passed(new)
            try:
                self._settle()
            except RetryLater:
                if not self._engine.settle_ms:
                    raise  # nothing is noted of these groups: they come again
            return refused

    def positions(self) -> Positions:
        """See TelemetryStore."""
        with self._writing:
            self._check()
            self._settle()
            return self._book.positions()

    def settled(self) -> Positions:
        """See TelemetryStore."""
        return self._book.settled()

    def rewind(self, heads: Positions) -> None:
        """See TelemetryStore; rows of later groups stay in the engine and are no longer shown."""
        with self._writing:
            self._writes = True
            self._check()
            self._settle_all()
            self._load(self._engine.run())
            marks = self._book.rewound(heads)
            if marks:
                logger.warning("the log was put back: %s", marks)
                self._run = None  # until this is kept, the engine knows better than the book
                self._write_marks(marks)
                self._engine.settle()
                self._load(self._engine.run())

    def readings(
        self, asset: str, points: Sequence[str], from_ms: int, to_ms: int, limit: int
    ) -> Series:
        """See TelemetryStore."""
        builder, limits = SeriesBuilder(limit), self._limits()
        start: int | None = max(from_ms, self._book.horizon_ms)
        while start is not None and start < to_ms and builder.next is None:
            window = Window(asset, tuple(points), start, to_ms)
            entries, start = self._engine.page(window, builder.room + 1, limits)
            whole_at = builder.take(entries)
            if whole_at is not None:
                builder.take_whole([entry for entry in entries if entry.at == whole_at], whole_at)
        return builder.series()

    def aggregate(
        self,
        asset: str,
        points: Sequence[str],
        from_ms: int,
        to_ms: int,
        step_ms: int,
        how: Aggregate,
    ) -> Series:
        """See TelemetryStore; `mean` looks for the value before `from_ms` in the last week.

        Raises:
            RefuseInput: `bad_request`, a step below 1 ms.

        """
        if step_ms < 1:
            raise RefuseInput("bad_request", f"expected a step of 1 ms or more, found {step_ms}")
        end_ms = min(to_ms, from_ms + STEPS_MAX * step_ms)
        fold, limits = Fold(how, from_ms, step_ms, end_ms), self._limits()
        start: int | None = max(from_ms, self._book.horizon_ms)
        if how == "mean" and from_ms < end_ms:
            low_ms = max(from_ms - LOOK_BACK_DAYS * DAY_MS, self._book.horizon_ms)
            before = Window(asset, tuple(points), low_ms, from_ms)
            for name, value in self._engine.last_before(before, limits).items():
                fold.carry(name, value)
        while start is not None and start < end_ms:
            window = Window(asset, tuple(points), start, end_ms)
            entries, start = self._engine.page(window, PAGE, limits)
            for entry in entries:
                fold.add(entry.point, entry.at, entry.value)
        return Series(points=fold.series(), next=end_ms if end_ms < to_ms else None)

    def drop_before(self, ms: int) -> None:
        """See TelemetryStore; an engine that is away is told the next time."""
        horizon_ms = ms // DAY_MS * DAY_MS
        with self._writing:
            try:
                self._check()
                if horizon_ms > self._book.horizon_ms:
                    mark = Mark(partition=NO_PARTITION, generation=0, dropped_before=horizon_ms)
                    self._write_marks([mark])
                    self._book.horizon_ms = horizon_ms
                    self._engine.forget_before(horizon_ms)
            except RetryLater as error:
                logger.warning("nothing was dropped: %s", error)

    def close(self) -> None:
        """See TelemetryStore; what is not settled is settled now, if the engine is there."""
        with self._writing:
            try:
                if self._run is not None:
                    self._settle_all()
            except (RetryLater, RefuseInput) as error:
                logger.warning("some groups will be sent again: %s", error)
            self._run = None
            self._engine.close()

    def _check(self) -> None:
        """Learn what the engine holds, at first and whenever it may have lost something."""
        now_ms = self._clock.boot_ms()
        if self._run is None or self._doubt or now_ms - self._checked_at >= CHECK_MS:
            run = self._engine.run()
            if run != self._run:
                self._load(run)
            self._checked_at, self._doubt = now_ms, False

    def _load(self, run: str) -> None:
        self._book.load(self._engine.marks())
        self._notes.clear()
        self._run = run
        if self._book.went_back:
            logger.warning("the engine was started anew or failed: its log is read again")

    def _limits(self) -> dict[str, int]:
        """Return which rows count; who only reads asks now and then what the writer noted."""
        late = self._clock.boot_ms() - self._checked_at >= FOLLOW_MS
        if self._run is None or (late and not self._writes):
            with self._writing:
                self._run = None
                self._check()
        return self._book.limits()

    def _add(self, lines: Lines, group: LogGroup) -> list[Refused]:
        refused: list[Refused] = []
        log = self._book.log(group.partition)
        oldest_ms = self._oldest_ms()
        for batch in group.batches:
            order = -1
            try:
                for order, reading in enumerate(batch.readings()):
                    reason = _outside(reading, oldest_ms)
                    kept = reading if reason is None else _within(reading, oldest_ms)
                    lines.add(kept, log, group.position)
                    if reason is not None:
                        refused.append(Refused(group, batch, record_index(batch, order), reason))
                order = -1
            except _BAD as error:
                raise RefuseRecord(batch, record_index(batch, order), repr(error)[:300]) from error
        return refused

    def _oldest_ms(self) -> int:
        oldest_ms = max(self._book.horizon_ms, self._clock.wall_ms() - self._retention_ms)
        return oldest_ms // DAY_MS * DAY_MS

    def _send(self, lines: Lines) -> None:
        try:
            for body in lines.bodies():
                self._engine.write(body)
        except RetryLater:
            self._doubt = True
            raise

    def _settle(self) -> None:
        """Note what was sent; what was noted long enough ago is kept for good."""
        now_ms, settle_ms = self._clock.boot_ms(), self._engine.settle_ms
        if not self._notes or now_ms - self._notes[-1][0] >= settle_ms // NOTES_MAX:
            self._notes.append((now_ms, self._book.sent()))
        due: Positions | None = None
        while self._notes and self._notes[0][0] <= now_ms - settle_ms:
            due = self._notes.popleft()[1]
        if due is not None:
            self._keep(due)

    def _settle_all(self) -> None:
        if self._book.settled() != self._book.sent():
            self._engine.settle()
            self._keep(self._book.sent())

    def _keep(self, positions: Positions) -> None:
        marks = self._book.settled_marks(positions)
        if marks:
            self._write_marks(marks)
            self._book.settle(positions)

    def _write_marks(self, marks: Sequence[Mark]) -> None:
        lines = Lines(self._engine.dialect)
        self._add_marks(lines, marks)
        self._send(lines)

    def _add_marks(self, lines: Lines, marks: Sequence[Mark]) -> None:
        at = self._engine.mark_at(self._clock.wall_ms())
        for mark in marks:
            lines.add_mark(mark, at)


def _outside(reading: PlacedReadings, oldest_ms: int) -> str | None:
    """Say why some rows of a reading are not stored; None: all are."""
    if max(reading.at) > AT_MAX_MS:
        return IMPOSSIBLE
    return TOO_OLD if min(reading.at) < oldest_ms else None


def _within(reading: PlacedReadings, oldest_ms: int) -> PlacedReadings:
    """Return the rows of a reading that are stored."""
    return reading.rows([row for row, at in enumerate(reading.at) if oldest_ms <= at <= AT_MAX_MS])
