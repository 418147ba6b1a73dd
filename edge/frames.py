"""From samples to drafts of batches: columns, grouping, sizes, and one clock a batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from edge.batches import Draft
from edge.sources.base import Sample
from edge.timekeeper import Stamp, Timekeeper
from protocols.clock import Clock
from protocols.limits import RECORDS_PER_BATCH_MAX
from protocols.readings import Quality, Value
from protocols.records import Readings, Record
from protocols.topics import STREAMS, Stream

GROUP_MS = 1_000
GROUP_SLOW_MS = 10_000
"""Where little comes, batches are grouped for so long: a commit wears the card by its pages."""
SLOW_BYTES_S = 200
QUICK_COMMITS_MAX = 30
"""So many commits after a quiet time are made after GROUP_MS all the same."""
BATCH_BYTES = 100_000
RECORD_BYTES_MAX = 200_000
ROWS_PER_RECORD_MAX = 200
RECORD_OVERHEAD_BYTES = 60

Make = Callable[[int], Record]
"""Makes a record when its `at` can be told."""


@dataclass(slots=True)
class _Table:
    """Samples of one asset with the same points, in order."""

    asset: str
    names: tuple[str, ...]
    rows: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class _Pending:
    """What waits in one stream."""

    items: list[_Table | tuple[int, Make]] = field(default_factory=list)
    last: dict[str, _Table] = field(default_factory=dict)
    """The table that an asset's next sample may join: order within an asset is kept."""
    bytes: int = 0
    since_ms: int = 0


class Collector:
    """Collects samples until a batch is due.

    `changed` is called when something was added, for whoever waits for `due_ms`.
    """

    def __init__(
        self, clock: Clock, timekeeper: Timekeeper, *, boot_id: str, changed: Callable[[], None]
    ) -> None:
        self._clock, self._timekeeper, self._boot_id = clock, timekeeper, boot_id
        self._changed = changed
        self._pending: dict[Stream, _Pending] = {stream: _Pending() for stream in STREAMS}
        self._tokens, self._tokens_at_ms = float(QUICK_COMMITS_MAX), clock.boot_ms()
        self.counters = {"samples": 0, "values": 0, "records_refused": 0}

    def add(self, sample: Sample) -> None:
        """Take a sample of a source."""
        if not sample.values:
            return
        pending = self._open(sample.stream)
        names = tuple(sample.values)
        table = pending.last.get(sample.asset)
        if table is None or table.names != names or len(table.rows) >= ROWS_PER_RECORD_MAX:
            table = _Table(sample.asset, names)
            pending.items.append(table)
            pending.last[sample.asset] = table
            pending.bytes += RECORD_OVERHEAD_BYTES + sum(map(len, names)) + 6 * len(names)
        table.rows.append(sample)
        pending.bytes += 14 + sum(map(_value_bytes, sample.values.values()))
        self.counters["samples"] += 1
        self.counters["values"] += len(names)
        self._changed()

    def add_record(self, stream: Stream, at_boot_ms: int, make: Make) -> None:
        """Take any other record; `make` gets its `at`."""
        pending = self._open(stream)
        pending.items.append((at_boot_ms, make))
        pending.bytes += 500
        self._changed()

    def due_ms(self) -> int | None:
        """Return when, in ms since boot, something should be taken; None when nothing waits."""
        alarm, data = self._pending["alarm"], self._pending["data"]
        if alarm.items:
            return alarm.since_ms
        if not data.items:
            return None
        if data.bytes >= BATCH_BYTES:
            return data.since_ms
        return data.since_ms + self._group_ms(data)

    def take(self, *, everything: bool = False) -> list[Draft]:
        """Close what is due, `alarm` first; `everything`: also what is not due yet."""
        now_ms = self._clock.boot_ms()
        due_ms = self.due_ms()
        if due_ms is None or (due_ms > now_ms and not everything):
            return []
        data = self._pending["data"]
        data_due = bool(data.items) and (
            data.bytes >= BATCH_BYTES or data.since_ms + self._group_ms(data) <= now_ms
        )
        drafts = self._close("alarm", now_ms)
        if data_due or everything:
            self._spend_token()
            drafts += self._close("data", now_ms)
        return drafts

    def _open(self, stream: Stream) -> _Pending:
        pending = self._pending[stream]
        if not pending.items:
            pending.since_ms = self._clock.boot_ms()
        return pending

    def _group_ms(self, data: _Pending) -> int:
        """Group for long only when little comes and quick commits are used up."""
        self._refill()
        waited_ms = max(GROUP_MS, self._clock.boot_ms() - data.since_ms)
        if self._tokens >= 1 or data.bytes * 1000 > SLOW_BYTES_S * waited_ms:
            return GROUP_MS
        return GROUP_SLOW_MS

    def _refill(self) -> None:
        now_ms = self._clock.boot_ms()
        refilled = self._tokens + (now_ms - self._tokens_at_ms) / GROUP_SLOW_MS
        self._tokens, self._tokens_at_ms = min(QUICK_COMMITS_MAX, refilled), now_ms

    def _spend_token(self) -> None:
        self._refill()
        self._tokens = max(0.0, self._tokens - 1)

    def _close(self, stream: Stream, now_ms: int) -> list[Draft]:
        pending, self._pending[stream] = self._pending[stream], _Pending()
        stamp = self._timekeeper.stamp()
        packer = _Packer(stream, stamp, self._boot_id, now_ms)
        for item in pending.items:
            for raw, low, high in self._encode(item, stamp):
                packer.add(raw, low, high)
        return packer.finish()

    def _encode(
        self, item: _Table | tuple[int, Make], stamp: Stamp
    ) -> Iterator[tuple[bytes, int, int]]:
        """Yield (JSON, smallest `at`, largest `at`), in parts that fit into an envelope."""
        if isinstance(item, tuple):
            at = item[0] + stamp.offset_ms
            parts = [(_json(item[1](at)), at, at)]
        else:
            parts = [self._encode_rows(item, rows, stamp) for rows in _halves(item.rows)]
        for raw, low, high in parts:
            if raw is not None and len(raw) <= RECORD_BYTES_MAX:
                yield raw, low, high
            else:
                self.counters["records_refused"] += 1

    def _encode_rows(
        self, table: _Table, rows: Sequence[Sample], stamp: Stamp
    ) -> tuple[bytes | None, int, int]:
        at = [row.at_boot_ms + stamp.offset_ms for row in rows]
        record = Readings(
            asset=table.asset,
            at=at,
            values={name: [row.values[name] for row in rows] for name in table.names},
            quality=_quality(rows),
        )
        return _json(record), min(at), max(at)


