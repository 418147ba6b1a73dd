"""A lift as a picture: shaft, car, doors, direction, from its newest values alone.

All lengths are in the picture's own units (SVG's viewBox), the ground is below.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from cloud.model.asset import LatestValue
from protocols.readings import Quality

WIDTH, SHAFT_X, SHAFT_WIDTH = 260, 70, 120
TOP, HEIGHT = 20, 300
LABELS_MAX = 13
"""Floors that are written beside the shaft; of more, every second, fifth, tenth."""
FLOORS_MAX = 200
STALE_MS = 5 * 60_000
"""Values that nobody confirmed so long are drawn pale."""
_FLOOR = re.compile(r"(B?)(-?[0-9]{1,3})\Z")


class FloorMark(Struct, frozen=True):
    """A floor beside the shaft."""

    y: int
    label: str
    is_car: bool


class LiftPicture(Struct, frozen=True, kw_only=True):
    """What is drawn, with None for what is not known."""

    floors: list[FloorMark]
    car_y: int | None
    """Upper edge of the car."""
    car_height: int
    floor: str
    doors: str
    """`open`, `closed`, `unknown`."""
    direction: str
    """`up`, `down`, `none`, `unknown`."""
    moving: bool
    occupied: bool | None
    in_zone: bool | None
    mode: str
    """Word of the service mode, empty when not known."""
    quality: Quality
    """The worst of what is drawn."""
    observed_at: int | None
    """Of the oldest value drawn."""
    is_old: bool

    @property
    def car_middle(self) -> int:
        """Middle of the car's height."""
        return (self.car_y or 0) + self.car_height // 2


DRAWN = (
    "car_position",
    "car_direction",
    "car_status",
    "door_status",
    "door_zone",
    "passenger_status",
    "service_mode",
)
_WORST_FIRST: tuple[Quality, ...] = ("no_value", "unknown_value", "stale", "time_unknown", "good")


def draw_lift(
    latest: Mapping[str, LatestValue], attributes: Mapping[str, Any], now_ms: int
) -> LiftPicture:
    """Draw it; a point that was never heard of is drawn as unknown."""
    values = {name: latest[name].value for name in DRAWN if name in latest}
    told = [latest[name] for name in DRAWN if name in latest]
    position = floor_number(values.get("car_position"))
    low, high = _range(position, attributes)
    count = high - low + 1
    step = HEIGHT / count
    car_height = max(18, min(60, int(step * 0.8)))
    oldest = min((one.observed_at for one in told), default=None)
    newest = max((one.observed_at for one in told), default=None)
    return LiftPicture(
        floors=_marks(low, high, step, position),
        car_y=None if position is None else _middle(position, low, step) - car_height // 2,
        car_height=car_height,
        floor=_label(position) if position is not None else "",
        doors=_word(values.get("door_status"), "closed", "open"),
        direction=str(values.get("car_direction") or "unknown"),
        moving=values.get("car_status") == "running",
        occupied=_truth(values.get("passenger_status")),
        in_zone=_truth(values.get("door_zone")),
        mode=str(values.get("service_mode") or ""),
        quality=_worst(one.quality for one in told),
        observed_at=oldest,
        is_old=newest is None or now_ms - newest > STALE_MS,
    )


def floor_number(value: Any) -> int | None:
    """Return the number of a floor: 12, `12`, `B2` (-2); None for what is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return int(value) if abs(value) <= FLOORS_MAX else None
    match = _FLOOR.match(str(value).strip())
    if match is None:
        return None
    number = int(match[2])
    return -number if match[1] else number


def _range(position: int | None, attributes: Mapping[str, Any]) -> tuple[int, int]:
    """Return the lowest and the highest floor; there is no floor 0."""
    given = attributes.get("floors")
    high = given if isinstance(given, int) and 1 < given <= FLOORS_MAX else 10
    below = attributes.get("floors_below")
    low = -below if isinstance(below, int) and 0 < below < 20 else 1
    if position is not None:
        low, high = min(low, position), max(high, position)
    return low, high


def _marks(low: int, high: int, step: float, position: int | None) -> list[FloorMark]:
    every = next(n for n in (1, 2, 5, 10, 20, 50) if (high - low + 1) / n <= LABELS_MAX)
    shown = [n for n in range(low, high + 1) if n != 0 and (n % every == 0 or n in (low, high))]
    near = [n for n in shown if n == position or position is None or abs(n - position) >= every / 2]
    if position is not None and position not in near:
        near.append(position)
    return [FloorMark(_middle(n, low, step), _label(n), n == position) for n in sorted(near)]


def _middle(floor: int, low: int, step: float) -> int:
    return round(TOP + HEIGHT - (floor - low + 0.5) * step)


def _label(floor: int) -> str:
    return f"B{-floor}" if floor < 0 else str(floor)


def _word(value: Any, true: str, false: str) -> str:
    known = _truth(value)
    return "unknown" if known is None else true if known else false


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _worst(qualities: Iterable[Quality]) -> Quality:
    found = set(qualities)
    return next((one for one in _WORST_FIRST if one in found), "good")
