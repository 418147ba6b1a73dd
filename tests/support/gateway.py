"""What a gateway would send, made by hand."""

from collections.abc import Sequence

import msgspec

from protocols.envelope import wrap
from protocols.readings import ClockState, Value
from protocols.records import Readings as ReadingsRecord
from protocols.records import Record, encode_records

SPOOL = "0123456789abcdef" * 2
OTHER_SPOOL = "fedcba9876543210" * 2


def readings(asset: str, at: int, **values: Value) -> ReadingsRecord:
    """One moment of one asset."""
    return ReadingsRecord(asset=asset, at=[at], values={k: [v] for k, v in values.items()})


def envelope(
    seq: int,
    records: Sequence[Record] | bytes,
    *,
    spool: str = SPOOL,
    sent_at: int = 0,
    clock: ClockState = "synced",
    boot_id: str = "boot-1",
) -> bytes:
    """One batch as it goes over the wire; `records` may be raw JSON."""
    raw = records if isinstance(records, bytes) else encode_records(records)
    return wrap(
        spool=spool, seq=seq, boot_id=boot_id, clock=clock, sent_at=sent_at, records_raw=raw
    )


def raw_json(value: object) -> bytes:
    """Write any JSON."""
    return msgspec.json.encode(value)
