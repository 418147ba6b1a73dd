"""Merges a whole snapshot file with increments into the whole file of the newest state."""

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw

from protocols.cylinders.columns import Keys, Row, Shape, replaced
from protocols.cylinders.snapshot import (
    ADMITTED,
    BY_OWNER,
    CYLINDERS,
    DENIED,
    GONE,
    OWNER,
    STATE,
    TAGS,
    Layer,
    rules_of,
)
from protocols.cylinders.snapshot_write import (
    DEFAULTS,
    Column,
    Write,
    Writer,
    Written,
    write_tags,
)

_NOWHERE = 0xFFFF_FFFF


class Piece(NamedTuple):
    """Neighbours in one of the files, that are neighbours in the merged one too."""

    shape: Shape
    layer: int
    start: int
    stop: int


class _Added(NamedTuple):
    """A key that comes from an increment."""

    row: Row
    rank: int
    """Among equal keys."""
    layer: int
    number: int


_Latest = Mapping[Row, tuple[int, int] | None]
"""Key -> (increment, number in it), None: gone."""


def merge(write: Write, layers: Sequence[Layer]) -> Written:
    """Write a whole file; `layers`: oldest first, the first is whole."""
    writer = Writer(write)
    latest = _latest(layers, CYLINDERS, GONE)
    pieces = _replaced(layers, CYLINDERS, latest)
    cylinders = _write_table(writer, layers, CYLINDERS, pieces, DEFAULTS)
    _write_tags(writer, layers, latest, pieces, cylinders)
    denied_pieces = _replaced(layers, DENIED, _latest(layers, DENIED, ADMITTED))
    denied = _write_table(writer, layers, DENIED, denied_pieces, {STATE: None})
    for _ in (GONE, ADMITTED):
        writer.table((), ())
    return Written(writer.finish(rules_of(layers)), cylinders, denied)


def _latest(layers: Sequence[Layer], table: str, gone: str) -> _Latest:
    latest: dict[Row, tuple[int, int] | None] = {}
    for at, layer in enumerate(layers[1:], start=1):
        latest.update(dict.fromkeys(layer.tables[gone].keys.all()))
        for number, row in enumerate(layer.tables[table].keys.all()):
            latest[row] = at, number
    return latest


def _replaced(layers: Sequence[Layer], table: str, latest: _Latest) -> list[Piece]:
    keys = layers[0].tables[table].keys
    drops = {number for row in latest for number in keys.equal(*row)}
    adds = [_Added(row, 0, *found) for row, found in latest.items() if found is not None]
    return list(_pieces(keys, drops, adds))


def _pieces(keys: Keys, drops: Collection[int], adds: Iterable[_Added]) -> Iterator[Piece]:
    """Yield the pieces of the merged table, in order."""
    added: dict[Shape, list[_Added]] = {}
    for one in sorted(adds):
        added.setdefault(one.row[0], []).append(one)
    for shape in sorted({*keys.groups, *added}):
        _, first, count = keys.groups.get(shape, (0, 0, 0))
        turns: list[tuple[int, int, _Added | None]] = [
            (number, 1, None) for number in drops if first <= number < first + count
        ]
        turns += [(keys.lower(shape, one.row[1]), 0, one) for one in added.get(shape, ())]
        at = first
        for number, _, new in sorted(turns, key=lambda turn: turn[:2]):
            if at < number:
                yield Piece(shape, 0, at, number)
            at = number if new is not None else number + 1
            if new is not None:
                yield Piece(shape, new.layer, new.number, new.number + 1)
        if at < first + count:
            yield Piece(shape, 0, at, first + count)


def _write_table(
    writer: Writer,
    layers: Sequence[Layer],
    table: str,
    pieces: Sequence[Piece],
    defaults: Mapping[str, bytes | None],
) -> int:
    columns = (_column(layers, table, name, defaults[name], pieces) for name in sorted(defaults))
    writer.table(_rows(layers, table, pieces), columns)
    return sum(one.stop - one.start for one in pieces)


def _rows(
    layers: Sequence[Layer], table: str, pieces: Iterable[Piece]
) -> Iterator[tuple[Shape, int, bytes]]:
    groups: dict[Shape, list[Piece]] = {}
    for one in pieces:
        groups.setdefault(one.shape, []).append(one)
    for shape, members in groups.items():
        data = b"".join(
            layers[one.layer].tables[table].keys.rows(shape, one.start, one.stop) for one in members
        )
        yield shape, sum(one.stop - one.start for one in members), data


def _column(
    layers: Sequence[Layer],
    table: str,
    name: str,
    default: bytes | None,
    pieces: Iterable[Piece],
) -> Column:
    places: dict[bytes, int] = {}
    sources = [_numbers(layer, table, name, default, places) for layer in layers]
    merged = array("I")
    for one in pieces:
        merged.extend(sources[one.layer][one.start : one.stop])
    return Column(name, merged, list(places), default)


def _numbers(
    layer: Layer, table: str, name: str, default: bytes | None, places: dict[bytes, int]
) -> "array[int]":
    """Return a column of one file, with its values' places in the list of all files."""
    found = layer.tables[table]
    head = found.heads.get(name)
    if head is None:
        values, numbers = [default or b"null"], array("I", bytes(4 * found.keys.count))
    else:
        values = [bytes(one) for one in msgspec.json.decode(head.values, type=list[Raw])]
        numbers = found.numbers[name].all()
    here = [places.setdefault(one, len(places)) for one in values]
    if here == list(range(len(here))):
        return numbers
    return replaced(numbers, array("I", here))


def _write_tags(
    writer: Writer,
    layers: Sequence[Layer],
    latest: _Latest,
    cylinders: Iterable[Piece],
    count: int,
) -> None:
    placed = _placed(layers, cylinders)
    owners = [one.tables[TAGS].numbers[OWNER].all() for one in layers]
    keys, by_owner = layers[0].tables[TAGS].keys, layers[0].tables[TAGS].numbers[BY_OWNER]
    gone = {number for row in latest for number in layers[0].tables[CYLINDERS].keys.equal(*row)}
    drops = {by_owner[at] for number in gone for at in layers[0].tags_of(number)}
    adds = list(_new_tags(layers, latest, placed))
    for row in {one.row for one in adds}:
        again = set(keys.equal(*row)) - drops
        adds += [_Added(row, placed[0][owners[0][number]], 0, number) for number in again]
        drops |= again
    pieces = list(_pieces(keys, drops, adds))
    merged = array("I")
    for one in pieces:
        merged.extend(replaced(owners[one.layer][one.start : one.stop], placed[one.layer]))
    write_tags(writer, _rows(layers, TAGS, pieces), merged, count)


def _new_tags(
    layers: Sequence[Layer], latest: _Latest, placed: Sequence["array[int]"]
) -> Iterator[_Added]:
    for found in latest.values():
        if found is not None:
            layer, number = found
            tags = layers[layer].tables[TAGS]
            for at in layers[layer].tags_of(number):
                tag = tags.numbers[BY_OWNER][at]
                yield _Added(tags.keys.row(tag), placed[layer][number], layer, tag)


def _placed(layers: Sequence[Layer], pieces: Iterable[Piece]) -> list["array[int]"]:
    """Return for each file the numbers that its cylinders have in the merged one."""
    placed = [array("I", [_NOWHERE]) * one.tables[CYLINDERS].keys.count for one in layers]
    at = 0
    for one in pieces:
        stop = at + one.stop - one.start
        placed[one.layer][one.start : one.stop] = array("I", range(at, stop))
        at = stop
    return placed
