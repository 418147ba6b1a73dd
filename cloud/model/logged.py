"""What the log holds: batches as they came, with the ingester's decisions beside them.

Everything a consumer needs to act the same on a second reading is decided once, at ingest, and
stored here: which records are set aside, and how free-running times are placed.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import msgspec

from protocols.envelope import decode_records
from protocols.readings import ClockState, Quality, Value
from protocols.records import Readings, Record
from protocols.topics import Stream

Placing = Literal["as_sent", "by_offset", "unknown"]


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

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The good records of the batch; those the wire format refuses are left out."""
        return decode_records(self.records_raw)[0]

    def taken(self) -> Iterator[tuple[int, Record]]:
        """Yield (index, record) of the records that consumers act upon."""
        for index, record in enumerate(self.records):
            if index not in self.set_aside:
                yield index, record

    def readings(self) -> Iterator["PlacedReadings"]:
        """Yield the readings of the batch with their times placed."""
        for _, record in self.taken():
            if isinstance(record, Readings):
                at = record.at
                if self.offset_ms:
                    at = [one + self.offset_ms for one in at]
                yield PlacedReadings(
                    asset=record.asset,
                    gateway=self.gateway,
                    seq=self.seq,
                    received_at=self.received_at,
                    at=at,
                    values=record.values,
                    quality=record.quality,
                    time_unknown=self.placing == "unknown",
                )


class PlacedReadings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Readings of one asset with `at` as observed_at (ms since 1970), columns lined up with it."""

    asset: str
    gateway: str
    seq: int
    received_at: int
    at: list[int]
    values: dict[str, list[Value]]
    quality: dict[str, list[Quality]]
    """Only where some value is not good; a point may be missing here."""
    time_unknown: bool = False
    """True: `at` is about the time of receipt, the real one is not known (`time_unknown`)."""


class LogGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One commit of one partition of the log."""

    partition: str
    """`{shard group}/{stream}`, for example `all/alarm`."""
    position: int
    """1, 2, 3 … without holes within the partition."""
    committed_at: int
    """ms since 1970."""
    batches: tuple[LoggedBatch, ...]


Positions = dict[str, int]
"""Partition -> position of the last group that is done; a missing partition: none yet."""
