"""Checks the points of a controller file against the catalog, their types and each other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import fields

from protocols.border import convert
from protocols.catalog.point_map import BIT_TABLES, PointMap, RegisterType, Table
from protocols.catalog.points import Point, fits, load_codes, load_points
from protocols.errors import Fault
from protocols.modbus.fields import Span, spans_of
from protocols.modbus.numbers import bit_count, decimals_of
from protocols.readings import Scalar

WHOLE_TYPES: frozenset[RegisterType] = frozenset({"uint16", "int16", "uint32", "int32"})
TYPES_OF: Mapping[str, frozenset[RegisterType]] = {
    "bool": frozenset({"bool", "enum16"}),
    "word": frozenset({"bool", "enum16"}),
    "codes": frozenset({"bool", "enum16", "bitfield16"}),
    "int": WHOLE_TYPES | {"enum16"},
    "float": WHOLE_TYPES | {"enum16", "float32"},
    "floor": WHOLE_TYPES | {"enum16"},
    "text": frozenset({"uint16", "uint32", "enum16"}),
}
"""Register types that can tell a point of each type."""

SCALE_MIN, SCALE_MAX, OFFSET_MAX = 1e-9, 1e9, 1e12
"""Every raw value stays a finite number, and its decimals are not lost in a float."""


class PointText(Struct, frozen=True, kw_only=True):
    """One `[[points]]` table as written."""

    name: str
    table: Table
    address: Annotated[int, Meta(ge=0, le=0xFFFF)]
    type: RegisterType
    scale: float = 1.0
    offset: float = 0.0
    invalid: tuple[int, ...] = ()
    bits: tuple[int, int] | None = None
    values: dict[str, bool | int | float | str] | None = None
    codes: dict[str, str] | None = None
    valid_when: dict[str, bool | int | float | str] | None = None


Tell = Callable[[str, str, object], None]
"""Notes one fault of a point: key within it, expected, found."""


def check_points(
    parts: Sequence[Mapping[str, Any]], kind: str | None, *, file: str, faults: list[Fault]
) -> list[PointMap]:
    """Turn `[[points]]` tables into point maps, appending every fault.

    Without a kind (itself at fault) only what does not depend on it is checked. One fault hides
    no other: a point is checked as far as it can be read.
    """
    canonical = load_points(kind) if kind else None
    codes = frozenset(load_codes(kind)) if kind else None
    _check_names(parts, canonical, file, faults)
    checked: list[tuple[int, PointMap]] = []
    for index, part in enumerate(parts):
        key = f"points[{index}]"

        def tell(where: str, expected: str, found: object, *, key: str = key) -> None:
            faults.append(Fault(file, f"{key}.{where}", expected, str(found)))

        text = convert(part, PointText, file=file, faults=faults, key=key) or _readable(part)
        if text is None:
            continue
        point = _check_point(text, canonical.get(text.name) if canonical else None, codes, tell)
        if point is not None:
            checked.append((index, point))
    _check_overlaps(checked, file, faults)
    return [point for _, point in checked]


def _readable(part: Mapping[str, Any]) -> PointText | None:
    """Read a point without what is no key or of no use; None when a needed key is among it."""
    types = {field.name: field.type for field in fields(PointText)}
    kept = {
        name: value
        for name, value in part.items()
        if name in types and convert(value, types[name], file="", faults=[]) is not None
    }
    return convert(kept, PointText, file="", faults=[])


def parse_raw(text: str) -> int | None:
    """Read a key such as `3` or `0x0010`; None when it is no such number."""
    try:
        return int(text, 16) if text.lower().startswith("0x") else int(text, 10)
    except ValueError:
        return None


def _check_point(
    text: PointText, point: Point | None, codes: frozenset[str] | None, tell: Tell
) -> PointMap | None:
    if not _check_place(text, tell):
        return None  # how wide its raw value is, is not known
    plain = PointMap(
        name=text.name, table=text.table, address=text.address, type=text.type, bits=text.bits
    )
    top = 1 << bit_count(plain)
    values = _check_values(text, point, top, tell)
    listed = _check_codes(text, point, codes, bit_count(plain), tell)
    invalid = _check_invalid(text, top, values or listed, tell)
    _check_scale(text, point, tell)
    if point is not None:
        _check_type(text, point, tell)
    return PointMap(
        name=text.name,
        table=text.table,
        address=text.address,
        type=text.type,
        scale=text.scale,
        offset=text.offset,
        invalid=invalid,
        bits=text.bits,
        values=values,
        codes=listed,
        valid_when=text.valid_when,
        as_text=point is not None and point.type == "text" and text.type != "enum16",
    )


def _check_place(text: PointText, tell: Tell) -> bool:
    """Check table, address and bits; tell whether they fit each other."""
    found = True
    wide = text.type in ("uint32", "int32", "float32")
    if text.table in BIT_TABLES and text.type != "bool":
        tell("type", f"bool, for one {text.table} is one bit", repr(text.type))
        found = False
    if wide and text.address == 0xFFFF:
        tell("address", "room for two registers, at most 0xfffe", hex(text.address))
        found = False
    if text.bits is None:
        return found
    low, high = text.bits
    if wide or text.table in BIT_TABLES:
        tell("bits", f"no bits for {text.type} in table {text.table}", [low, high])
        return False
    if not 0 <= low <= high <= 15:
        tell("bits", "lowest and highest bit, 0 to 15", [low, high])
        return False
    if text.type == "bool" and low != high and text.values is None:
        tell("bits", "one bit for a bool", [low, high])
        return False
    return found


def _check_values(
    text: PointText, point: Point | None, top: int, tell: Tell
) -> dict[int, Scalar] | None:
    if text.values is None:
        needs = text.type == "enum16" or (
            text.type == "bool" and point is not None and point.type == "word"
        )
        if needs and not (text.codes is not None or (point and point.type == "codes")):
            tell("values", f"the values of a {text.type}", "nothing: the key is missing")
        return None
    if text.type not in ("enum16", "bool") or (point is not None and point.type == "codes"):
        tell("values", f"no values for {text.name} as {text.type}", "values")
        return None
    values = _by_raw("values", text.values, top, tell)
    for key, value in text.values.items():
        if point is not None and not fits(point, value):
            expected = f"one of {', '.join(point.words)}" if point.words else f"a {point.type}"
            tell(f"values.{key}", expected, repr(value))
    return values


def _check_codes(
    text: PointText, point: Point | None, known: frozenset[str] | None, bits: int, tell: Tell
) -> dict[int, str] | None:
    is_list = point is not None and point.type == "codes"
    if text.codes is None:
        if is_list:
            tell("codes", "a code for each bit or number", "nothing: the key is missing")
        return None
    if (point is not None and not is_list) or text.type not in ("bool", "enum16", "bitfield16"):
        tell("codes", f"no codes for {text.name} as {text.type}", "codes")
        return None
    for key, code in text.codes.items():
        if known is not None and code not in known:
            tell(f"codes.{key}", f"one of {', '.join(sorted(known))}", repr(code))
    top = bits if text.type == "bitfield16" else 1 << bits
    return dict(sorted(_by_raw("codes", text.codes, top, tell).items()))


def _by_raw(key: str, table: Mapping[str, Any], top: int, tell: Tell) -> dict[int, Any]:
    found: dict[int, Any] = {}
    if not table:
        tell(key, "at least one entry", "none")
    for name, value in table.items():
        raw = parse_raw(name)
        if raw is None or not 0 <= raw < top:
            tell(f"{key}.{name}", f"a number from 0 to {top - 1}", name)
        elif raw in found:
            tell(f"{key}.{name}", "each number once", f"{raw} twice")
        else:
            found[raw] = value
    return found


def _check_invalid(
    text: PointText, top: int, named: Mapping[int, object] | None, tell: Tell
) -> frozenset[int]:
    """Check raw values that mean none; a signed type may write them signed or unsigned."""
    low = -(top // 2) if text.type in ("int16", "int32") else 0
    for raw in text.invalid:
        if not low <= raw < top:
            tell("invalid", f"raw values from {low} to {top - 1}", raw)
        elif named and text.type != "bitfield16" and raw % top in named:
            tell("invalid", "raw values that mean nothing else", f"{raw}, which has a value")
    return frozenset(raw % top for raw in text.invalid)


def _check_scale(text: PointText, point: Point | None, tell: Tell) -> None:
    if not SCALE_MIN <= abs(text.scale) <= SCALE_MAX:  # not a number neither
        tell("scale", f"a size from {SCALE_MIN:g} to {SCALE_MAX:g}", text.scale)
        return
    if not abs(text.offset) <= OFFSET_MAX:
        tell("offset", f"a size up to {OFFSET_MAX:g}", text.offset)
        return
    plain = text.scale == 1 and text.offset == 0
    if not plain and text.type not in WHOLE_TYPES | {"float32"}:
        tell("scale", f"no scale or offset for a {text.type}", f"{text.scale}, {text.offset}")
    elif point is None or point.type == "float":
        return
    elif point.type == "text" and not plain:
        tell("scale", "no scale or offset for a text", f"{text.scale}, {text.offset}")
    elif decimals_of(text.scale, text.offset):
        tell("scale", f"whole numbers for a {point.type}", f"{text.scale}, {text.offset}")


def _check_type(text: PointText, point: Point, tell: Tell) -> None:
    fitting = TYPES_OF[point.type]
    if text.type not in fitting:
        expected = f"one of {', '.join(sorted(fitting))} for {point.name}, a {point.type}"
        tell("type", expected, repr(text.type))


def _check_names(
    parts: Sequence[Mapping[str, Any]],
    canonical: Mapping[str, Point] | None,
    file: str,
    faults: list[Fault],
) -> None:
    allowed = {
        name: point for name, point in (canonical or {}).items() if point.reporter == "device"
    }
    first: dict[str, int] = {}
    for index, part in enumerate(parts):
        name, key = part.get("name"), f"points[{index}].name"
        if not isinstance(name, str):
            continue  # told with its type, or as missing
        if canonical is not None and name not in allowed:
            expected = f"one of {', '.join(sorted(allowed))}"
            faults.append(Fault(file, key, expected, repr(name)))
        before = first.setdefault(name, index)
        if before != index and not (name in allowed and allowed[name].type == "codes"):
            found = f"{name!r} again, already in points[{before}]"
            faults.append(Fault(file, key, "each point once", found))


def _check_overlaps(points: list[tuple[int, PointMap]], file: str, faults: list[Fault]) -> None:
    """Refuse points that share bits, but for two that give the very same bits different names.

    Such as a maker's fault number and the message code made of it, or a state that tells both
    whether the car runs and whether its door is closed.
    """
    taken = [(index, point, span) for index, point in points for span in spans_of(point)]
    seen: set[tuple[int, int]] = set()
    for at, (index, point, span) in enumerate(taken):
        for other_index, other, other_span in taken[:at]:
            pair = (other_index, index)
            if other_index == index or pair in seen or not span.overlaps(other_span):
                continue
            if span != other_span or not _agree(point, other):
                seen.add(pair)
                expected = f"bits that points[{other_index}] ({other.name}) does not read"
                found = f"{_show(span)} as {point.type}; there {_show(other_span)} as {other.type}"
                faults.append(Fault(file, f"points[{index}].address", expected, found))


def _agree(one: PointMap, other: PointMap) -> bool:
    """Tell whether two readings of the same bits can both be meant."""
    plain = [point for point in (one, other) if point.values is None and point.codes is None]
    numbers = [point for point in plain if point.type != "bool" and not point.as_text]
    return not numbers and len(plain) < 2


def _show(span: Span) -> str:
    if span.words == 2:
        return f"{span.table} {span.address:#06x} to {span.address + 1:#06x}"
    return f"{span.table} {span.address:#06x} bits {span.low} to {span.high}"
