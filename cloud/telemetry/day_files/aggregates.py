"""One value per step out of day files: each day gives a part of every step, joined here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from cloud.telemetry.base import Aggregate
from cloud.telemetry.day_files.layout import EXTRA, STAGES, quoted, wide
from cloud.telemetry.day_files.opening import DayFile
from cloud.telemetry.day_files.queries import whole_numbers
from cloud.telemetry.day_files.rows import from_json
from protocols.ids import scheme_of
from protocols.readings import Value

_NUMBERS = ("BOOLEAN", "BIGINT", "DOUBLE")
_EXTRA_NUMBER = (
    "CASE _value WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 ELSE TRY_CAST(_value AS DOUBLE) END"
)


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of `step_ms` from `from_ms`; a query looks at low_ms <= observed_at < high_ms."""

    from_ms: int
    step_ms: int
    low_ms: int
    high_ms: int


@dataclass(frozen=True, slots=True)
class Source:
    """A relation of t, s, value, whole, number for one point of one asset."""

    sql: str
    parameters: dict[str, Any]
    has_numbers: bool
    is_json: bool = False


@dataclass
class PointSteps:
    """What was gathered of one point; `carried` is the number that holds from before."""

    carried: float | None = None
    found: dict[int, Any] = field(default_factory=dict)
    """Step -> for mean [sum of number x ms, ms], for last (order, value), else the value."""

    def result(self, how: Aggregate, steps: Steps) -> list[tuple[int, Value]]:
        """Return (start of step, value), oldest first."""
        return [
            (steps.from_ms + step * steps.step_ms, self._value(how, self.found[step]))
            for step in sorted(self.found)
        ]

    def _value(self, how: Aggregate, found: Any) -> Value:
        if how == "mean":
            return float(found[0] / found[1])
        value: Value = found[1] if how == "last" else found
        return value


def points_beside(
    cursor: duckdb.DuckDBPyConnection, file: DayFile, asset: str, low_ms: int, high_ms: int
) -> set[str]:
    """Return the points of an asset that have values in `extra`."""
    parts = " UNION ".join(
        f"SELECT _point FROM {file.table(stage, EXTRA)}"  # noqa: S608
        " WHERE _asset = $asset AND _at >= $low AND _at < $high AND _value IS NOT NULL"
        for stage in STAGES
    )
    parameters = {"asset": asset, "low": low_ms, "high": high_ms}
    return {row[0] for row in cursor.execute(parts, parameters).fetchall()}


def sources(file: DayFile, asset: str, point: str, *, beside: bool) -> list[Source]:
    """Return where a point's values lie; `beside`: also in `extra`."""
    kind = scheme_of(asset)
    type_ = file.layouts.get(kind, {}).get(point)
    found = []
    if type_ is not None:
        column = quoted(point)
        number = f"CAST({column} AS DOUBLE)" if type_ in _NUMBERS else "NULL::DOUBLE"
        select = (
            f"SELECT _at AS t, _sequence AS s, {column} AS value,"
            f" {whole_numbers(point, type_)} AS whole, {number} AS number"
        )
        parts = [
            f"{select} FROM {file.table(stage, wide(kind))}"
            f" WHERE _asset = $asset AND _at >= $low AND _at < $high AND {column} IS NOT NULL"
            for stage in STAGES
        ]
        sql = " UNION ALL ".join(parts)
        found.append(Source(sql, {"asset": asset}, has_numbers=type_ in _NUMBERS))
    if beside:
        parts = [
            "SELECT _at AS t, _sequence AS s, _value AS value, false AS whole,"  # noqa: S608
            f" {_EXTRA_NUMBER} AS number FROM {file.table(stage, EXTRA)}"
            " WHERE _asset = $asset AND _at >= $low AND _at < $high AND _point = $point"
            " AND _value IS NOT NULL"
            for stage in STAGES
        ]
        sql = " UNION ALL ".join(parts)
        found.append(Source(sql, {"asset": asset, "point": point}, True, is_json=True))
    return found


