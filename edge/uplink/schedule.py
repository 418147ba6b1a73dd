"""What to send next, and what an acknowledgement settles: pure, no I/O, no clock of its own.

Order: stream `alarm` first (what is new, then the oldest of its backlog); then `data` (what is
new, then the newest of its backlog, as fast as the cloud allows). Windows: design section 3; a
part of each is kept free, so that neither alarms nor what is new wait behind history.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edge.batches import Batch, Committed, Declared, Key, Line, Lost, Span
from edge.uplink.line import FORGOTTEN, PROBE_MAX_MS, Flight, LineState, is_sound
from protocols.limits import (
    BACKLOG_BYTES_S,
    ENVELOPE_BYTES_MAX,
    UNACKED_BATCHES_MAX,
    UNACKED_BYTES_MAX,
    UNPUBACKED_BATCHES_MAX,
)
from protocols.messages import Ack, is_spool_id
from protocols.topics import STREAMS, Stream

GREETING_MS = 5_000
"""Within so long the cloud repeats its acks, after a link came up or the cloud was put back."""
GREETING_EARLY_MS = 500
GREETED_SPOOLS = 12
"""The newest spools, for each of which an ack can be expected; the cloud repeats some more."""
LINES_MAX = 2_000
"""An ack for one line more is ignored: this card knows a few hundred."""
FRESH_BATCHES_MAX = 64
FRESH_BYTES_MAX = 1024 * 1024
"""What is new beyond these waits on disk only, like history."""


class Window(NamedTuple):
    """How much may be under way."""

    unpubacked: int
    batches: int
    bytes: int


ALL = Window(UNPUBACKED_BATCHES_MAX, UNACKED_BATCHES_MAX, UNACKED_BYTES_MAX)
DATA = Window(ALL.unpubacked // 2, ALL.batches // 2, ALL.bytes // 2)
DATA_BACKLOG = Window(ALL.unpubacked * 3 // 8, ALL.batches * 3 // 8, ALL.bytes * 3 // 8)


class Choice(NamedTuple):
    """What to send next; without `batch` it must be read from the spool first."""

    key: Key
    batch: Batch | None


class Schedule:
    """The uplink's memory; times are ms of one clock that never steps back."""

    def __init__(
        self,
        spool: str,
        *,
        held: Sequence[Span],
        last_seqs: dict[Line, int],
        declared: Sequence[Declared],
    ) -> None:
        self._spool = spool
        self._lines: dict[Line, LineState] = {}
        for (one, stream), last in last_seqs.items():
            self._lines[one, stream] = LineState(len(self._lines), one, stream, last)
        for span in held:
            self._lines[span.spool, span.stream].waiting.add(span.low, span.high)
        self._gaps: dict[Key, list[Lost]] = {}
        for told in declared:
            self._declare(told)
        self._up = False
        self._sent_no = 0
        self._unpubacked: dict[int, Stream] = {}
        self._new_lost: list[Lost] = []
        self._greeted_since_ms: int | None = None
        self._greeting_ends_ms = 0
        self._put_back = False
        self._rate = BACKLOG_BYTES_S
        self._tokens, self._tokens_ms = 0.0, 0
        self.counters = dict.fromkeys(
            ("sent", "sent_again", "probes", "acks", "acks_refused", "losses_found"), 0
        )

    # The card: what the spool committed, and what it is to delete or declare.

    def committed(self, made: Committed, deleted: Sequence[Span] = ()) -> None:
        """Take note of a commit: new batches, losses, and deletions that were asked for."""
        for span in deleted:
            line = self._lines[span.spool, span.stream]
            line.doomed.remove(span.low, span.high)
            line.deleting.remove(span.low, span.high)
        for batch in made.batches:
            line = self._open(batch.key.spool, batch.key.stream)
            line.last = max(line.last, batch.key.seq)
            line.waiting.add(batch.key.seq)
            if self._up:
                line.fresh[batch.key.seq] = batch
                _bound_fresh(line)
        for told in made.declared:
            self._declare(told)

    def take_settled(self) -> list[Span]:
        """Return what the next commit is to delete; it ends in `committed` or `not_committed`."""
        spans = []
        for line in self._lines.values():
            for a, b in line.doomed:
                spans += [
                    Span(line.spool, line.stream, low, high)
                    for low, high in line.deleting.missing(a, b)
                ]
        for span in spans:
            self._lines[span.spool, span.stream].deleting.add(span.low, span.high)
        return spans

    def take_lost(self) -> list[Lost]:
        """Return the losses that the next commit is to declare."""
        lost, self._new_lost = self._new_lost, []
        return lost

    def not_committed(self, deleted: Sequence[Span], lost: Sequence[Lost]) -> None:
        """Take back what a failed commit was given."""
        for span in deleted:
            self._lines[span.spool, span.stream].deleting.remove(span.low, span.high)
        self._new_lost[:0] = lost

    def gone(self, key: Key) -> None:
        """Forget a batch that the spool could not read; the spool declares it."""
        line = self._lines[key.spool, key.stream]
        line.forget(key.seq, key.seq)
        line.declared.add(key.seq)

    def has_settled(self) -> bool:
        """Tell whether something is settled and not deleted."""
        return any(len(line.doomed) for line in self._lines.values())

    def has_lost(self) -> bool:
        """Tell whether losses wait to be declared."""
        return bool(self._new_lost)

    # The link.

    def link_up(self, now_ms: int) -> None:
        """Begin to send."""
        self._up, self._put_back = True, False
        self._greeted_since_ms, self._greeting_ends_ms = now_ms, now_ms + GREETING_MS
        self._tokens, self._tokens_ms = float(self._rate), now_ms

    def link_down(self) -> None:
        """Take back everything that is not settled."""
        self._up = False
        self._unpubacked.clear()
        for line in self._lines.values():
            line.land_all()

    def next(self, now_ms: int) -> Choice | None:
        """Choose what to send now; None when nothing may be sent."""
        if not self._up:
            return None
        if self._greeted_since_ms is not None and now_ms >= self._greeting_ends_ms:
            self._find_forgotten_lines(self._greeted_since_ms, now_ms)
            self._greeted_since_ms = None
        for stream in STREAMS:
            window = ALL if stream == "alarm" else DATA
            if not self._slot(stream, window):
                return None
            choice = self._again(stream, now_ms) or self._fresh(stream, window)
            choice = choice or self._backlog(stream, now_ms)
            if choice is not None or any(len(line.waiting) for line in self._of(stream)):
                return choice
        return None

    def sent(self, key: Key, size: int, now_ms: int) -> int:
        """Note that a batch was published; return a number to name its PUBACK by."""
        line = self._lines[key.spool, key.stream]
        self._sent_no += 1
        self._unpubacked[self._sent_no] = key.stream
        flight = line.flying.get(key.seq)
        if flight is not None:
            self._sent_again(line, flight, now_ms)
            return self._sent_no
        if not line.flying:
            line.quiet_since_ms = now_ms
        backlog = line.fresh.pop(key.seq, None) is None
        line.waiting.remove(key.seq)
        line.flying[key.seq] = Flight(size, self._sent_no, now_ms, backlog)
        if backlog and key.stream == "data":
            self._tokens -= size
        self.counters["sent"] += 1
        return self._sent_no

    def pubacked(self, sent_no: int) -> None:
        """Take a PUBACK."""
        self._unpubacked.pop(sent_no, None)

    def wants(self, key: Key) -> bool:
        """Tell whether a chosen batch is still to be sent; its reading took a while."""
        line = self._lines[key.spool, key.stream]
        return self._up and (key.seq in line.waiting or key.seq in line.flying)

    def wake_ms(self, now_ms: int) -> int | None:
        """Return when `next` may choose something without any event; None when never."""
        if not self._up:
            return None
        times = [self._greeting_ends_ms] if self._greeted_since_ms is not None else []
        for line in self._lines.values():
            if line.flying:
                times.append(line.quiet_since_ms + line.probe_after_ms)
                times += [
                    one.resend_ms(line.stream) for one in line.flying.values() if one.left_out
                ]
        if self._rate > 0 and self._oldest_or_newest("data") is not None and self._tokens <= 0:
            times.append(self._tokens_ms + int(-self._tokens * 1000 / self._rate) + 1)
        later = [time for time in times if time > now_ms]
        return min(later, default=None)

    def acked(self, ack: Ack, now_ms: int) -> None:
        """Take an ack: settle, and find what was lost (contract of both ends: decision 3)."""
        line = self._line_of(ack)
        if line is None:
            self.counters["acks_refused"] += 1
            return
        self.counters["acks"] += 1
        self._set_rate(ack.backlog_bytes_s, now_ms)
        outcome = line.acked(ack, now_ms, own=line.spool == self._spool)
        self._new_lost += outcome.lost
        self.counters["losses_found"] += len(outcome.lost)
        if not outcome.settled:  # nobody asked: the cloud has just begun to listen
            self._doubt_alarms()
        if not self._put_back and any(one.reason == FORGOTTEN for one in outcome.lost):
            self._put_back = True
            early_ms = now_ms - GREETING_EARLY_MS
            self._greeted_since_ms = max(early_ms, self._greeted_since_ms or early_ms)
            self._greeting_ends_ms = now_ms + GREETING_MS
        for span in outcome.settled:
            for gap in [gap for gap in self._gaps if _inside(gap, span)]:
                self._release(gap, ack.time)

    def _doubt_alarms(self) -> None:
        """Alarms are settled in milliseconds: what flies may have flown before anyone listened."""
        for line in self._of("alarm"):
            for flight in line.flying.values():
                flight.left_out = True

    # How much there is.

    def under_way(self) -> bool:
        """Tell whether something new is not sent, or something sent is not settled."""
        return any(line.flying or line.fresh for line in self._lines.values())

    def alarm_waits(self) -> bool:
        """Tell whether something of stream `alarm` is not settled."""
        return next(self._of("alarm"), None) is not None

    def waiting(self) -> dict[Line, int]:
        """Count the batches that are not settled, by line."""
        counts = {key: line.waiting.count() + len(line.flying) for key, line in self._lines.items()}
        return {key: count for key, count in counts.items() if count}

    def open_losses(self) -> int:
        """Count the losses whose gap record is not settled."""
        return sum(map(len, self._gaps.values()))

    def flying(self) -> Window:
        """Return how much is under way."""
        return self._in_flight(STREAMS)

    def _open(self, spool: str, stream: Stream, *, known: bool = True) -> LineState:
        line = self._lines.get((spool, stream))
        if line is None:
            line = LineState(len(self._lines), spool, stream, 0, known=known)
            self._lines[spool, stream] = line
        return line

    def _line_of(self, ack: Ack) -> LineState | None:
        if not is_sound(ack) or not is_spool_id(ack.spool):
            return None
        if (ack.spool, ack.stream) not in self._lines and len(self._lines) >= LINES_MAX:
            return None
        return self._open(ack.spool, ack.stream, known=ack.spool == self._spool)

    def _declare(self, told: Declared) -> None:
        lost = told.lost
        line = self._open(lost.spool, lost.stream)
        top = lost.from_seq - 1 if lost.to_seq is None else lost.to_seq
        line.last = max(line.last, top)
        line.known = True
        if lost.to_seq is not None:
            line.forget(lost.from_seq, lost.to_seq)
            line.declared.add(lost.from_seq, lost.to_seq)
        self._gaps.setdefault(told.gap, []).append(lost)

    def _release(self, gap: Key, ack_time: int) -> None:
        """The cloud settled a gap record: from now on its acks cover the range."""
        for lost in self._gaps.pop(gap):
            line = self._lines[lost.spool, lost.stream]
            line.declared_time = max(line.declared_time, ack_time)
            if lost.to_seq is not None:
                line.declared.remove(lost.from_seq, lost.to_seq)

    def _find_forgotten_lines(self, since_ms: int, now_ms: int) -> None:
        """Declare lines of which the cloud knows nothing any more, so that no ack names them.

        That is so when the cloud was seen to be put back, or when it greeted with an older spool
        (or this one's other stream) and not with this line. A greeting that got lost costs a gap
        record that changes nothing, for what is stored stays stored.
        """
        greeted = [line for line in self._lines.values() if line.acked_ms >= since_ms]
        oldest = min((one.order for one in greeted if one.spool != self._spool), default=None)
        numbers = {line.spool: line.order for line in self._lines.values() if line.last}
        newest = set(sorted(numbers, key=lambda spool: numbers[spool])[-GREETED_SPOOLS:])
        for line in self._lines.values():
            told = self._put_back or (oldest is not None and line.order >= oldest - 1)
            if line not in greeted and line.spool in newest and line.known and told:
                lost = line.forgotten(now_ms)
                self._new_lost += lost
                self.counters["losses_found"] += len(lost)
        self._put_back = False

    def _set_rate(self, bytes_s: int, now_ms: int) -> None:
        self._refill(now_ms)
        self._rate = max(0, bytes_s)

    def _refill(self, now_ms: int) -> None:
        gained = self._rate * (now_ms - self._tokens_ms) / 1000
        self._tokens = min(float(self._rate), self._tokens + gained)
        self._tokens_ms = now_ms

    def _in_flight(self, streams: Sequence[Stream], *, backlog: bool = False) -> Window:
        flights = [
            flight
            for line in self._lines.values()
            if line.flying and line.stream in streams
            for flight in line.flying.values()
            if flight.backlog or not backlog
        ]
        unpubacked = sum(stream in streams for stream in self._unpubacked.values())
        return Window(unpubacked, len(flights), sum(one.bytes for one in flights))

    def _slot(self, stream: Stream, window: Window) -> bool:
        """Tell whether the broker may be given one more."""
        if len(self._unpubacked) >= ALL.unpubacked:
            return False
        mine = sum(one == stream for one in self._unpubacked.values())
        return mine < window.unpubacked

    def _fits(self, size: int, stream: Stream, window: Window) -> bool:
        total, mine = self._in_flight(STREAMS), self._in_flight((stream,))
        return (
            total.batches < ALL.batches
            and total.bytes + size <= ALL.bytes
            and mine.batches < window.batches
            and mine.bytes + size <= window.bytes
        )

    def _again(self, stream: Stream, now_ms: int) -> Choice | None:
        """Choose what an ack left out, or a probe when the cloud is silent."""
        for line in self._of(stream):
            for seq, flight in line.flying.items():
                if flight.left_out and flight.resend_ms(stream) <= now_ms:
                    return Choice(Key(line.spool, stream, seq), None)
            if line.flying and line.quiet_since_ms + line.probe_after_ms <= now_ms:
                oldest = min(line.flying, key=lambda seq: line.flying[seq].sent_no)
                return Choice(Key(line.spool, stream, oldest), None)
        return None

    def _sent_again(self, line: LineState, flight: Flight, now_ms: int) -> None:
        if not flight.left_out:
            line.probe_after_ms = min(2 * line.probe_after_ms, PROBE_MAX_MS)
            line.quiet_since_ms = now_ms
            self.counters["probes"] += 1
        flight.sent_no, flight.sent_ms = self._sent_no, now_ms
        flight.tries, flight.left_out = flight.tries + 1, False
        self.counters["sent_again"] += 1

    def _fresh(self, stream: Stream, window: Window) -> Choice | None:
        for line in self._of(stream):
            for seq, batch in line.fresh.items():
                if self._fits(len(batch.records_raw) + 300, stream, window):
                    return Choice(Key(line.spool, stream, seq), batch)
                return None
        return None

    def _backlog(self, stream: Stream, now_ms: int) -> Choice | None:
        """Choose from disk; its size is not known yet, so the largest is reckoned with."""
        if stream == "data":
            self._refill(now_ms)
            history = self._in_flight(("data",), backlog=True)
            allowed = (
                self._tokens > 0
                and self._slot("data", DATA_BACKLOG)
                and history.batches < DATA_BACKLOG.batches
                and history.bytes + ENVELOPE_BYTES_MAX <= DATA_BACKLOG.bytes
                and self._fits(ENVELOPE_BYTES_MAX, "data", DATA)
            )
        else:
            allowed = self._fits(ENVELOPE_BYTES_MAX, "alarm", ALL)
        if not allowed:
            return None
        key = self._oldest_or_newest(stream)
        return Choice(key, None) if key is not None else None

    def _oldest_or_newest(self, stream: Stream) -> Key | None:
        """The oldest alarm, the newest data, of what is not fresh."""
        newest = stream == "data"
        lines = sorted(self._of(stream), key=lambda line: line.order, reverse=newest)
        for line in lines:
            seq = line.backlog(newest=newest)
            if seq is not None:
                return Key(line.spool, stream, seq)
        return None

    def _of(self, stream: Stream) -> Iterator[LineState]:
        for line in self._lines.values():
            if line.stream == stream and not line.idle():
                yield line


def _bound_fresh(line: LineState) -> None:
    size = sum(len(batch.records_raw) for batch in line.fresh.values())
    while len(line.fresh) > FRESH_BATCHES_MAX or (size > FRESH_BYTES_MAX and len(line.fresh) > 1):
        size -= len(line.fresh.pop(next(iter(line.fresh))).records_raw)


def _inside(key: Key, span: Span) -> bool:
    return (key.spool, key.stream) == (span.spool, span.stream) and (
        span.low <= key.seq <= span.high
    )
