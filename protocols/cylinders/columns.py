"""Tables of sorted keys and columns of small numbers, as bytes that are read where they lie.

Keys of one shape (prefix, length, packed or not) make a group of rows of one width, in order, so
that a search needs no index beside them: `cylinder:23102299920240017` is nine bytes in the group
of the seventeen-digit codes of scheme `cylinder`. A column holds for each key, in their order, the
place of its value in a list of values; its bytes lie in planes, the low bytes of all first. A list
is in the order of its values' JSON and holds only what is used, so equal content has equal bytes.
"""

import mmap
import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from protocols.errors import RefuseInput

Bytes = bytes | mmap.mmap
KEY_CHARS_MAX = 128
_HEX = re.compile(r"[0-9A-F]+")
_TEXT = re.compile(r"[!-~]+")
_WORD = 4
"""Bytes of an `array("I")`'s number."""
_STRETCH = 8_192
"""So many numbers are worked on at a time: a call that takes long keeps all other threads waiting,
and one of them may have to open a gun."""


class Shape(NamedTuple):
    """What the keys of a group have in common."""

    prefix: str
    """Up to and with the colon, or empty."""
    packed: bool
    """Whether what follows are capital hex digits, two a byte."""
    chars: int
    """That follow."""

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return (self.chars + 1) // 2 if self.packed else self.chars


Row = tuple[Shape, bytes]


class Group(Struct, frozen=True, array_like=True):
    """Keys of one shape, as a file's head tells of them."""

    prefix: str
    packed: bool
    chars: Annotated[int, Meta(ge=1, le=KEY_CHARS_MAX)]
    count: Annotated[int, Meta(ge=0)]

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return Shape(self.prefix, self.packed, self.chars)


def row_of(text: str) -> Row:
    """Return the shape of a key, and its bytes; those of one shape sort as their texts do.

    Raises:
        RefuseInput: `bad_key`.

    """
    scheme, colon, rest = text.partition(":")
    prefix, body = (scheme + colon, rest) if colon else ("", text)
    if len(text) > KEY_CHARS_MAX or not _TEXT.fullmatch(text) or not body:
        raise RefuseInput("bad_key", f"expected a code or the digits of a tag, found {text[:80]!r}")
    if _HEX.fullmatch(body):
        return Shape(prefix, True, len(body)), bytes.fromhex(body + "0" * (len(body) % 2))
    return Shape(prefix, False, len(body)), body.encode()


def text_of(shape: Shape, row: bytes) -> str:
    """Return the key of a row."""
    body = row.hex().upper()[: shape.chars] if shape.packed else row.decode()
    return shape.prefix + body


class Keys:
    """The keys of a table, in order; each has its number, counted from 0."""

    def __init__(self, data: Bytes, offset: int, groups: Iterable[Group]) -> None:
        self._data = data
        self.groups: dict[Shape, tuple[int, int, int]] = {}
        """Shape -> (where its rows begin, number of the first, count)."""
        self.count = 0
        for group in groups:
            self.groups[group.shape] = (offset, self.count, group.count)
            offset += group.shape.width * group.count
            self.count += group.count
        self.end = offset

    def lower(self, shape: Shape, row: bytes) -> int:
        """Return the number of the first key of this shape that is not before `row`."""
        offset, first, count = self.groups.get(shape, (0, 0, 0))
        data, width, low, high = self._data, shape.width, 0, count
        while low < high:
            middle = (low + high) // 2
            at = offset + middle * width
            if data[at : at + width] < row:
                low = middle + 1
            else:
                high = middle
        return first + low

    def equal(self, shape: Shape, row: bytes) -> range:
        """Return the numbers of the keys that are this one."""
        _, first, count = self.groups.get(shape, (0, 0, 0))
        start = stop = self.lower(shape, row)
        while stop < first + count and self.rows(shape, stop, stop + 1) == row:
            stop += 1
        return range(start, stop)

    def rows(self, shape: Shape, start: int, stop: int) -> bytes:
        """Return the rows of keys of one shape."""
        offset, first, _ = self.groups[shape]
        width = shape.width
        return self._data[offset + (start - first) * width : offset + (stop - first) * width]

    def row(self, number: int) -> Row:
        """Return one key's row."""
        for shape, (_, first, count) in self.groups.items():
            if first <= number < first + count:
                return shape, self.rows(shape, number, number + 1)
        raise IndexError(number)

    def all(self) -> Iterator[Row]:
        """Yield every key's row."""
        for shape, (_, first, count) in self.groups.items():
            for number in range(first, first + count):
                yield shape, self.rows(shape, number, number + 1)


class Numbers:
    """A column of numbers in planes."""

    def __init__(self, data: Bytes, offset: int, width: int, count: int) -> None:
        self._data, self._offset, self._width, self._count = data, offset, width, count
        self.end = offset + width * count

    def __getitem__(self, at: int) -> int:
        data, place, value = self._data, self._offset + at, 0
        for plane in range(self._width):
            value |= data[place + plane * self._count] << 8 * plane
        return value

    def all(self) -> "array[int]":
        """Return all of them."""
        raw, count = bytearray(_WORD * self._count), self._count
        for plane in range(self._width):
            start = self._offset + plane * count
            raw[plane::_WORD] = self._data[start : start + count]
        return _from_little(raw)


def width_of(largest: int) -> int:
    """Return how many bytes the numbers of a column take; none when all are 0."""
    return (largest.bit_length() + 7) // 8


def planes(numbers: "array[int]", width: int) -> Iterator[bytes]:
    """Yield the planes of a column."""
    raw = _to_little(numbers)
    for plane in range(width):
        yield raw[plane::_WORD]


def in_order(numbers: "array[int]", values: Sequence[bytes]) -> tuple[list[bytes], "array[int]"]:
    """Return the values that are used, in order, and the numbers of their places there."""
    used: set[int] = set()
    for start in range(0, len(numbers), _STRETCH):
        used.update(numbers[start : start + _STRETCH])
    place = array("I", bytes(_WORD * len(values)))
    ordered = sorted(used, key=values.__getitem__)
    for at, one in enumerate(ordered):
        place[one] = at
    return [values[one] for one in ordered], replaced(numbers, place)


def replaced(numbers: "array[int]", by: "array[int]") -> "array[int]":
    """Return for each number what stands at its place in `by`."""
    found = array("I")
    for start in range(0, len(numbers), _STRETCH):
        found.extend(array("I", map(by.__getitem__, numbers[start : start + _STRETCH])))
    return found


def grouped_by(numbers: "array[int]", count: int) -> "array[int]":
    """Return the places of numbers below `count`, those of 0 first; of equal ones in order."""
    starts = array("I", bytes(_WORD * (count + 1)))
    for number in numbers:
        starts[number + 1] += 1
    for number in range(count):
        starts[number + 1] += starts[number]
    places = array("I", bytes(_WORD * len(numbers)))
    for place, number in enumerate(numbers):
        places[starts[number]] = place
        starts[number] += 1
    return places


def _from_little(raw: bytes | bytearray) -> "array[int]":
    numbers = array("I")
    numbers.frombytes(bytes(raw))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _to_little(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers = array("I", numbers)
        numbers.byteswap()
    return numbers.tobytes()
