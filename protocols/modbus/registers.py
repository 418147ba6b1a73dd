"""Registers to values and back; the gateway decodes what the simulator encodes.

Registers are unsigned 16-bit words, coils and discrete inputs 0 or 1. Bytes inside a register are
big-endian, always; the order of the two words of a 32-bit value is the controller's.
"""

from collections.abc import Mapping, MutableMapping, Sequence

from protocols.catalog.point_map import Controller, PointMap, Table, WordOrder
from protocols.modbus.fields import Field, fields_of, write_fields
from protocols.modbus.numbers import to_number, width
from protocols.readings import Quality, Scalar, Value

__all__ = [
    "Image",
    "MutableImage",
    "Table",
    "codes_of",
    "decode",
    "decode_point",
    "decode_raw",
    "encode",
    "join_codes",
    "raw_of",
    "valid",
    "width",
]

Image = Mapping[Table, Mapping[int, int]]
"""Raw words by table and zero-based address."""

MutableImage = MutableMapping[Table, MutableMapping[int, int]]
"""An image to write into; annotate with this, for mutable mappings do not convert."""

_NO_VALUE: tuple[Value, Quality] = (None, "no_value")
_UNKNOWN: tuple[Value, Quality] = (None, "unknown_value")


def decode_point(
    point: PointMap, words: Sequence[int], word_order: WordOrder
) -> tuple[Value, Quality]:
    """Read one point from its `width(point)` words.

    Returns:
        (value, "good"), or null with `no_value` for a raw value declared invalid and for a float
        that is no number, or null with `unknown_value` for a raw value that the file does not name.

    """
    return decode_raw(point, raw_of(point, words, word_order))


def decode_raw(point: PointMap, raw: int) -> tuple[Value, Quality]:
    """Read one point from its unsigned raw value, the bits that count already taken out."""
    if raw in point.invalid:
        return _NO_VALUE
    if point.codes is not None:
        return _codes(point, point.codes, raw)
    if point.values is not None:
        return (point.values[raw], "good") if raw in point.values else _UNKNOWN
    if point.type == "bool":
        return (raw == 1, "good") if raw <= 1 else _UNKNOWN
    number = to_number(point, raw)
    if number is None:
        return _NO_VALUE
    return (str(number) if point.as_text else number), "good"


def raw_of(point: PointMap, words: Sequence[int], word_order: WordOrder) -> int:
    """Take the unsigned raw value of a point out of its `width(point)` words."""
    if width(point) == 2:
        first, second = words
        return first << 16 | second if word_order == "big" else second << 16 | first
    (word,) = words
    if point.bits is None:
        return word
    low, high = point.bits
    return (word >> low) & ((1 << (high - low + 1)) - 1)


def _codes(point: PointMap, codes: Mapping[int, str], raw: int) -> tuple[Value, Quality]:
    if point.type == "bitfield16":
        return list(dict.fromkeys(code for bit, code in codes.items() if raw >> bit & 1)), "good"
    if raw in codes:
        return [codes[raw]], "good"
    return ([], "good") if raw == 0 else _UNKNOWN


def join_codes(parts: Sequence[tuple[Value, Quality]]) -> tuple[Value, Quality]:
    """Join what several maps of one list of codes say: in their order, no code twice.

    Where a part is not known, its quality is told beside the codes of the others; and when these
    have none the list is null, for an empty one would say that a fault is over.
    """
    codes: dict[str, None] = {}
    quality: Quality = "good"
    for value, part_quality in parts:
        if isinstance(value, list):
            codes |= dict.fromkeys(value)
        else:
            quality = part_quality
    return (None, quality) if quality != "good" and not codes else (list(codes), quality)


def valid(
    found: tuple[Value, Quality],
    valid_when: Mapping[str, Scalar],
    said: Mapping[str, tuple[Value, Quality]],
) -> tuple[Value, Quality]:
    """Return what was found, or no value where another point says that it does not count."""
    holds = all(said.get(name, _NO_VALUE)[0] == wanted for name, wanted in valid_when.items())
    return found if holds else _NO_VALUE


def decode(controller: Controller, image: Image) -> dict[str, tuple[Value, Quality]]:
    """Read every point whose registers are all in the image.

    A list of codes that stands in several places is left out until all of them are in the image;
    so is a point until those are that say whether it is valid.
    """
    found: dict[str, list[tuple[Value, Quality]]] = {}
    missing = set()
    for point in controller.points:
        table = image.get(point.table, {})
        addresses = range(point.address, point.address + width(point))
        if any(one not in table for one in addresses):
            missing.add(point.name)
            continue
        words = [table[one] for one in addresses]
        found.setdefault(point.name, []).append(decode_point(point, words, controller.word_order))
    said = {
        name: parts[0] if len(parts) == 1 else join_codes(parts)
        for name, parts in found.items()
        if name not in missing
    }
    for point in controller.points:
        if point.valid_when is not None and point.name in said:
            if said.keys() >= point.valid_when.keys():
                said[point.name] = valid(said[point.name], point.valid_when, said)
            else:
                del said[point.name]
    return said


def codes_of(controller: Controller) -> frozenset[str]:
    """Return the canonical codes that this controller can tell."""
    return frozenset(code for point in controller.points for code in (point.codes or {}).values())


def encode(
    controller: Controller,
    values: Mapping[str, Value],
    image: MutableImage,
) -> None:
    """Write values into the registers; all other bits stay as they are, 0 where nothing was.

    Numbers are rounded to the nearest raw value. Null is written as the lowest value declared
    invalid. Where several raw values mean the same, the one that is there already is kept, else
    the lowest is written; points on the same bits get one that suits them all. On an error nothing
    is written.

    Raises:
        ValueError: naming the point that this controller does not have, or cannot tell so.

    """
    fields: list[Field] = []
    for name, value in values.items():
        maps = [point for point in controller.points if point.name == name]
        if not maps:
            raise ValueError(f"{name}: {controller.id} does not have this point")
        fields += fields_of(maps, value)
    write_fields(fields, controller.word_order, image)
