"""From one payload to a batch for the log, its dead letters and what it declares: pure."""

from collections.abc import Mapping

import msgspec

from cloud.ingest.validate import Admit, place, time_fault
from cloud.model.dead_letter import DeadLetter
from cloud.model.logged import LoggedBatch
from protocols.envelope import Envelope
from protocols.records import Gap, Readings, Status
from protocols.topics import Stream

DEAD_BODY_BYTES_MAX = 300 * 1024
"""More than the largest envelope; what is longer is kept cut."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What one envelope comes to."""

    batch: LoggedBatch
    records: int
    """Records that consumers will act upon."""
    gaps: tuple[Gap, ...]
    status: Status | None
    dead_letters: tuple[DeadLetter, ...]


def take(
    envelope: Envelope,
    *,
    gateway: str,
    stream: Stream,
    topic: str,
    received_at: int,
    current_boot_id: str | None,
    offsets: Mapping[str, int],
    admit: Admit,
) -> Taken:
    """Decide about every record of an envelope."""
    placement = place(
        envelope, received_at=received_at, current_boot_id=current_boot_id, offsets=offsets
    )
    aside: dict[int, tuple[str, str]] = {}
    gaps, status = [], None
    for index, record in enumerate(envelope.records):
        if fault := time_fault(record, placement, received_at):
            aside[index] = ("time_out_of_range", fault)
        elif isinstance(record, Readings):
            if reason := admit(record.asset, gateway, received_at):
                aside[index] = (reason, f"{record.asset} from {gateway}")
        elif isinstance(record, Gap):
            gaps.append(record)
        elif isinstance(record, Status):
            status = status or record
    batch = LoggedBatch(
        gateway=gateway,
        spool=envelope.spool,
        stream=stream,
        seq=envelope.seq,
        boot_id=envelope.boot_id,
        clock=envelope.clock,
        received_at=received_at,
        placing=placement.placing,
        offset_ms=placement.offset_ms,
        set_aside=tuple(aside),
        records_raw=envelope.records_raw,
    )
    if aside:
        batch.decoded(record for at, record in enumerate(envelope.records) if at not in aside)
    else:
        batch.decoded(envelope.records)
    return Taken(
        batch=batch,
        records=len(envelope.records) - len(aside),
        gaps=tuple(gaps),
        status=status,
        dead_letters=_dead_letters(envelope, batch, topic, aside)
        if envelope.refused or aside
        else (),
    )


def _dead_letters(
    envelope: Envelope, batch: LoggedBatch, topic: str, aside: Mapping[int, tuple[str, str]]
) -> tuple[DeadLetter, ...]:
    refused = [(one.index, one.reason, one.detail, one.raw) for one in envelope.refused]
    for index, (reason, detail) in aside.items():
        refused.append((index, reason, detail, msgspec.json.encode(envelope.records[index])))
    return tuple(
        DeadLetter(
            received_at=batch.received_at,
            consumer="ingest",
            topic=topic,
            reason=reason,
            detail=detail,
            body=body[:DEAD_BODY_BYTES_MAX],
            gateway=batch.gateway,
            spool=batch.spool,
            stream=batch.stream,
            seq=batch.seq,
            record_index=index,
        )
        for index, reason, detail, body in refused
    )


def whole_dead_letter(
    payload: bytes,
    *,
    topic: str,
    gateway: str | None,
    stream: Stream | None,
    key: tuple[str, int] | None,
    received_at: int,
    reason: str,
    detail: str,
) -> DeadLetter:
    """Keep a payload of which nothing is taken."""
    return DeadLetter(
        received_at=received_at,
        consumer="ingest",
        topic=topic[:300],
        reason=reason,
        detail=detail,
        body=payload[:DEAD_BODY_BYTES_MAX],
        gateway=gateway,
        spool=key[0] if key else None,
        stream=stream,
        seq=key[1] if key else None,
    )