class _Packer:
    """Puts records into drafts of a bounded size."""

    def __init__(self, stream: Stream, stamp: Stamp, boot_id: str, now_ms: int) -> None:
        self._stream, self._stamp, self._boot_id, self._now_ms = stream, stamp, boot_id, now_ms
        self._drafts: list[Draft] = []
        self._parts: list[bytes] = []
        self._bytes = self._low = self._high = 0

    def add(self, raw: bytes, low: int, high: int) -> None:
        """Add a record."""
        full = self._bytes + len(raw) > BATCH_BYTES or len(self._parts) >= RECORDS_PER_BATCH_MAX
        if self._parts and full:
            self._cut()
        self._low = min(self._low, low) if self._parts else low
        self._high = max(self._high, high) if self._parts else high
        self._parts.append(raw)
        self._bytes += len(raw) + 1

    def finish(self) -> list[Draft]:
        """Return all drafts."""
        if self._parts:
            self._cut()
        return self._drafts

    def _cut(self) -> None:
        self._drafts.append(
            Draft(
                stream=self._stream,
                clock=self._stamp.clock,
                boot_id=self._boot_id,
                created_ms=self._now_ms,
                from_at=self._low,
                to_at=self._high,
                records=len(self._parts),
                records_raw=b"[" + b",".join(self._parts) + b"]",
            )
        )
        self._parts, self._bytes = [], 0


def _json(record: Record) -> bytes | None:
    try:
        return msgspec.json.encode(record)
    except (OverflowError, UnicodeEncodeError, TypeError):
        return None


def _value_bytes(value: Value) -> int:
    if isinstance(value, str):
        return 3 + len(value)
    return 2 + sum(map(_value_bytes, value)) if isinstance(value, list) else 5


def _halves(rows: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Cut rows so that each part fits into a record."""
    size = sum(14 + sum(map(_value_bytes, row.values.values())) for row in rows)
    if size > BATCH_BYTES and len(rows) > 1:
        middle = len(rows) // 2
        yield from _halves(rows[:middle])
        yield from _halves(rows[middle:])
    else:
        yield rows


def _quality(rows: Sequence[Sample]) -> dict[str, list[Quality]]:
    named = dict.fromkeys(name for row in rows for name in row.quality if name in row.values)
    return {name: [row.quality.get(name, "good") for row in rows] for name in named}
