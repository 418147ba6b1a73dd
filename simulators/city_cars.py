"""What each lift of a city shows, and the trips that its people make."""

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from protocols.readings import Value
from simulators.city_places import DAY_S, HOUR_S, LiftPlace

GAUSS_FROM = 50.0
"""A mean from which the normal distribution stands for Poisson's."""


@dataclass(slots=True)
class Car:
    """The points of one lift."""

    floor: int = 1
    running: bool = False
    direction: str = "none"
    closed: bool = True
    occupied: bool = False
    in_zone: bool = True
    codes: tuple[str, ...] = ()
    mains: bool = True
    trips: int = 0
    plans: int = 0
    """Counts what was planned for it: a plan made before something broke is void."""
    busy: bool = False
    """A trip is under way."""
    stuck: bool = False
    """It makes no trips: it is out of order, or the desk has not closed its rescue."""
    told: dict[str, Value] = field(default_factory=dict)
    """All its values, as it told them last."""

    def values(self) -> dict[str, Value]:
        """Tell every point, as a gateway does each minute."""
        return {
            "service_mode": "normal",
            "car_status": "running" if self.running else "stopped",
            "car_direction": self.direction,
            "door_zone": self.in_zone,
            "car_position": self.floor,
            "door_status": self.closed,
            "passenger_status": self.occupied,
            "message_code": list[str](self.codes),
            "total_running_time": self.trips // 240,
            "present_counter_value": self.trips,
            "power_status": "mains" if self.mains else "outage",
        }

    def with_codes(self, *codes: str) -> None:
        """Show these codes too."""
        self.codes = tuple(sorted({*self.codes, *codes}))

    def without_codes(self, *codes: str) -> None:
        """Show these codes no longer."""
        self.codes = tuple(one for one in self.codes if one not in codes)


class Riders:
    """Where trips begin.

    Args:
        lifts: all of them.
        curves: how the trips of a day lie in its hours.

    """

    def __init__(self, lifts: Sequence[LiftPlace], curves: Mapping[str, Sequence[float]]) -> None:
        self._curves = {name: _normal(weights) for name, weights in curves.items()}
        groups: dict[tuple[str, int], list[int]] = defaultdict(list)
        for one in lifts:
            groups[one.curve, one.trips_day].append(one.index)
        self._groups = sorted(groups.items())

    def begin(self, day_s: float, lasts_s: float, rng: random.Random) -> Iterator[int]:
        """Return the lifts in which a trip begins within so many seconds of a time of day."""
        hour = day_s / HOUR_S
        for (curve, trips_day), lifts in self._groups:
            share = factor(self._curves[curve], hour)
            mean = len(lifts) * trips_day / DAY_S * share * lasts_s
            yield from rng.choices(lifts, k=poisson(mean, rng))


def factor(curve: Sequence[float], hour: float) -> float:
    """Return how many times the day's mean an hour sees, 0 to 24, straight between full hours."""
    whole, rest = int(hour) % 24, hour % 1
    return curve[whole] * (1 - rest) + curve[(whole + 1) % 24] * rest


def poisson(mean: float, rng: random.Random) -> int:
    """Draw a count."""
    if mean > GAUSS_FROM:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    count, product, least = 0, rng.random(), math.exp(-mean)
    while product > least:
        count += 1
        product *= rng.random()
    return count


def _normal(weights: Sequence[float]) -> list[float]:
    mean = sum(weights) / len(weights)
    return [one / mean for one in weights]