def add_mean(
    cursor: duckdb.DuckDBPyConnection, parts: Sequence[Source], steps: Steps, point: PointSteps
) -> None:
    """Add low_ms..high_ms to the time-weighted sums; `point.carried` moves on to high_ms."""
    relations = [f"SELECT t, s, number FROM ({part.sql})" for part in parts]  # noqa: S608
    parameters: dict[str, Any] = {"low": steps.low_ms, "high": steps.high_ms}
    for part in parts:
        parameters |= part.parameters
    if point.carried is not None:
        relations.append("SELECT $low::BIGINT AS t, -1::BIGINT AS s, $carried::DOUBLE AS number")
        parameters["carried"] = point.carried
    if not relations:
        return
    query = f"""
        WITH v AS ({" UNION ALL ".join(relations)}),
        held AS (
            SELECT t, lead(t, 1, $high::BIGINT) OVER (ORDER BY t, s) AS until, number FROM v
        ),
        cut AS (
            SELECT t, until, number, unnest(range(
                (t - $from) // $step, (until - 1 - $from) // $step + 1
            )) AS k
            FROM held WHERE until > t AND number IS NOT NULL AND isfinite(number)
        ),
        part AS (
            SELECT k, number, least(until, $from + (k + 1) * $step)
                - greatest(t, $from + k * $step) AS ms
            FROM cut
        )
        SELECT k, fsum(number * ms), sum(ms)::BIGINT FROM part GROUP BY k
    """  # noqa: S608
    rows = cursor.execute(query, parameters | _grid(steps)).fetchall()
    for step, total, ms in rows:
        sums = point.found.setdefault(step, [0.0, 0])
        sums[0] += total
        sums[1] += ms
    found, number = last_number(cursor, parts, steps.low_ms, steps.high_ms)
    if found:
        point.carried = number


def last_number(
    cursor: duckdb.DuckDBPyConnection, parts: Sequence[Source], low_ms: int, high_ms: int
) -> tuple[bool, float | None]:
    """Return whether there is a value in low_ms..high_ms, and the last one if it is a number."""
    if not parts:
        return False, None
    union = " UNION ALL ".join(f"SELECT t, s, number FROM ({part.sql})" for part in parts)  # noqa: S608
    parameters: dict[str, Any] = {"low": low_ms, "high": high_ms}
    for part in parts:
        parameters |= part.parameters
    query = f"SELECT number FROM ({union}) ORDER BY t DESC, s DESC LIMIT 1"  # noqa: S608
    rows = cursor.execute(query, parameters).fetchall()
    if not rows:
        return False, None
    number = rows[0][0]
    return True, number if number is not None and math.isfinite(number) else None


def add_values(
    cursor: duckdb.DuckDBPyConnection,
    parts: Sequence[Source],
    steps: Steps,
    how: Aggregate,
    point: PointSteps,
) -> None:
    """Add low_ms..high_ms to min, max, last or count."""
    for part in parts:
        if how in ("min", "max") and not part.has_numbers:
            continue
        query = (
            f"SELECT (t - $from) // $step AS k, {_EXPRESSIONS[how]}"  # noqa: S608
            f" FROM ({part.sql})"
            f"{' WHERE number IS NOT NULL' if how in ('min', 'max') else ''} GROUP BY k"
        )
        parameters = {"low": steps.low_ms, "high": steps.high_ms, **part.parameters, **_grid(steps)}
        for step, value, whole, order in cursor.execute(query, parameters).fetchall():
            if part.is_json and how != "count":
                exact = from_json(value)
            else:
                exact = int(value) if whole else value
            point.found[step] = _join(how, point.found.get(step), exact, order)


_EXPRESSIONS: dict[Aggregate, str] = {
    "min": "arg_min(value, number), arg_min(whole, number), NULL",
    "max": "arg_max(value, number), arg_max(whole, number), NULL",
    "last": "last(value ORDER BY t, s), last(whole ORDER BY t, s), last([t, s] ORDER BY t, s)",
    "count": "count(*), false, NULL",
}


def _join(how: Aggregate, before: Any, value: Any, order: Any) -> Any:
    if how == "last":
        mine = (tuple(order), value)
        return mine if before is None or mine[0] >= before[0] else before
    if before is None:
        return value
    if how == "count":
        return before + value
    return min(before, value) if how == "min" else max(before, value)


def _grid(steps: Steps) -> dict[str, int]:
    return {"from": steps.from_ms, "step": steps.step_ms}
