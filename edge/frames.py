"""From samples to drafts of batches: columns, grouping, sizes, and one clock a batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import msgspec

from edge.batches import Draft
from edge.sources.base import Sample
from edge.timekeeper import Stamp, Timekeeper
from protocols.clock import Clock
from protocols.limits import RECORDS_PER_BATCH_MAX
from protocols.readings import Quality
from protocols.records import Readings, Record
from protocols.topics import STREAMS, Stream

GROUP_MS = 1_000
GROUP_SLOW_MS = 10_000
"""Where little comes, batches are grouped for so long: a commit wears the card by its pages."""
SLOW_BYTES_S = 200
SLOW_BYTES = SLOW_BYTES_S * GROUP_SLOW_MS // 1000
"""A group with more than this is never a slow one."""
QUICK_COMMITS_MAX = 30
"""So many commits after a quiet time are made after GROUP_MS all the same."""
BATCH_BYTES = 100_000
"""Data that fill a batch are encoded at once, and committed with the others of their group."""
ALARM_GAP_MS = 10
"""Alarms that follow one another closer are committed together: a power cut makes a storm of them,
and each commit costs as much as fifty samples."""
COMMIT_BYTES = 1024 * 1024
"""So much does not wait for its group: it is all that may stand in memory, encoded."""
RECORD_BYTES_MAX = 200_000
ROWS_PER_RECORD_MAX = 200
RECORD_BYTES, NAME_BYTES, ROW_BYTES, VALUE_BYTES = 80, 20, 14, 6
"""What waits is reckoned by these; batches and records are cut by their true sizes."""

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
    drafts: list[Draft] = field(default_factory=list)
    """Full batches of the same group, encoded already."""
    last: dict[str, _Table] = field(default_factory=dict)
    """The table that an asset's next sample may join: order within an asset is kept."""
    bytes: int = 0
    """Of `items`, reckoned."""
    draft_bytes: int = 0
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
        self._alarm_closed_ms = -ALARM_GAP_MS
        self.counters = {"samples": 0, "values": 0, "records_refused": 0}

    def add(self, sample: Sample) -> None:
        """Take a sample of a source."""
        if not sample.values:
            return
        stream = sample.stream
        pending = self._open(stream)
        names = tuple(sample.values)
        table = pending.last.get(sample.asset)
        size = ROW_BYTES + VALUE_BYTES * len(names)
        if table is None or table.names != names or len(table.rows) >= ROWS_PER_RECORD_MAX:
            table = _Table(sample.asset, names)
            pending.items.append(table)
            pending.last[sample.asset] = table
            size += RECORD_BYTES + NAME_BYTES * len(names)
        table.rows.append(sample)
        self.counters["samples"] += 1
        self.counters["values"] += len(names)
        self._grown(stream, pending, size)

    def add_record(self, stream: Stream, at_boot_ms: int, make: Make) -> None:
        """Take any other record; `make` gets its `at`."""
        pending = self._open(stream)
        pending.items.append((at_boot_ms, make))
        self._grown(stream, pending, 500)

    def due_ms(self) -> int | None:
        """Return when, in ms since boot, something should be taken; None when nothing waits."""
        alarm, data = self._pending["alarm"], self._pending["data"]
        if alarm.items:
            return max(alarm.since_ms, self._alarm_closed_ms + ALARM_GAP_MS)
        if data.draft_bytes >= COMMIT_BYTES:
            return data.since_ms
        if data.items or data.drafts:
            return data.since_ms + self._group_ms(data)
        return None

    def take(self, *, everything: bool = False) -> list[Draft]:
        """Close what is due, `alarm` first; `everything`: also what is not due yet."""
        now_ms = self._clock.boot_ms()
        due_ms = self.due_ms()
        if due_ms is None or (due_ms > now_ms and not everything):
            return []
        drafts = self._close("alarm", now_ms)
        if drafts:
            self._alarm_closed_ms = now_ms
        data = self._pending["data"]
        data_due = data.draft_bytes >= COMMIT_BYTES or (
            data.since_ms + self._group_ms(data) <= now_ms
        )
        if (data.items or data.drafts) and (data_due or everything):
            self._spend_token()
            drafts += self._close("data", now_ms)
        return drafts

    def _grown(self, stream: Stream, pending: _Pending, size: int) -> None:
        """Reckon with more bytes; tell of it where it may change what is due, and when."""
        before, pending.bytes = pending.bytes, pending.bytes + size
        if stream == "alarm":
            self._changed()
        elif pending.bytes >= BATCH_BYTES:
            drafts = self._encode_all(stream, pending.items, self._clock.boot_ms())
            pending.drafts += drafts
            pending.draft_bytes += sum(len(draft.records_raw) for draft in drafts)
            pending.items, pending.last, pending.bytes = [], {}, 0
            if pending.draft_bytes >= COMMIT_BYTES:
                self._changed()
        elif before <= SLOW_BYTES and not pending.drafts:
            self._changed()

    def _open(self, stream: Stream) -> _Pending:
        pending = self._pending[stream]
        if not pending.items and not pending.drafts:
            pending.since_ms = self._clock.boot_ms()
        return pending

    def _group_ms(self, data: _Pending) -> int:
        """Group for long only when little comes and quick commits are used up."""
        self._refill()
        waited_ms = max(GROUP_MS, self._clock.boot_ms() - data.since_ms)
        size = data.bytes + data.draft_bytes
        if self._tokens >= 1 or size * 1000 > SLOW_BYTES_S * waited_ms:
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
        return pending.drafts + self._encode_all(stream, pending.items, now_ms)

    def _encode_all(
        self, stream: Stream, items: Sequence[_Table | tuple[int, Make]], now_ms: int
    ) -> list[Draft]:
        stamp = self._timekeeper.stamp()
        packer = _Packer(stream, stamp, self._boot_id, now_ms)
        for item in items:
            for raw, low, high in self._encode(item, stamp):
                packer.add(raw, low, high)
        return packer.finish()

    def _encode(
        self, item: _Table | tuple[int, Make], stamp: Stamp
    ) -> Iterator[tuple[bytes, int, int]]:
        """Yield (JSON, smallest `at`, largest `at`), in parts that fit into an envelope."""
        if isinstance(item, tuple):
            at = item[0] + stamp.offset_ms
            raw = _json(item[1](at))
            if raw is None or len(raw) > RECORD_BYTES_MAX:
                self.counters["records_refused"] += 1
            else:
                yield raw, at, at
        else:
            yield from self._encode_rows(item, item.rows, stamp.offset_ms)

    def _encode_rows(
        self, table: _Table, rows: Sequence[Sample], offset_ms: int
    ) -> Iterator[tuple[bytes, int, int]]:
        """Encode rows as one record, or as several when it would be larger than a batch."""
        at = [row.at_boot_ms + offset_ms for row in rows]
        columns = zip(*[row.values.values() for row in rows], strict=True)
        values = dict(zip(table.names, map(list, columns), strict=True))
        raw = _json(Readings(asset=table.asset, at=at, values=values, quality=_quality(rows)))
        if raw is not None and len(raw) > BATCH_BYTES and len(rows) > 1:
            middle = len(rows) // 2
            yield from self._encode_rows(table, rows[:middle], offset_ms)
            yield from self._encode_rows(table, rows[middle:], offset_ms)
        elif raw is None or len(raw) > RECORD_BYTES_MAX:
            self.counters["records_refused"] += 1
        else:
            yield raw, at[0], at[-1]


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


_quality_of = attrgetter("quality")


def _json(record: Record) -> bytes | None:
    try:
        return msgspec.json.encode(record)
    except (OverflowError, UnicodeEncodeError, TypeError):
        return None


def _quality(rows: Sequence[Sample]) -> dict[str, list[Quality]]:
    if not any(map(_quality_of, rows)):
        return {}
    named = dict.fromkeys(name for row in rows for name in row.quality if name in row.values)
    return {name: [row.quality.get(name, "good") for row in rows] for name in named}
