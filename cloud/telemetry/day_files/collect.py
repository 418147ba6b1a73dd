"""Takes log groups apart into the rows of each day that still needs them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cloud.model.logged import LoggedBatch, LogGroup, PlacedReadings, Positions
from cloud.telemetry.base import Refused, RefuseRecord
from cloud.telemetry.day_files.layout import DAY_MAX, DAY_MS, ROW_BITS, Layout
from cloud.telemetry.day_files.rows import ExtraRows, WideRows, add_extra
from protocols.records import Readings

TOO_OLD = "older_than_retention"
IMPOSSIBLE = "impossible_time"
_BAD = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


class Applied(Protocol):
    """What is stored already."""

    def takes(self, day: int, partition: str, position: int) -> bool:
        """Tell whether that day's file still lacks that group."""
        ...

    def is_new(self, partition: str, position: int) -> bool:
        """Tell whether that group was never passed before."""
        ...


@dataclass
class DayRows:
    """What one day's file is to take in one transaction."""

    wide: dict[str, WideRows] = field(default_factory=dict)
    extra: ExtraRows = field(default_factory=ExtraRows)
    positions: Positions = field(default_factory=dict)
    """Of the last group of each partition that has rows here."""
    first_at: int = 2**63
    """The earliest time among the rows."""


class Collector:
    """Collects the rows of one call; `days` and `refused` are its result."""

    def __init__(self, layouts: dict[str, Layout], applied: Applied, day_min: int) -> None:
        self._layouts, self._applied, self._day_min = layouts, applied, day_min
        self.days: dict[int, DayRows] = {}
        self.refused: list[Refused] = []

    def add(self, group: LogGroup) -> None:
        """Add one group.

        Raises:
            RefuseRecord: a record is not what the log promises; nothing of this collector is
                to be stored.

        """
        row = group.position << ROW_BITS
        targets: dict[int, DayRows | None] = {}
        for batch in group.batches:
            order = -1
            try:
                for order, reading in enumerate(batch.readings()):
                    count = len(reading.at)
                    self._add_reading(
                        group, batch, order, reading, range(row, row + count), targets
                    )
                    row += count
                order = -1
            except _BAD as error:
                raise RefuseRecord(batch, record_index(batch, order), repr(error)[:300]) from error

    def _add_reading(
        self,
        group: LogGroup,
        batch: LoggedBatch,
        order: int,
        reading: PlacedReadings,
        sequences: Sequence[int],
        targets: dict[int, DayRows | None],
    ) -> None:
        """Add one reading, day by day; `targets` remembers where the days of this group go."""
        outside = False
        for day, part, numbers in _by_day(reading, sequences):
            if day not in targets:
                targets[day] = self._target(day, group)
            rows = targets[day]
            if rows is not None:
                self._add_rows(rows, group.partition, part, numbers)
            elif not self._day_min <= day <= DAY_MAX:
                outside = True
        if outside and self._applied.is_new(group.partition, group.position):
            reason = IMPOSSIBLE if max(reading.at) // DAY_MS > DAY_MAX else TOO_OLD
            self.refused.append(Refused(group, batch, record_index(batch, order), reason))

    def _target(self, day: int, group: LogGroup) -> DayRows | None:
        """Return where rows of a day go; None: nowhere, or they are stored already."""
        if not self._day_min <= day <= DAY_MAX:
            return None
        if not self._applied.takes(day, group.partition, group.position):
            return None
        rows = self.days.setdefault(day, DayRows())
        rows.positions[group.partition] = group.position
        return rows

    def _add_rows(
        self, rows: DayRows, partition: str, reading: PlacedReadings, sequences: Sequence[int]
    ) -> None:
        rows.first_at = min(rows.first_at, *reading.at)
        kind = reading.asset.partition(":")[0]
        wide = rows.wide.get(kind)
        if wide is None:
            layout = self._layouts.get(kind)
            if layout is None:
                add_extra(rows.extra, reading, partition, sequences)
                return
            wide = rows.wide[kind] = WideRows(layout, rows.extra)
        wide.add(reading, partition, sequences)


def record_index(batch: LoggedBatch, order: int) -> int:
    """Return the index among the good records of the n-th reading that is taken; -1 for none."""
    if order < 0:
        return -1
    indexes = [index for index, record in batch.taken() if isinstance(record, Readings)]
    return indexes[order]


def _by_day(
    reading: PlacedReadings, sequences: Sequence[int]
) -> Iterator[tuple[int, PlacedReadings, Sequence[int]]]:
    """Split a reading at midnight UTC; nearly all lie within one day."""
    at = reading.at
    first, last = at[0] // DAY_MS, at[-1] // DAY_MS
    if len(at) > 1:
        first, last = min(at) // DAY_MS, max(at) // DAY_MS
    if first == last:
        yield first, reading, sequences
        return
    for day in sorted({at // DAY_MS for at in reading.at}):
        rows = [row for row, at in enumerate(reading.at) if at // DAY_MS == day]
        yield day, reading.rows(rows), [sequences[row] for row in rows]
