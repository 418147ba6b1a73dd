"""Answers questions over several days: walks the day files, one at a time."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest

import duckdb

from cloud.telemetry.base import Aggregate, Series
from cloud.telemetry.day_files.aggregates import (
    PointSteps,
    Source,
    Steps,
    add_mean,
    add_values,
    last_number,
    points_beside,
    sources,
)
from cloud.telemetry.day_files.files import DayFiles, DayGone
from cloud.telemetry.day_files.layout import DAY_MS
from cloud.telemetry.day_files.opening import DayFile
from cloud.telemetry.day_files.queries import SeriesBuilder, Window, read_entries
from protocols.errors import RefuseInput
from protocols.ids import scheme_of

LOOK_BACK_DAYS = 7
"""How far `mean` looks for the value that held at its beginning."""
STEPS_MAX = 100_000
"""The answer is cut there."""


class DayReader:
    """The reading side of the store."""

    def __init__(self, files: DayFiles) -> None:
        self._files = files

    def readings(
        self, asset: str, points: tuple[str, ...], from_ms: int, to_ms: int, limit: int
    ) -> Series:
        """Return raw values; see TelemetryStore."""
        builder = SeriesBuilder(limit)
        for day in self._days(from_ms, to_ms):
            window = Window(asset, points, from_ms, to_ms)
            with suppress(DayGone), self._look(day) as (file, cursor):
                entries = read_entries(cursor, file, window, builder.room + 1)
                whole_at = builder.take(entries)
                if whole_at is not None:
                    window = Window(asset, points, whole_at, whole_at + 1)
                    builder.take_whole(read_entries(cursor, file, window, None), whole_at)
            if builder.next is not None:
                break
        return builder.series()

    def aggregate(
        self,
        asset: str,
        points: tuple[str, ...],
        from_ms: int,
        to_ms: int,
        step_ms: int,
        how: Aggregate,
    ) -> Series:
        """Return one value per step; see TelemetryStore.

        Raises:
            RefuseInput: `bad_request`, a step below 1 ms.

        """
        if step_ms < 1:
            raise RefuseInput("bad_request", f"expected a step of 1 ms or more, found {step_ms}")
        end_ms = min(to_ms, from_ms + STEPS_MAX * step_ms)
        found: dict[str, PointSteps] = {}
        if how == "mean" and from_ms < end_ms:
            self._look_back(asset, points, from_ms, found)
        low_ms = from_ms
        days = self._days(from_ms, end_ms)
        for day, following in zip_longest(days, days[1:]):
            # a value holds over days without a file, to the beginning of the next one
            high_ms = end_ms if following is None else following * DAY_MS
            steps = Steps(from_ms, step_ms, low_ms, high_ms)
            self._add_day(day, asset, points, steps, how, found)
            low_ms = high_ms
        if not days and from_ms < end_ms:
            self._hold(Steps(from_ms, step_ms, from_ms, end_ms), found)
        grid = Steps(from_ms, step_ms, from_ms, end_ms)
        series = {name: point.result(how, grid) for name, point in found.items() if point.found}
        return Series(points=series, next=end_ms if end_ms < to_ms else None)

    def _add_day(
        self,
        day: int,
        asset: str,
        points: tuple[str, ...],
        steps: Steps,
        how: Aggregate,
        found: dict[str, PointSteps],
    ) -> None:
        with suppress(DayGone), self._look(day) as (file, cursor):
            present = _sources(cursor, file, asset, points, (steps.low_ms, steps.high_ms))
            names = [*present, *(name for name in found if name not in present)]
            for name in names:
                point = found.setdefault(name, PointSteps())
                if how == "mean":
                    add_mean(cursor, present.get(name, []), steps, point)
                else:
                    add_values(cursor, present.get(name, []), steps, how, point)

    def _look_back(
        self, asset: str, points: tuple[str, ...], from_ms: int, found: dict[str, PointSteps]
    ) -> None:
        """Find the number of each point that holds at `from_ms`."""
        low_ms = from_ms - LOOK_BACK_DAYS * DAY_MS
        known: set[str] = set()
        for day in reversed(self._days(low_ms, from_ms)):
            with suppress(DayGone), self._look(day) as (file, cursor):
                for name, parts in _sources(cursor, file, asset, points, (low_ms, from_ms)).items():
                    if name in known:
                        continue
                    is_there, number = last_number(cursor, parts, low_ms, from_ms)
                    if is_there:
                        known.add(name)
                        found[name] = PointSteps(carried=number)
            if points and known.issuperset(points):
                break

    def _hold(self, steps: Steps, found: dict[str, PointSteps]) -> None:
        """No day has a file here: what was carried in holds throughout."""
        with self._files.cursor() as cursor:
            for point in found.values():
                add_mean(cursor, [], steps, point)

    def _days(self, from_ms: int, to_ms: int) -> list[int]:
        """Return the days of from_ms..to_ms that have a file, oldest first."""
        if to_ms <= from_ms:
            return []
        days = self._files.days()
        low = bisect_left(days, from_ms // DAY_MS)
        return days[low : bisect_right(days, (to_ms - 1) // DAY_MS)]

    @contextmanager
    def _look(self, day: int) -> Iterator[tuple[DayFile, duckdb.DuckDBPyConnection]]:
        """Open a day for a query; DayGone: it was dropped meanwhile."""
        with self._files.use(day) as file, self._files.cursor() as cursor:
            yield file, cursor


def _sources(
    cursor: duckdb.DuckDBPyConnection,
    file: DayFile,
    asset: str,
    points: tuple[str, ...],
    span: tuple[int, int],
) -> dict[str, list[Source]]:
    """Return where the points that are asked for lie in a file."""
    beside = points_beside(cursor, file, asset, *span)
    names: Sequence[str] = list(dict.fromkeys(points))
    if not names:
        names = [*file.layouts.get(scheme_of(asset), {})]
        names += sorted(beside.difference(names))
    found = {name: sources(file, asset, name, beside=name in beside) for name in names}
    return {name: parts for name, parts in found.items() if parts}
