"""Raw readings out of day files. Values travel as parameters; names are checked against columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from cloud.telemetry.base import Series
from cloud.telemetry.day_files.layout import EXTRA, STAGES, quoted, wide
from cloud.telemetry.day_files.opening import DayFile
from cloud.telemetry.day_files.rows import from_json
from protocols.ids import scheme_of
from protocols.readings import Value


@dataclass(frozen=True, slots=True)
class Entry:
    """One value, in the order of time and then of arrival."""

    at: int
    sequence: int
    point: str
    value: Value


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are asked for; from_ms <= observed_at < to_ms."""

    asset: str
    points: tuple[str, ...]
    """Empty: all."""
    from_ms: int
    to_ms: int


def read_entries(
    cursor: duckdb.DuckDBPyConnection, file: DayFile, window: Window, limit: int | None
) -> list[Entry]:
    """Return values in order; with a limit at least `limit` of them, if there are so many."""
    found = [*_wide_entries(cursor, file, window, limit), *_extra(cursor, file, window, limit)]
    found.sort(key=lambda entry: (entry.at, entry.sequence))
    return found


class SeriesBuilder:
    """Gathers entries into a series of about `limit` values, cut between two times."""

    def __init__(self, limit: int) -> None:
        self._room = max(1, limit)
        self._points: dict[str, list[tuple[int, Value]]] = {}
        self._empty = True
        self.next: int | None = None

    @property
    def room(self) -> int:
        """How many more values fit."""
        return self._room

    def take(self, entries: Sequence[Entry]) -> int | None:
        """Take entries of one day in order.

        Returns the one time that must be taken whole though it is over the limit: give all of its
        entries to `take_whole`. None: done; `next` is set when the answer is cut.
        """
        if len(entries) > self._room:
            cut_at = entries[self._room].at
            entries = [entry for entry in entries[: self._room] if entry.at < cut_at]
            if not entries and self._empty:
                return cut_at
            self.next = cut_at
        self._put(entries)
        return None

    def take_whole(self, entries: Sequence[Entry], at: int) -> None:
        """Take all entries of the time `at`, whatever the limit; the rest is for the next call."""
        self._put(entries)
        self.next = at + 1

    def series(self) -> Series:
        """Return what was gathered."""
        return Series(points=self._points, next=self.next)

    def _put(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._points.setdefault(entry.point, []).append((entry.at, entry.value))
            self._empty = False
        self._room -= len(entries)


def columns_of(file: DayFile, window: Window) -> list[str]:
    """Return the columns of the wide table that are asked for."""
    layout = file.layouts.get(scheme_of(window.asset), {})
    return [name for name in layout if not window.points or name in window.points]


def whole_numbers(column: str, type_: str) -> str:
    """Write whether a DOUBLE came as a whole number; `column` is one of the catalog's names."""
    return f"coalesce(contains(_whole, ',{column},'), false)" if type_ == "DOUBLE" else "false"


def _wide_entries(
    cursor: duckdb.DuckDBPyConnection, file: DayFile, window: Window, limit: int | None
) -> Iterator[Entry]:
    columns = columns_of(file, window)
    if not columns:
        return
    kind = scheme_of(window.asset)
    layout = file.layouts[kind]
    names = ", ".join(map(quoted, columns))
    some = " OR ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
    parts = [
        f"SELECT _at, _sequence, _whole, {names} FROM {file.table(stage, wide(kind))}"  # noqa: S608
        f" WHERE _asset = $asset AND _at >= $from AND _at < $to AND ({some})"
        for stage in STAGES
    ]
    floats = [layout[column] == "DOUBLE" for column in columns]
    marks = [f",{column}," for column in columns]
    for at, sequence, whole, *values in _run(cursor, parts, window, limit):
        for column, value, is_float, mark in zip(columns, values, floats, marks, strict=True):
            if value is not None:
                exact = int(value) if is_float and whole and mark in whole else value
                yield Entry(at, sequence, column, exact)


def _extra(
    cursor: duckdb.DuckDBPyConnection, file: DayFile, window: Window, limit: int | None
) -> Iterator[Entry]:
    chosen = " AND list_contains($points, _point)" if window.points else ""
    parts = [
        f"SELECT _at, _sequence, _point, _value FROM {file.table(stage, EXTRA)}"  # noqa: S608
        " WHERE _asset = $asset AND _at >= $from AND _at < $to AND _value IS NOT NULL" + chosen
        for stage in STAGES
    ]
    more = {"points": list(window.points)} if window.points else {}
    for at, sequence, point, value in _run(cursor, parts, window, limit, more):
        yield Entry(at, sequence, point, from_json(value))


def _run(
    cursor: duckdb.DuckDBPyConnection,
    parts: Sequence[str],
    window: Window,
    limit: int | None,
    more: dict[str, Any] | None = None,
) -> list[tuple[Any, ...]]:
    """Run the parts as one statement, so that a row moved from table to table is seen once."""
    query = " UNION ALL ".join(parts) + " ORDER BY _at, _sequence"
    parameters = {"asset": window.asset, "from": window.from_ms, "to": window.to_ms, **(more or {})}
    if limit is not None:
        query += " LIMIT $limit"
        parameters["limit"] = limit
    rows: list[tuple[Any, ...]] = cursor.execute(query, parameters).fetchall()
    return rows
