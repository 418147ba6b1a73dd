"""Writes snapshot files: whole ones, increments, and a whole one merged with increments.

A merge gives, byte for byte, the file that would have been written of the same content at once, so
the SHA-256 that a manifest names proves a merged file as well as a fetched one.
"""

import hashlib
import heapq
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from protocols.cylinders.base import Cylinder
from protocols.cylinders.base import State as CylinderState
from protocols.cylinders.columns import (
    Group,
    Row,
    Shape,
    grouped_by,
    in_order,
    planes,
    replaced,
    row_of,
    text_of,
    width_of,
)
from protocols.cylinders.manifest import Blob
from protocols.cylinders.snapshot import (
    BY_OWNER,
    FIELDS,
    MAGIC,
    OWNER,
    STATE,
    ColumnHead,
    Head,
    TableHead,
)
from protocols.errors import RefuseInput

Write = Callable[[bytes], object]
Denied = Mapping[str, CylinderState]
_STRETCH = 8_192
_encode = msgspec.json.Encoder().encode


class Written(NamedTuple):
    """What was written."""

    blob: Blob
    cylinders: int
    denied: int


class Column(NamedTuple):
    """A column before it is written."""

    name: str
    numbers: "array[int]"
    values: Sequence[bytes] | None
    """JSON of each."""
    default: bytes | None = None
    """A column in which there is nothing else is left out."""


class Writer:
    """Writes table after table, then the rules and the head."""

    def __init__(self, write: Write) -> None:
        self._write, self._hash, self._size = write, hashlib.sha256(), 0
        self._tables: list[TableHead] = []

    def table(self, rows: Iterable[tuple[Shape, int, bytes]], columns: Iterable[Column]) -> None:
        """Write a table: (shape, count, rows of all its keys) in order, and its columns."""
        groups = []
        for shape, count, data in rows:
            groups.append(Group(*shape, count))
            self._put(data)
        heads = [head for one in columns if (head := self._column(one)) is not None]
        self._tables.append(TableHead(groups, heads))

    def finish(self, rules: bytes | None) -> Blob:
        """Write what comes last."""
        self._put(rules or b"")
        head = _encode(Head(self._tables, None if rules is None else len(rules)))
        self._put(head)
        self._put(len(head).to_bytes(4, "little"))
        self._put(MAGIC)
        return Blob(self._hash.hexdigest(), self._size)

    def _column(self, column: Column) -> ColumnHead | None:
        numbers, values = column.numbers, Raw(b"null")
        if column.values is not None:
            used, numbers = in_order(numbers, column.values)
            if column.default is not None and used in ([], [column.default]):
                return None
            values = Raw(b"[" + b",".join(used) + b"]")
        width = width_of(max(numbers, default=0))
        for plane in planes(numbers, width):
            self._put(plane)
        return ColumnHead(column.name, width, values)

    def _put(self, data: bytes) -> None:
        self._write(data)
        self._hash.update(data)
        self._size += len(data)


def write_whole(
    write: Write, cylinders: Iterable[Cylinder], denied: Denied, rules: bytes
) -> Written:
    """Write a whole file.

    Raises:
        RefuseInput: `bad_key`; `twice`: a code comes again.

    """
    return _write_all(write, cylinders, denied, gone=(), admitted=(), rules=rules)


def write_increment(
    write: Write,
    cylinders: Iterable[Cylinder],
    denied: Denied,
    *,
    gone: Collection[str],
    admitted: Collection[str],
    rules: bytes | None,
) -> Written:
    """Write an increment: who is new or changed, and who is gone from each of the two lists."""
    return _write_all(write, cylinders, denied, gone=gone, admitted=admitted, rules=rules)


class _Gathered:
    """Cylinders as columns, in the order in which they came."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.tags: list[tuple[Row, int]] = []
        self.places: dict[str, dict[Any, int]] = {name: {} for name in FIELDS}
        self.numbers: dict[str, array[int]] = {name: array("I") for name in FIELDS}

    def add(self, cylinder: Cylinder) -> None:
        self.tags += [(row_of(uid), len(self.rows)) for uid in set(cylinder.tag_uids)]
        self.rows.append(row_of(cylinder.code))
        for name, places in self.places.items():
            value = getattr(cylinder, name)
            self.numbers[name].append(places.setdefault(value, len(places)))


def _write_all(
    write: Write,
    cylinders: Iterable[Cylinder],
    denied: Denied,
    *,
    gone: Collection[str],
    admitted: Collection[str],
    rules: bytes | None,
) -> Written:
    gathered, writer = _Gathered(), Writer(write)
    for one in cylinders:
        gathered.add(one)
    count = len(gathered.rows)
    order = _order(gathered.rows)
    place = array("I", bytes(4 * count))
    for at, number in enumerate(order):
        place[number] = at
    writer.table(
        grouped([gathered.rows[number] for number in order]),
        (_column(gathered, name, order) for name in sorted(FIELDS)),
    )
    tags = [(row, place[number]) for row, number in gathered.tags]
    order = _order(tags)
    owners = array("I", (tags[at][1] for at in order))
    write_tags(writer, grouped([tags[at][0] for at in order], twice=True), owners, count)
    _write_denied(writer, denied)
    for codes in (gone, admitted):
        writer.table(grouped(sorted(map(row_of, codes))), ())
    return Written(writer.finish(rules), count, len(denied))


def write_tags(
    writer: Writer,
    rows: Iterable[tuple[Shape, int, bytes]],
    owners: "array[int]",
    cylinders: int,
) -> None:
    """Write the table of tags; `owners`: of each, the number of one of the cylinders."""
    columns = ((OWNER, owners), (BY_OWNER, grouped_by(owners, cylinders)))
    writer.table(rows, (Column(name, numbers, None) for name, numbers in columns))


def grouped(rows: Sequence[Row], *, twice: bool = False) -> Iterator[tuple[Shape, int, bytes]]:
    """Yield rows that are in order by their groups; RefuseInput `twice`: one comes again."""
    if not twice and len(set(rows)) != len(rows):
        again = next(row for row, next_row in pairwise(rows) if row == next_row)
        raise RefuseInput("twice", text_of(*again))
    for shape, group in groupby(rows, key=itemgetter(0)):
        data = [row for _, row in group]
        yield shape, len(data), b"".join(data)


def _write_denied(writer: Writer, denied: Denied) -> None:
    rows = sorted((row_of(code), state) for code, state in denied.items())
    states = sorted(set(denied.values()))
    numbers = array("I", (states.index(state) for _, state in rows))
    column = Column(STATE, numbers, [_encode(state) for state in states])
    writer.table(grouped([row for row, _ in rows]), [column])


def _order(rows: Sequence[Row | tuple[Row, int]]) -> "array[int]":
    """Return the numbers of rows in the rows' order; many short sorts, so that others go on."""
    stretches = (range(at, min(len(rows), at + _STRETCH)) for at in range(0, len(rows), _STRETCH))
    runs = [sorted(one, key=rows.__getitem__) for one in stretches]
    return array("I", heapq.merge(*runs, key=rows.__getitem__))


def _column(gathered: _Gathered, name: str, order: "array[int]") -> Column:
    type_ = FIELDS[name].type
    values = [
        _encode(msgspec.json.decode(_encode(value), type=type_)) for value in gathered.places[name]
    ]
    numbers = replaced(order, gathered.numbers[name])
    return Column(name, numbers, values, DEFAULTS[name])


DEFAULTS: dict[str, bytes | None] = {
    name: None if field.default is msgspec.NODEFAULT else _encode(field.default)
    for name, field in FIELDS.items()
}
