"""From a value to the bits that tell it: the inverse of decoding.

A field is a range of bits with all the raw values that would do. Two points on the same bits, such
as a maker's fault number and the message code made from it, are met by a raw value that suits both.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import NamedTuple

from protocols.catalog.point_map import PointMap, Table, WordOrder
from protocols.modbus.numbers import FLOAT_NAN, bit_count, to_raw, width
from protocols.readings import Value


class Span(NamedTuple):
    """Bits low..high of a register, or of two registers as one number, in a table."""

    table: Table
    address: int
    words: int
    low: int
    high: int

    def overlaps(self, other: "Span") -> bool:
        """Tell whether the two share a bit (of 32-bit values: a register)."""
        if self.table != other.table or self.address >= other.address + other.words:
            return False
        if other.address >= self.address + self.words:
            return False
        both_single = self.words == other.words == 1
        return not both_single or (self.low <= other.high and other.low <= self.high)


class Field(NamedTuple):
    """A span, and the raw values that tell what the named point shall be."""

    name: str
    span: Span
    raws: frozenset[int]


def spans_of(point: PointMap) -> list[Span]:
    """Return the bits that a point reads; of a bitfield only those that have a code."""
    low, high = point.bits or (0, bit_count(point) - 1)
    if point.type == "bitfield16" and point.codes is not None:
        bits = sorted(low + bit for bit in point.codes)
        return [Span(point.table, point.address, 1, bit, bit) for bit in bits]
    return [Span(point.table, point.address, width(point), low, high)]


def fields_of(maps: Sequence[PointMap], value: Value) -> list[Field]:
    """Return the fields that make all maps of one point tell `value`.

    Raises:
        ValueError: naming the point, when they cannot.

    """
    if value is None:
        return [_null_field(one) for one in maps]
    if isinstance(value, list):
        return _code_fields(maps, value)
    return [_field(one, _raws(one, value), value) for one in maps]


def write_fields(
    fields: Sequence[Field],
    word_order: WordOrder,
    image: MutableMapping[Table, MutableMapping[int, int]],
) -> None:
    """Write fields into the image, all or none.

    Raises:
        ValueError: naming the points that want other values of the same bits.

    """
    wanted: dict[Span, list[Field]] = {}
    for field in fields:
        wanted.setdefault(field.span, []).append(field)
    chosen = {span: _choose(span, same, word_order, image) for span, same in wanted.items()}
    for span, raw in chosen.items():
        _write(span, raw, word_order, image)


def _field(point: PointMap, raws: frozenset[int], value: Value) -> Field:
    if not raws:
        raise ValueError(f"{point.name}: {value!r} cannot be told by this controller")
    low, high = point.bits or (0, bit_count(point) - 1)
    return Field(point.name, Span(point.table, point.address, width(point), low, high), raws)


def _null_field(point: PointMap) -> Field:
    nan = frozenset({FLOAT_NAN}) if point.type == "float32" else frozenset[int]()
    return _field(point, frozenset(sorted(point.invalid)[:1]) or nan, None)


def _raws(point: PointMap, value: Value) -> frozenset[int]:
    if point.values is not None:
        same = (raw for raw, one in point.values.items() if _same(one, value))
        return frozenset(same) - point.invalid
    if point.type == "bool":
        return frozenset({int(value)} if isinstance(value, bool) else ()) - point.invalid
    raw = to_raw(point, value)
    return frozenset() if raw is None else frozenset({raw}) - point.invalid


def _same(one: Value, other: Value) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _code_fields(maps: Sequence[PointMap], codes: Sequence[str]) -> list[Field]:
    """Give each code to the first map that can tell it: bits first, then registers of one code."""
    left, fields = list(dict.fromkeys(codes)), []
    for point in sorted(maps, key=lambda one: one.type != "bitfield16"):
        if point.type == "bitfield16":
            fields += _bit_fields(point, left)
        else:
            told = next((code for code in left if code in (point.codes or {}).values()), None)
            left = [code for code in left if code != told]
            fields.append(_field(point, _raws_of_code(point, told), told or []))
    if left:
        raise ValueError(f"{maps[0].name}: {left!r} cannot be told by this controller")
    return fields


def _bit_fields(point: PointMap, left: list[str]) -> list[Field]:
    """Tell what this bitfield can of `left`, and take it out of the list."""
    first_bit = {code: bit for bit, code in sorted((point.codes or {}).items(), reverse=True)}
    told = {first_bit[code] for code in left if code in first_bit}
    left[:] = [code for code in left if code not in first_bit]
    base = point.bits[0] if point.bits else 0
    return [
        Field(point.name, span, frozenset({int(span.low - base in told)}))
        for span in spans_of(point)
    ]


def _raws_of_code(point: PointMap, code: str | None) -> frozenset[int]:
    codes = point.codes or {}
    if code is None:
        return frozenset({0} - set(codes)) - point.invalid
    return frozenset(raw for raw, one in codes.items() if one == code) - point.invalid


def _choose(
    span: Span,
    fields: Sequence[Field],
    word_order: WordOrder,
    image: Mapping[Table, Mapping[int, int]],
) -> int:
    raws = frozenset.intersection(*(field.raws for field in fields))
    if not raws:
        names = ", ".join(sorted({field.name for field in fields}))
        raise ValueError(f"{names}: want different values of the same register {span.address:#06x}")
    there = _read(span, word_order, image)
    return there if there in raws else min(raws)


def _read(span: Span, word_order: WordOrder, image: Mapping[Table, Mapping[int, int]]) -> int:
    table = image.get(span.table, {})
    words = [table.get(span.address + index, 0) for index in range(span.words)]
    if word_order == "little":
        words.reverse()
    whole = words[0] if span.words == 1 else words[0] << 16 | words[1]
    return (whole >> span.low) & ((1 << (span.high - span.low + 1)) - 1)


def _write(
    span: Span,
    raw: int,
    word_order: WordOrder,
    image: MutableMapping[Table, MutableMapping[int, int]],
) -> None:
    table = image.setdefault(span.table, {})
    if span.words == 2:
        words = [raw >> 16, raw & 0xFFFF]
        if word_order == "little":
            words.reverse()
        table[span.address], table[span.address + 1] = words
        return
    mask = ((1 << (span.high - span.low + 1)) - 1) << span.low
    table[span.address] = (table.get(span.address, 0) & ~mask) | raw << span.low
