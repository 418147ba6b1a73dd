"""Raw register values as numbers, and back."""

import math
import struct
from decimal import Decimal
from functools import lru_cache

from protocols.catalog.point_map import BIT_TABLES, PointMap
from protocols.readings import Value

FLOAT_NAN = 0x7FC0_0000
_NUMBER_MAX = 1e39
"""Beyond what any register can tell; a whole number may be too large even to divide."""


def width(point: PointMap) -> int:
    """Return how many registers (or coils) the point takes: 1 or 2."""
    return 2 if point.type in ("uint32", "int32", "float32") else 1


def bit_count(point: PointMap) -> int:
    """Return how many bits the raw value has."""
    if point.bits is not None:
        return point.bits[1] - point.bits[0] + 1
    return 1 if point.table in BIT_TABLES else 16 * width(point)


def to_number(point: PointMap, raw: int) -> int | float | None:
    """Read an unsigned raw value as a number in the point's unit; None for a float that is none."""
    if point.type == "float32":
        number = float(struct.unpack(">f", raw.to_bytes(4, "big"))[0])
        return number * point.scale + point.offset if math.isfinite(number) else None
    whole = raw
    if point.type in ("int16", "int32") and raw >> (bit_count(point) - 1):
        whole = raw - (1 << bit_count(point))
    numerator, shift, denominator = _ratio(point.scale, point.offset)
    scaled = whole * numerator + shift
    # divided once, at the end: 0.3, not 0.30000000000000004
    return scaled if denominator == 1 else scaled / denominator


def to_raw(point: PointMap, value: Value) -> int | None:
    """Find the unsigned raw value nearest to a number; None when there is none in range."""
    number = _number_of(point, value)
    if number is None or not abs(number) < _NUMBER_MAX:
        return None
    scaled = (number - point.offset) / point.scale
    if point.type == "float32":
        try:
            return int.from_bytes(struct.pack(">f", scaled), "big")
        except OverflowError:
            return None
    bits, whole = bit_count(point), round(scaled)
    low, high = (-(1 << bits - 1), 1 << bits - 1) if "uint" not in point.type else (0, 1 << bits)
    return whole % (1 << bits) if low <= whole < high else None


def _number_of(point: PointMap, value: Value) -> float | None:
    if point.as_text:
        digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11
        return int(value) if digits and str(int(value)) == value else None  # type: ignore[arg-type]
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


@lru_cache(maxsize=4096)
def _ratio(scale: float, offset: float) -> tuple[int, int, int]:
    """Return whole numbers n, s, d such that raw * scale + offset is (raw * n + s) / d, exactly."""
    denominator = 10 ** decimals_of(scale, offset)
    scaled = Decimal(repr(scale)) * denominator, Decimal(repr(offset)) * denominator
    return int(scaled[0]), int(scaled[1]), denominator


def decimals_of(scale: float, offset: float) -> int:
    """Return the decimals that raw * scale + offset can have: 0 when both are whole."""
    return max(_decimals(scale), _decimals(offset))


def _decimals(number: float) -> int:
    exponent = Decimal(repr(number)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
