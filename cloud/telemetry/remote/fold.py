"""One value per step out of raw values in the order of time; the same for every engine."""

import math
from dataclasses import dataclass, field

from cloud.telemetry.base import Aggregate
from protocols.readings import Value


@dataclass(slots=True)
class _Point:
    at: int = 0
    number: float | None = None
    """Holds from `at` on; None: nothing that counts does."""
    sums: dict[int, list[float]] = field(default_factory=dict)
    """Step -> [sum of number x ms, ms]."""
    found: dict[int, Value] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


class Fold:
    """Steps of `step_ms` from `from_ms` to `end_ms`."""

    def __init__(self, how: Aggregate, from_ms: int, step_ms: int, end_ms: int) -> None:
        self._how, self._from_ms, self._step_ms, self._end_ms = how, from_ms, step_ms, end_ms
        self._points: dict[str, _Point] = {}

    def carry(self, point: str, value: Value) -> None:
        """Begin with the value that held at `from_ms`; for `mean` alone."""
        self._points[point] = _Point(self._from_ms, number_of(value))

    def add(self, name: str, at: int, value: Value) -> None:
        """Add the next value of a point; from_ms <= at < end_ms."""
        point = self._points.setdefault(name, _Point())
        step = (at - self._from_ms) // self._step_ms
        if self._how == "mean":
            self._spread(point, at)
            point.at, point.number = at, number_of(value)
        elif self._how == "count":
            point.counts[step] = point.counts.get(step, 0) + 1
        elif self._how == "last":
            point.found[step] = value
        else:
            self._compare(point, step, value)

    def series(self) -> dict[str, list[tuple[int, Value]]]:
        """Return (start of step, value) of each point that has some, oldest first."""
        found: dict[str, list[tuple[int, Value]]] = {}
        for name, point in self._points.items():
            values: dict[int, Value] = {**point.found, **point.counts}
            if self._how == "mean":
                self._spread(point, self._end_ms)
                values = {step: total / ms for step, (total, ms) in point.sums.items()}
            if values:
                found[name] = [
                    (self._from_ms + step * self._step_ms, values[step]) for step in sorted(values)
                ]
        return found

    def _spread(self, point: _Point, until: int) -> None:
        """Share the number that held so far among the steps that it held in."""
        if point.number is None:
            return
        at = point.at
        while at < until:
            step = (at - self._from_ms) // self._step_ms
            edge = min(until, self._from_ms + (step + 1) * self._step_ms)
            sums = point.sums.setdefault(step, [0.0, 0.0])
            sums[0] += point.number * (edge - at)
            sums[1] += edge - at
            at = edge

    def _compare(self, point: _Point, step: int, value: Value) -> None:
        number, before = number_of(value), number_of(point.found.get(step))
        if number is None:
            return
        if before is None or (number < before if self._how == "min" else number > before):
            point.found[step] = value


def number_of(value: Value) -> float | None:
    """Return a value as a number, true as 1; None when it is none, or too large for a float."""
    if not isinstance(value, bool | int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
