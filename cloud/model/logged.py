"""What the log holds: batches as they came, with the ingester's decisions beside them.

Everything a consumer needs to act the same on a second reading is decided once, at ingest, and
stored here: which records are set aside, and how free-running times are placed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Literal

import msgspec

from protocols.envelope import decode_records
from protocols.readings import ClockState, Quality, Value
from protocols.records import Readings, Record
from protocols.topics import Stream

Placing = Literal["as_sent", "by_offset", "unknown"]
POINT_SETS_MAX = 10_000
"""Sets of points are shared among readings, so many of them; a fleet uses some dozens."""

_point_sets: dict[tuple[str, ...], tuple[str, ...]] = {}


class LoggedBatch(msgspec.Struct, frozen=True, kw_only=True, dict=True, array_like=True):
    """One batch of one gateway, exactly as received."""

    gateway: str
    spool: str
    stream: Stream
    seq: int
    boot_id: str
    clock: ClockState
    received_at: int
    """ms since 1970, the cloud's clock."""
    placing: Placing = "as_sent"
    offset_ms: int = 0
    """Added to `at` to get ms since 1970; with `unknown` it places the last one at receipt."""
    set_aside: tuple[int, ...] = ()
    """Indexes, among the good records, that the ingester sent to the dead letters."""
    records_raw: bytes

    @property
    def records(self) -> tuple[Record, ...]:
        """The good records of the batch; those the wire format refuses are left out."""
        return decode_records(self.records_raw)[0]

    def taken(self) -> Iterator[tuple[int, Record]]:
        """Yield (index, record) of the records that consumers act upon."""
        for index, record in enumerate(self.records):
            if index not in self.set_aside:
                yield index, record

    @cached_property
    def _readings(self) -> tuple["PlacedReadings", ...]:
        return tuple(self._place(record for _, record in self.taken()))

    def readings(self) -> Sequence["PlacedReadings"]:
        """Return the readings of the batch with their times placed; decoded once for all."""
        return self._readings

    def decoded(self, records: Iterable[Record]) -> None:
        """Spare the batch the decoding: these are the records that consumers act upon."""
        self.__dict__["_readings"] = tuple(self._place(records))

    def _place(self, records: Iterable[Record]) -> Iterator["PlacedReadings"]:
        for record in records:
            if isinstance(record, Readings):
                at = record.at
                if self.offset_ms:
                    at = [one + self.offset_ms for one in at]
                points, flat = flattened(record.values)
                yield PlacedReadings(
                    asset=record.asset,
                    gateway=self.gateway,
                    seq=self.seq,
                    received_at=self.received_at,
                    at=at,
                    points=points,
                    flat=flat,
                    quality=record.quality,
                    time_unknown=self.placing == "unknown",
                )


class PlacedReadings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Readings of one asset with `at` as observed_at (ms since 1970).

    Two consumers hold a second of them: one list for all values is a sixth of the memory of a
    list for each point, and comes out of the processor's cache as often.
    """

    asset: str
    gateway: str
    seq: int
    received_at: int
    at: list[int]
    points: tuple[str, ...]
    flat: list[Value]
    """Point after point: what points[i] was at[j] is flat[i * len(at) + j]."""
    quality: dict[str, list[Quality]]
    """Lined up with `at`; only where some value is not good; a point may be missing here."""
    time_unknown: bool = False
    """True: `at` is about the time of receipt, the real one is not known (`time_unknown`)."""

    def columns(self) -> dict[str, list[Value]]:
        """Return the values by point, lined up with `at`."""
        count = len(self.at)
        return {
            name: self.flat[place * count : (place + 1) * count]
            for place, name in enumerate(self.points)
        }

    def rows(self, picked: Sequence[int]) -> "PlacedReadings":
        """Return some moments alone, by index of `at`, in that order."""
        columns, qualities = self.columns().values(), self.quality.items()
        return msgspec.structs.replace(
            self,
            at=[self.at[row] for row in picked],
            flat=[column[row] for column in columns for row in picked],
            quality={name: [column[row] for row in picked] for name, column in qualities},
        )


def flattened(values: Mapping[str, Sequence[Value]]) -> tuple[tuple[str, ...], list[Value]]:
    """Return the points, and all values point after point; columns are of one length."""
    columns = values.values()
    try:
        flat = [value for (value,) in columns]  # nearly always there is one moment
    except ValueError:
        flat = list(chain.from_iterable(columns))
    points = tuple(values)
    shared = _point_sets.get(points)
    if shared is None:
        if len(_point_sets) >= POINT_SETS_MAX:
            _point_sets.clear()
        shared = _point_sets[points] = points
    return shared, flat


class LogGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit wrote to a partition of the log, or a piece of it."""

    partition: str
    """`{shard group}/{stream}`, for example `all/alarm`."""
    position: int
    """1, 2, 3 … without holes within the partition."""
    committed_at: int
    """ms since 1970."""
    batches: tuple[LoggedBatch, ...]


Positions = dict[str, int]
"""Partition -> position of the last group that is done; a missing partition: none yet."""
