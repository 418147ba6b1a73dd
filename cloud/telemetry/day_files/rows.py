"""Turns readings into the rows of one day: columns for Arrow, and what does not fit beside them.

Readings are gathered as they are and turned into columns all at once: a loop inside the
interpreter's own functions costs a third of one over their values.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
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
SHAPES_MAX = 64
"""So many sets of points are kept apart; readings of further ones are looked through by name."""
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


class _Part:
    """Readings with the same points in the same order; without `names`, readings with any."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._names = names
        self.readings: list[PlacedReadings] = []
        self.partitions: list[str] = []
        """Of each reading."""
        self.assets: list[str] = []
        self.at: list[int] = []
        self.sequences: list[int] = []

    def add(self, reading: PlacedReadings, partition: str, sequences: Sequence[int]) -> None:
        """Add the rows of a reading."""
        self.readings.append(reading)
        self.partitions.append(partition)
        self.assets += [reading.asset] * len(reading.at)
        self.at += reading.at
        self.sequences += sequences

    def columns(self) -> Mapping[str, Sequence[Value]]:
        """Return the column of each point that was heard of."""
        readings = self.readings
        if not self._names:
            tables = [one.columns() for one in readings]
            heard = set[str]().union(*(one.points for one in readings))
            return {name: self._gathered(name, tables) for name in heard}
        if len(readings) == len(self.at):  # each reading is a row
            every: Iterable[Sequence[Value]] = zip(*(one.flat for one in readings), strict=True)
        else:
            tables = [one.columns() for one in readings]
            every = [list(chain.from_iterable(t[name] for t in tables)) for name in self._names]
        return dict(zip(self._names, every, strict=True))

    def _gathered(self, name: str, tables: Sequence[Mapping[str, list[Value]]]) -> list[Value]:
        pieces = zip(tables, self.readings, strict=True)
        parts = [table.get(name) or [None] * len(one.at) for table, one in pieces]
        return list(chain.from_iterable(parts))


class WideRows:
    """Rows of the wide table of one kind; only columns that were heard of take part."""

    def __init__(self, points: Layout, extra: ExtraRows) -> None:
        self._points, self._extra = points, extra
        self._parts: dict[tuple[str, ...], _Part] = {}
        self._mixed = _Part()
        self._count = 0
        self._quality: dict[int, dict[str, Quality]] = {}
        self._whole: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, reading: PlacedReadings, partition: str, sequences: Sequence[int]) -> None:
        """Add the rows of a reading; one without any point of the table goes to `extra` whole."""
        names = reading.points
        part = self._parts.get(names)
        if part is None:
            if self._points.keys().isdisjoint(names):
                add_extra(self._extra, reading, partition, sequences)
                return
            part = self._mixed
            if len(self._parts) < SHAPES_MAX:
                part = self._parts[names] = _Part(names)
        part.add(reading, partition, sequences)
        self._count += len(reading.at)

    def table(self, layout: Layout) -> pa.Table:
        """Return the rows for Arrow, in the types of the file that takes them; call it once.

        Points without a column, and values that do not fit, move to the extra rows.
        """
        parts = [part for part in (*self._parts.values(), self._mixed) if part.at]
        found = [part.columns() for part in parts]
        self._assets = list(chain.from_iterable(part.assets for part in parts))
        self._at = list(chain.from_iterable(part.at for part in parts))
        self._sequences = list(chain.from_iterable(part.sequences for part in parts))
        self._note_qualities(parts)
        heard = set[str]().union(*found)
        if strange := heard - self._points.keys():
            self._add_extra(parts, strange)
        partitions = _partition_of_rows(parts)
        columns = {}
        for name in self._points:
            if name in heard:
                pieces = zip(found, parts, strict=True)
                every = [one.get(name) or [None] * len(part.at) for one, part in pieces]
                column = every[0] if len(every) == 1 else list(chain.from_iterable(every))
                columns[name] = self._array(name, column, layout[name], partitions)
        own = {
            "_asset": pa.array(self._assets, pa.string()),
            "_at": pa.array(self._at, pa.int64()),
            "_partition": pa.array(partitions, pa.string()),
            "_sequence": pa.array(self._sequences, pa.int64()),
        }
        if self._quality:
            own["_quality"] = _sparse(self._quality, len(self), _quality_json)
        if self._whole:
            own["_whole"] = _sparse(self._whole, len(self), lambda names: f",{','.join(names)},")
        return pa.table(own | columns)

    def _note_qualities(self, parts: Sequence[_Part]) -> None:
        """Note what is not good: of the few readings that have a null or say a quality."""
        row = 0
        for reading in chain.from_iterable(part.readings for part in parts):
            if reading.quality or reading.time_unknown or None in reading.flat:
                for name, column in reading.columns().items():
                    if name in self._points:
                        for place, quality in enumerate(qualities_of(reading, name, column), row):
                            if quality != "good":
                                self._quality.setdefault(place, {})[name] = quality
            row += len(reading.at)

    def _add_extra(self, parts: Sequence[_Part], names: AbstractSet[str]) -> None:
        row = 0
        for part in parts:
            for reading, partition in zip(part.readings, part.partitions, strict=True):
                count = len(reading.at)
                if not names.isdisjoint(reading.points):
                    sequences = self._sequences[row : row + count]
                    add_extra(self._extra, reading, partition, sequences, names)
                row += count

    def _array(
        self, name: str, column: Sequence[Value], type_: ColumnType, partitions: Sequence[str]
    ) -> pa.Array:
        if not set(map(type, column)) <= _FAST[type_]:
            column = self._sifted(name, column, type_, partitions)
        try:
            return pa.array(column, _ARROW[type_])
        except OverflowError:  # a whole number beyond 64 bits
            return pa.array(self._sifted(name, column, type_, partitions), _ARROW[type_])

    def _sifted(
        self, name: str, column: Sequence[Value], type_: ColumnType, partitions: Sequence[str]
    ) -> list[Value]:
        """Move what the column cannot hold exactly to `extra`; note whole numbers in a DOUBLE."""
        kept = list(column)
        for row, value in enumerate(column):
            if value is None or fits(value, type_):
                continue
            if type_ == "DOUBLE" and type(value) is int and -EXACT_MAX <= value <= EXACT_MAX:
                self._whole.setdefault(row, []).append(name)
                continue
            kept[row] = None
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
        return kept


def _partition_of_rows(parts: Sequence[_Part]) -> list[str]:
    return [
        partition
        for part in parts
        for partition, reading in zip(part.partitions, part.readings, strict=True)
        for _ in reading.at
    ]


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
    extra: ExtraRows,
    reading: PlacedReadings,
    partition: str,
    sequences: Sequence[int],
    names: Container[str] | None = None,
) -> None:
    """Add points of a reading to the narrow rows; all of them without `names`."""
    for name, column in reading.columns().items():
        if names is None or name in names:
            qualities = qualities_of(reading, name, column) or ["good"] * len(column)
            for row in zip(reading.at, sequences, qualities, column, strict=True):
                at, sequence, quality, value = row
                extra.add(reading.asset, at, partition, sequence, quality, name, value)


def _quality_json(found: dict[str, Quality]) -> str:
    return msgspec.json.encode(found, order="sorted").decode()


def _sparse(found: dict[int, Any], count: int, write: Callable[[Any], str]) -> pa.Array:
    texts: list[str | None] = [None] * count
    for row, one in found.items():
        texts[row] = write(one)
    return pa.array(texts, pa.string())
