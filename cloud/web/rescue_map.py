"""Where lifts and units are: points for the map, and a picture for where no map can be drawn."""

import math
from collections.abc import Sequence
from functools import cache

from msgspec import Struct

from cloud.model.incident import RescueUnit
from cloud.web.rescue_view import IncidentView, LiftView
from cloud.web.visit import STATIC

MAP_FILES = ("maplibre.min.js", "maplibre-worker.min.js", "maplibre.min.css")
WIDTH, HEIGHT, EDGE = 600, 360, 24
SPAN_MIN_DEG = 0.01
"""Some 1 km: a single point is not drawn as a whole city."""


class MapPoint(Struct, frozen=True, kw_only=True):
    """A point of the map; the pages' script reads the same."""

    kind: str
    """`incident`, `late`, `drill`, `calm`, `unit`."""
    latitude: float
    longitude: float
    title: str
    href: str = ""


class Dot(Struct, frozen=True):
    """A point of the picture."""

    x: int
    y: int
    point: MapPoint


class Scatter(Struct, frozen=True):
    """The picture: points, and how long 1 km is."""

    dots: list[Dot]
    km: int
    """Width of the scale's bar."""
    km_of_bar: float


@cache
def has_map() -> bool:
    """Tell whether the map's library was built in; without it the picture must do."""
    return all((STATIC / "vendor" / name).is_file() for name in MAP_FILES)


def points_of(rows: Sequence[IncidentView]) -> list[MapPoint]:
    """Return the points of open incidents."""
    found = []
    for row in rows:
        kind = {"emergency": "incident", "overdue": "late", "drill": "drill"}.get(row.tone, "calm")
        point = _of_lift(row.lift, kind, f"/rescue/{row.incident.id}")
        found += [point] if point else []
    return found


def points_near(
    lift: LiftView, units: Sequence[tuple[RescueUnit, float | None, bool]]
) -> list[MapPoint]:
    """Return the points of a lift and of the units that could come."""
    point = _of_lift(lift, "incident", "")
    found = [point] if point else []
    found += [
        MapPoint(kind="unit", latitude=one.latitude, longitude=one.longitude, title=one.name)
        for one, _, _ in units
        if one.latitude is not None and one.longitude is not None
    ]
    return found


def scatter(points: Sequence[MapPoint]) -> Scatter | None:
    """Lay points out as on a plane, north above; None without any."""
    if not points:
        return None
    south, north = _span([one.latitude for one in points])
    west, east = _span([one.longitude for one in points])
    squeeze = math.cos(math.radians((south + north) / 2)) or 1.0
    scale = min(
        (WIDTH - 2 * EDGE) / ((east - west) * squeeze), (HEIGHT - 2 * EDGE) / (north - south)
    )
    middle_x, middle_y = (west + east) / 2, (south + north) / 2
    dots = [
        Dot(
            round(WIDTH / 2 + (one.longitude - middle_x) * squeeze * scale),
            round(HEIGHT / 2 - (one.latitude - middle_y) * scale),
            one,
        )
        for one in points
    ]
    per_km = scale / 111.32
    bar_km = next((km for km in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if km * per_km > 40), 100)
    return Scatter(dots, round(bar_km * per_km), bar_km)


def _span(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    lacking = max(0.0, SPAN_MIN_DEG - (high - low)) / 2
    return low - lacking, high + lacking


def _of_lift(lift: LiftView, kind: str, href: str) -> MapPoint | None:
    if lift.latitude is None or lift.longitude is None:
        return None
    return MapPoint(
        kind=kind, latitude=lift.latitude, longitude=lift.longitude, title=lift.name, href=href
    )
