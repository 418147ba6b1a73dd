"""Turns readings into the rows of one day: columns for Arrow, and what does not fit beside them."""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import msgspec
import pyarrow as pa

from cloud.model.logged import PlacedReadings
from cloud.telemetry.day_files.layout import ColumnType, Layout
from protocols.readings import Quality, Value

EXACT_MAX = 2**53
"""Whole numbers up to here keep their value in a DOUBLE."""
INT64_MAX = 2**63 - 1

_ARROW: dict[ColumnType, pa.DataType] = {
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "VARCHAR[]": pa.list_(pa.string()),
}
_NONE = type(None)
_FAST: dict[ColumnType, frozenset[type]] = {
    "BOOLEAN": frozenset({bool, _NONE}),
    "BIGINT": frozenset({int, _NONE}),
    "DOUBLE": frozenset({float, _NONE}),
    "VARCHAR": frozenset({str, _NONE}),
    "VARCHAR[]": frozenset({list, _NONE}),
}
_value_decoder: msgspec.json.Decoder[Value] = msgspec.json.Decoder(Value)


def to_json(value: Value) -> str | None:
    """Write a value so that `from_json` gives the very same back; null stays null."""
    if value is None:
        return None
    if type(value) is int:
        return str(value)  # msgspec writes no more than 64 bits
    return msgspec.json.encode(value).decode()


def from_json(text: str) -> Value:
    """Read what `to_json` wrote."""
    return _value_decoder.decode(text)


