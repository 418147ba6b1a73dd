"""Telemetry in InfluxDB: a measurement per kind of asset, read by InfluxQL (1.8 and newer).

Fields carry their type in their name, so that a point may change its type. Positions are written
after the data, to measurement `_mark`: what was answered survives a kill.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import msgspec

from cloud.telemetry.day_files.layout import DAY_MS
from cloud.telemetry.day_files.queries import Entry, Window
from cloud.telemetry.day_files.rows import from_json
from cloud.telemetry.remote.book import Mark
from cloud.telemetry.remote.engine import Limits
from cloud.telemetry.remote.lines import (
    BOOL,
    FLOAT,
    INT,
    JSON,
    MARK,
    POSITION,
    TEXT,
    VALUE_LETTERS,
    Dialect,
)
from cloud.telemetry.remote.link import EngineAddress, Link
from protocols.errors import RefuseInput, RetryLater
from protocols.ids import scheme_of
from protocols.readings import Value

TIME_MAX_MS = 9_223_372_036_853
ROWS_MAX = 10_000
VALUES_PER_ROW = 8
"""About so many; a page has more rows or fewer values than it should, no harm done."""
CONFIGURED = ("max-values-per-tag", "max-series-per-database")
"""Bounds of InfluxDB 1 that an operator raises: nothing is wrong with the readings."""
_MARKS = {"position": "max", "kept_to": "min", "dropped_before": "max"}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "'": "\\'", "\n": "\\n"})
_DECODERS: dict[str, Callable[[Any], Value]] = {
    FLOAT: float,
    INT: int,
    BOOL: bool,
    TEXT: str,
    JSON: from_json,
}


class _Series(msgspec.Struct):
    columns: list[str]
    values: list[list[Any]]
    tags: dict[str, str] = {}


class _Result(msgspec.Struct):
    series: list[_Series] = []
    error: str | None = None


class _Answer(msgspec.Struct):
    results: list[_Result] = []
    error: str | None = None


_answer = msgspec.json.Decoder(_Answer)


class InfluxDbEngine:
    """See Engine; what InfluxDB has answered it keeps."""

    dialect = Dialect(int_max=2**63 - 1, float_min=5e-324, float_max=1.8e308, text_bytes_max=60_000)
    settle_ms = 0

    def __init__(self, address: EngineAddress) -> None:
        self._link, self._bucket = Link(address), address.place
        self._runs = 0

    def write(self, body: bytes) -> None:
        """See Engine."""
        try:
            self._link.write(body)
        except RefuseInput as error:
            if any(bound in error.detail for bound in CONFIGURED):
                raise RetryLater(f"InfluxDB: {error.detail}") from error
            raise

    def run(self) -> str:
        """See Engine; it does not tell, so its marks are read again each time."""
        self._runs += 1
        return str(self._runs)

    def marks(self) -> list[Mark]:
        """See Engine."""
        queries = [
            f"SELECT {how}({field}) FROM {_name(MARK)} GROUP BY partition, generation"  # noqa: S608
            for field, how in _MARKS.items()
        ]
        return [
            Mark(
                partition=unquote(series.tags["partition"]),
                generation=int(series.tags["generation"]),
                **{field: series.values[0][1]},
            )
            for field, result in zip(_MARKS, self._ask(";".join(queries)), strict=True)
            for series in result.series
        ]

    def mark_at(self, now_ms: int) -> int:
        """See Engine; a row a day, which the next mark writes over."""
        return now_ms // DAY_MS * DAY_MS

    def page(self, window: Window, size: int, limits: Limits) -> tuple[list[Entry], int | None]:
        """See Engine."""
        values = min(len(window.points) or VALUES_PER_ROW, VALUES_PER_ROW)
        rows_max = max(2, min(size // values, ROWS_MAX))
        query, condition = self._select(window), _condition(window, limits)
        (result,) = self._ask(f"{query} WHERE {condition} LIMIT {rows_max}")
        if sum(len(series.values) for series in result.series) < rows_max:
            return list(_entries(result)), None
        last_at = max(row[0] for series in result.series for row in series.values)
        entries = [entry for entry in _entries(result) if entry.at < last_at]
        if entries:
            return entries, last_at
        whole = Window(window.asset, window.points, last_at, last_at + 1)
        (result,) = self._ask(f"{query} WHERE {_condition(whole, limits)}")
        return list(_entries(result)), last_at + 1

    def last_before(self, window: Window, limits: Limits) -> dict[str, Value]:
        """See Engine."""
        measurement = _name(scheme_of(window.asset))
        points = window.points or tuple(self._points(measurement))
        fields = [(point, letter) for point in points for letter in VALUE_LETTERS]
        if not fields:
            return {}
        condition = _condition(window, limits)
        results = self._ask(
            ";".join(
                f"SELECT last({_name(f'{point}:{letter}')}) FROM {measurement} WHERE {condition}"  # noqa: S608
                for point, letter in fields
            )
        )
        found: dict[str, tuple[int, Value]] = {}
        for (point, letter), result in zip(fields, results, strict=True):
            for series in result.series:
                at, value = series.values[0]
                if point not in found or at >= found[point][0]:
                    found[point] = (at, _DECODERS[letter](value))
        return {point: value for point, (_, value) in found.items()}

    def forget_before(self, ms: int) -> None:
        """See Engine."""
        (result,) = self._ask("SHOW MEASUREMENTS")
        names = [row[0] for series in result.series for row in series.values]
        for name in names:
            if name != MARK:
                self._ask(f"DELETE FROM {_name(name)} WHERE time < {_bounded(ms)}ms")  # noqa: S608

    def settle(self) -> None:
        """See Engine; it is settled on return of `write`."""

    def close(self) -> None:
        """See Engine."""
        self._link.close()

    def _select(self, window: Window) -> str:
        chosen = "*"
        if window.points:
            chosen = ", ".join(
                _name(f"{point}:{letter}") for point in window.points for letter in VALUE_LETTERS
            )
        return f"SELECT {chosen} FROM {_name(scheme_of(window.asset))}"  # noqa: S608

    def _points(self, measurement: str) -> Iterator[str]:
        (result,) = self._ask(f"SHOW FIELD KEYS FROM {measurement}")
        names = [row[0].partition(":")[0] for series in result.series for row in series.values]
        return (name for name in dict.fromkeys(names) if not name.startswith("_"))

    def _ask(self, query: str) -> list[_Result]:
        fields = {"db": self._bucket, "epoch": "ms", "q": query}
        answer = _answer.decode(self._link.ask("POST", "/query", fields))
        for error in (answer.error, *(result.error for result in answer.results)):
            if error is not None:
                raise RetryLater(f"InfluxDB: {error[:300]}")
        return answer.results


def _entries(result: _Result) -> Iterator[Entry]:
    for series in result.series:
        chosen = [
            (number, point, _DECODERS[letter])
            for number, (point, _, letter) in enumerate(
                column.rpartition(":") for column in series.columns
            )
            if letter in _DECODERS and point
        ]
        for row in series.values:
            for number, point, decode in chosen:
                if row[number] is not None:
                    yield Entry(row[0], 0, point, decode(row[number]))


def _condition(window: Window, limits: Limits) -> str:
    low, high = _bounded(window.from_ms), _bounded(window.to_ms)
    parts = [f"asset = {_text(window.asset)}", f"time >= {low}ms", f"time < {high}ms"]
    parts += [
        f'("log" != {_text(log)} OR "{POSITION}" <= {position})' for log, position in limits.items()
    ]
    return " AND ".join(parts)


def _bounded(ms: int) -> int:
    return max(-TIME_MAX_MS, min(ms, TIME_MAX_MS))


def _name(text: str) -> str:
    """Write a name as an InfluxQL identifier."""
    return f'"{text.translate(_ESCAPES)}"'


def _text(text: str) -> str:
    """Write a text as an InfluxQL string."""
    return f"'{text.translate(_ESCAPES)}'"
