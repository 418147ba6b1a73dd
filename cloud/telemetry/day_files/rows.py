"""Turns readings into the rows of one day: columns for Arrow, and what does not fit beside them.

Readings are gathered as they are and turned into columns all at once: a loop inside the
interpreter's own functions costs a third of one over their values.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from operator import itemgetter
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
        self._points, self._extra = points, extra
        self._readings: list[PlacedReadings] = []
        self._partitions: list[str] = []
        """Of each reading."""
        self._assets: list[str] = []
        self._at: list[int] = []
        self._sequences: list[int] = []
        self._quality: dict[int, dict[str, Quality]] = {}
        self._whole: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return len(self._at)

    def add(self, reading: PlacedReadings, partition: str, sequences: Sequence[int]) -> None:
        """Add the rows of a reading; one without any point of the table goes to `extra` whole."""
        if self._points.keys().isdisjoint(reading.values):
            for name in reading.values:
                add_extra(self._extra, reading, partition, sequences, name)
            return
        self._readings.append(reading)
        self._partitions.append(partition)
        self._assets += [reading.asset] * len(reading.at)
        self._at += reading.at
        self._sequences += sequences

    def table(self, layout: Layout) -> pa.Table:
        """Return the rows for Arrow, in the types of the file that takes them; call it once.

        Points without a column, and values that do not fit, move to the extra rows.

        Raises:
            ValueError: a column does not line up with `at`.

        """
        values = [reading.values for reading in self._readings]
        heard = set[str]().union(*values)
        for name in sorted(heard - self._points.keys()):
            self._add_extra(name)
        columns = {
            name: self._array(name, self._column(name, values), layout[name])
            for name in self._points
            if name in heard
        }
        own = {
            "_asset": pa.array(self._assets, pa.string()),
            "_at": pa.array(self._at, pa.int64()),
            "_partition": pa.array(self._partition_of_rows(), pa.string()),
            "_sequence": pa.array(self._sequences, pa.int64()),
        }
        if self._quality:
            own["_quality"] = _sparse(self._quality, len(self), _quality_json)
        if self._whole:
            own["_whole"] = _sparse(self._whole, len(self), lambda names: f",{','.join(names)},")
        return pa.table(own | columns)

    def _partition_of_rows(self) -> list[str]:
        pairs = zip(self._partitions, self._readings, strict=True)
        return [partition for partition, reading in pairs for _ in reading.at]

    def _column(self, name: str, values: Sequence[dict[str, list[Value]]]) -> list[Value]:
        """Return the column of a point, null where readings leave it out; note what is not good."""
        try:
            column = list(chain.from_iterable(map(itemgetter(name), values)))
        except KeyError:
            column = list(
                chain.from_iterable(
                    one.values.get(name) or [None] * len(one.at) for one in self._readings
                )
            )
        if len(column) != len(self):
            raise ValueError(f"{name}: {len(column)} values for {len(self)} times")
        if None in column or self._some_not_plain:
            self._note(name)
        return column

    @cached_property
    def _some_not_plain(self) -> bool:
        return any(reading.quality or reading.time_unknown for reading in self._readings)

    def _note(self, name: str) -> None:
        row = 0
        for reading in self._readings:
            column = reading.values.get(name)
            if column is not None:
                for place, quality in enumerate(qualities_of(reading, name, column), row):
                    if quality != "good":
                        self._quality.setdefault(place, {})[name] = quality
            row += len(reading.at)

    def _add_extra(self, name: str) -> None:
        row = 0
        for reading, partition in zip(self._readings, self._partitions, strict=True):
            count = len(reading.at)
            if name in reading.values:
                sequences = self._sequences[row : row + count]
                add_extra(self._extra, reading, partition, sequences, name)
            row += count

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
        partitions = self._partition_of_rows()
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
                partitions[row],
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