class ExtraRows:
    """Rows of the narrow table: one value each."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, str, int, str | None, str, str | None]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        asset: str,
        at: int,
        partition: str,
        sequence: int,
        quality: Quality,
        point: str,
        value: Value,
    ) -> None:
        """Add one value of one point."""
        noted = None if quality == "good" else quality
        self._rows.append((asset, at, partition, sequence, noted, point, to_json(value)))

    def table(self) -> pa.Table:
        """Return the rows for Arrow."""
        asset, at, partition, sequence, quality, point, value = zip(*self._rows, strict=True)
        return pa.table(
            {
                "_asset": pa.array(asset, pa.string()),
                "_at": pa.array(at, pa.int64()),
                "_partition": pa.array(partition, pa.string()),
                "_sequence": pa.array(sequence, pa.int64()),
                "_quality": pa.array(quality, pa.string()),
                "_point": pa.array(point, pa.string()),
                "_value": pa.array(value, pa.string()),
            }
        )


class WideRows:
    """Rows of the wide table of one kind; only columns that were heard of take part."""

    def __init__(self, points: Layout, extra: ExtraRows) -> None:
        self._extra = extra
        self._assets: list[str] = []
        self._at: list[int] = []
        self._partitions: list[str] = []
        self._sequences: list[int] = []
        self._columns: dict[str, list[Value]] = {name: [] for name in points}
        self._quality: dict[int, dict[str, Quality]] = {}
        self._whole: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return len(self._at)

    def add(self, reading: PlacedReadings, partition: str, sequences: Sequence[int]) -> None:
        """Add the rows of a reading; points without a column go to `extra`."""
        columns, start = self._columns, len(self._at)
        plain, known = not reading.quality and not reading.time_unknown, False
        for name, column in reading.values.items():
            mine = columns.get(name)
            if mine is None:
                add_extra(self._extra, reading, partition, sequences, name)
                continue
            known = True
            if len(mine) < start:  # not heard of in the rows before
                mine.extend(repeat(None, start - len(mine)))
            mine += column
            if not plain or None in column:
                self._note(reading, name, column, start)
        if known:
            count = len(reading.at)
            self._assets.extend(repeat(reading.asset, count))
            self._at += reading.at
            self._partitions.extend(repeat(partition, count))
            self._sequences += sequences

    def _note(self, reading: PlacedReadings, name: str, column: list[Value], start: int) -> None:
        for row, quality in enumerate(qualities_of(reading, name, column), start):
            if quality != "good":
                self._quality.setdefault(row, {})[name] = quality

    def table(self, layout: Layout) -> pa.Table:
        """Return the rows for Arrow, in the types of the file that takes them; call it once.

        Values that do not fit move to the extra rows.
        """
        columns: dict[str, pa.Array] = {}
        count = len(self._at)
        for name, column in self._columns.items():
            if column:
                column.extend(repeat(None, count - len(column)))
                columns[name] = self._array(name, column, layout[name])
        own = {
            "_asset": pa.array(self._assets, pa.string()),
            "_at": pa.array(self._at, pa.int64()),
            "_partition": pa.array(self._partitions, pa.string()),
            "_sequence": pa.array(self._sequences, pa.int64()),
        }
        if self._quality:
            own["_quality"] = _sparse(self._quality, count, _quality_json)
        if self._whole:
            own["_whole"] = _sparse(self._whole, count, lambda names: f",{','.join(names)},")
        return pa.table(own | columns)

    def _array(self, name: str, column: list[Value], type_: ColumnType) -> pa.Array:
        if not set(map(type, column)) <= _FAST[type_]:
            self._sift(name, column, type_)
        try:
            return pa.array(column, _ARROW[type_])
        except OverflowError:  # a whole number beyond 64 bits
            self._sift(name, column, type_)
            return pa.array(column, _ARROW[type_])

    def _sift(self, name: str, column: list[Value], type_: ColumnType) -> None:
        """Move what the column cannot hold exactly to `extra`; note whole numbers in a DOUBLE."""
        for row, value in enumerate(column):
            if value is None or fits(value, type_):
                continue
            if type_ == "DOUBLE" and type(value) is int and -EXACT_MAX <= value <= EXACT_MAX:
                self._whole.setdefault(row, []).append(name)
                continue
            column[row] = None
            quality = self._quality.get(row, {}).get(name, "good")
            self._extra.add(
                self._assets[row],
                self._at[row],
                self._partitions[row],
                self._sequences[row],
                quality,
                name,
                value,
            )


def fits(value: Value, type_: ColumnType) -> bool:
    """Tell whether a column holds a value so that it comes back with its own type."""
    if type_ == "BIGINT":
        return type(value) is int and -INT64_MAX - 1 <= value <= INT64_MAX
    return type(value) in _FAST[type_]


def qualities_of(
    reading: PlacedReadings, name: str, column: Sequence[Value]
) -> Sequence[Quality] | tuple[()]:
    """Return the quality of each value of a point, nothing when all are good.

    A null is not the same as a point left out: it is kept as a quality.
    """
    noted = reading.quality.get(name)
    if noted is None and not reading.time_unknown and None not in column:
        return ()
    found: list[Quality] = []
    for row, value in enumerate(column):
        quality = noted[row] if noted is not None else "good"
        if quality == "good" and value is None:
            quality = "no_value"
        elif quality == "good" and reading.time_unknown:
            quality = "time_unknown"
        found.append(quality)
    return found


def add_extra(
    extra: ExtraRows, reading: PlacedReadings, partition: str, sequences: Sequence[int], name: str
) -> None:
    """Add one point of a reading to the narrow rows."""
    column = reading.values[name]
    qualities = qualities_of(reading, name, column) or ["good"] * len(column)
    for at, sequence, quality, value in zip(reading.at, sequences, qualities, column, strict=True):
        extra.add(reading.asset, at, partition, sequence, quality, name, value)


def _quality_json(found: dict[str, Quality]) -> str:
    return msgspec.json.encode(found, order="sorted").decode()


def _sparse(found: dict[int, Any], count: int, write: Callable[[Any], str]) -> pa.Array:
    texts: list[str | None] = [None] * count
    for row, one in found.items():
        texts[row] = write(one)
    return pa.array(texts, pa.string())
