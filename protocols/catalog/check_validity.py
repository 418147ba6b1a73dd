"""Checks what a controller file says of when a point is valid."""

from collections.abc import Iterator, Mapping, Sequence

from protocols.catalog.point_map import PointMap
from protocols.catalog.points import Point, fits
from protocols.errors import Fault
from protocols.modbus.numbers import width
from protocols.readings import Scalar


def check_validity(
    points: Sequence[PointMap],
    canonical: Mapping[str, Point],
    registers_per_read_max: int,
    *,
    file: str,
) -> list[Fault]:
    """Find conditions that name no other point, or one that may be read at another moment."""
    by_name = {point.name: point for point in points}
    faults = []
    for index, point in enumerate(points):
        for name, value in (point.valid_when or {}).items():
            for expected, found in _problems(point, name, value, by_name, canonical):
                key = f"points[{index}].valid_when.{name}"
                faults.append(Fault(file, key, expected, found))
            other = by_name.get(name)
            if other is not None and not _in_one_read(point, other, registers_per_read_max):
                key = f"points[{index}].valid_when.{name}"
                expected = f"a point within {registers_per_read_max} registers of the same table"
                faults.append(Fault(file, key, expected, f"{other.table} {other.address:#06x}"))
    return faults


def _problems(
    point: PointMap,
    name: str,
    value: Scalar,
    by_name: Mapping[str, PointMap],
    canonical: Mapping[str, Point],
) -> Iterator[tuple[str, str]]:
    other = by_name.get(name)
    if other is None or other is point or other.codes is not None or point.codes is not None:
        yield "another point of this file that is no list of codes", repr(name)
    elif other.valid_when is not None:
        yield "a point without valid_when of its own", repr(name)
    elif name in canonical and not fits(canonical[name], value):
        yield f"a value that {name} can have", repr(value)


def _in_one_read(point: PointMap, other: PointMap, registers_max: int) -> bool:
    first = min(point.address, other.address)
    end = max(point.address + width(point), other.address + width(other))
    return point.table == other.table and end - first <= registers_max
