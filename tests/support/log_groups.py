"""Log groups made by hand, as the ingester would have written them."""

from collections.abc import Iterable, Mapping, Sequence

from cloud.model.logged import LoggedBatch, LogGroup, Placing
from protocols.readings import Quality, Value
from protocols.records import Readings, Record, encode_records
from protocols.topics import Stream

DAY_MS = 24 * 3600 * 1000
NOON_MS = 1_764_000_000_000 // DAY_MS * DAY_MS + DAY_MS // 2
"""2025-11-24T12:00Z, about where `ManualClock` starts."""
SPOOL = "0123456789abcdef" * 2


def readings(
    asset: str,
    at: Sequence[int],
    values: Mapping[str, Sequence[Value]],
    quality: Mapping[str, Sequence[Quality]] | None = None,
) -> Readings:
    """Make one readings record."""
    return Readings(
        asset=asset,
        at=list(at),
        values={name: list(column) for name, column in values.items()},
        quality={name: list(column) for name, column in (quality or {}).items()},
    )


def batch(
    *records: Record,
    seq: int = 1,
    stream: Stream = "data",
    offset_ms: int = 0,
    placing: Placing = "as_sent",
    set_aside: Iterable[int] = (),
) -> LoggedBatch:
    """Make one batch of a gateway."""
    return LoggedBatch(
        gateway="gw-1",
        spool=SPOOL,
        stream=stream,
        seq=seq,
        boot_id="boot",
        clock="synced" if placing == "as_sent" else "free",
        received_at=NOON_MS,
        placing=placing,
        offset_ms=offset_ms,
        set_aside=tuple(set_aside),
        records_raw=encode_records(records),
    )


def group(position: int, *batches: LoggedBatch, partition: str = "all/data") -> LogGroup:
    """Make one commit of the log."""
    return LogGroup(
        partition=partition, position=position, committed_at=NOON_MS, batches=tuple(batches)
    )


def single(
    position: int, asset: str, at: int, partition: str = "all/data", **values: Value
) -> LogGroup:
    """Make a group of one reading."""
    record = readings(asset, [at], {name: [value] for name, value in values.items()})
    return group(position, batch(record, seq=position), partition=partition)
