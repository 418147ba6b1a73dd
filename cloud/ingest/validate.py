"""Deciding about a batch, record by record: pure, so that a test can ask it anything."""

from collections.abc import Callable, Mapping

import msgspec

from cloud.model.logged import Placing
from protocols.envelope import Envelope
from protocols.limits import AT_AHEAD_MAX_MS, AT_MIN_MS
from protocols.records import Fill, Readings, Record, Reply, Scan, Status

Admit = Callable[[str, str, int], str | None]
"""(asset id, gateway, now) -> None to take a reading, or the reason to set it aside."""

WAY_MAX_MS = 60_000
"""What a quicker message of the same boot may correct; more is a clock that stepped, or a lie."""


class Placement(msgspec.Struct, frozen=True):
    """How the times of a batch become ms since 1970."""

    placing: Placing
    offset_ms: int = 0


def place(
    envelope: Envelope,
    *,
    received_at: int,
    current_boot_id: str | None,
    offsets: Mapping[str, int],
) -> Placement:
    """Place the times of a batch (design 3, Time).

    A free-running batch of the running boot is placed by this very message, or by a quicker one
    of the same boot; one of an older boot by what was learned of that boot, if anything was.
    `offsets`: boot id -> ms to add, as learned so far.
    """
    if envelope.clock == "synced":
        return Placement("as_sent")
    learned = offsets.get(envelope.boot_id)
    if current_boot_id not in (None, envelope.boot_id):
        if learned is not None:
            return Placement("by_offset", learned)
        times = [at for record in envelope.records for at in _times(record)]
        return Placement("unknown", received_at - max(times, default=received_at))
    own = received_at - envelope.sent_at
    late_ms = 0 if learned is None else own - learned
    return Placement("by_offset", own - late_ms if 0 < late_ms <= WAY_MAX_MS else own)


def may_learn(offset_ms: int, now_ms: int) -> bool:
    """Tell whether a boot can have begun at that moment, ms since 1970."""
    return AT_MIN_MS <= offset_ms <= now_ms


def time_fault(record: Record, placement: Placement, now_ms: int) -> str | None:
    """Say what is wrong with the times of a record, None when nothing is."""
    if placement.placing == "unknown":
        return None
    low, high = AT_MIN_MS - placement.offset_ms, now_ms + AT_AHEAD_MAX_MS - placement.offset_ms
    times = _times(record)
    if len(times) == 1 and low <= times[0] <= high:
        return None
    if times and not (low <= min(times) and max(times) <= high):
        wrong = min(times) if min(times) < low else max(times)
        return f"expected a time from 2000 to now + 24 h, found {wrong + placement.offset_ms} ms"
    return None


def _times(record: Record) -> list[int]:
    if isinstance(record, Readings):
        return record.at
    return [record.at] if isinstance(record, Scan | Status | Reply | Fill) else []
