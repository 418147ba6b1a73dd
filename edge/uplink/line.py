"""What the uplink knows of one (spool, stream): what waits, what flies, what is settled."""

from dataclasses import dataclass, field

from edge.batches import Batch, Lost, Span
from protocols.limits import ACK_RANGES_MAX, PROBE_AFTER_S, PROBE_MAX_S, SEQ_MAX
from protocols.messages import Ack
from protocols.ranges import RangeSet
from protocols.topics import Stream

PROBE_AFTER_MS = int(PROBE_AFTER_S * 1000)
PROBE_MAX_MS = int(PROBE_MAX_S * 1000)
RESEND_AFTER_MS: dict[Stream, int] = {"alarm": 500, "data": 2_000}
"""A batch that an ack left out is sent again no sooner, doubling up to PROBE_MAX_MS."""
FORGOTTEN = "settled_but_forgotten"
"""Reason of a loss: the cloud was put back to a time before it settled."""
DECLARATIONS_AT_ONCE = 3
DECLARE_AGAIN_MS = 2_000
DECLARE_AGAIN_MAX_MS = 600_000
"""A cloud that never takes a gap record to heart is told ever more rarely."""


@dataclass(slots=True)
class Flight:
    """A batch that was published and is not settled."""

    bytes: int
    sent_no: int
    sent_ms: int
    backlog: bool
    tries: int = 1
    left_out: bool = False
    """An ack covered a batch sent later, so this one did not get through."""

    def resend_ms(self, stream: Stream) -> int:
        """Return when it may be sent again, if it was left out."""
        after_ms = RESEND_AFTER_MS[stream] << min(self.tries - 1, 8)
        return self.sent_ms + min(PROBE_MAX_MS, after_ms)


@dataclass(slots=True)
class Outcome:
    """What an ack came to."""

    settled: list[Span] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)


class LineState:
    """Mutable; owned by the schedule.

    Every seq up to `last` is in one place: `waiting`, `flying`, `doomed` (settled, its deletion
    rides on the next commit), `declared` (a loss whose gap record is not settled), or gone, which
    the cloud confirms with every ack, or it is lost.
    """

    def __init__(
        self, order: int, spool: str, stream: Stream, last: int, *, known: bool = True
    ) -> None:
        self.order, self.spool, self.stream, self.last = order, spool, stream, last
        self.known = known
        """False: this card never heard of it before."""
        self.waiting = RangeSet()
        self.fresh: dict[int, Batch] = {}
        """The newest part of `waiting`: made while the link was up, so sent before history."""
        self.flying: dict[int, Flight] = {}
        self.doomed = RangeSet()
        self.deleting = RangeSet()
        """The part of `doomed` that a commit is deleting: it cannot be had back."""
        self.declared = RangeSet()
        self.declared_time = -1
        """The cloud's time when it last settled a gap record about this line."""
        self.ack_time = -1
        """The cloud's time of the newest ack."""
        self.acked_ms = -1
        """When the last ack came, ms of our clock."""
        self.quiet_since_ms = 0
        self.probe_after_ms = PROBE_AFTER_MS
        self._declarations = 0
        self._declared_ms = 0

    def idle(self) -> bool:
        """Tell whether nothing waits or flies."""
        return not len(self.waiting) and not self.flying

    def backlog(self, *, newest: bool) -> int | None:
        """Return the newest or oldest seq that waits and is not fresh."""
        top = min(self.fresh, default=SEQ_MAX + 1) - 1
        parts = self.waiting.overlap(1, top)
        if not parts:
            return None
        return parts[-1][1] if newest else parts[0][0]

    def land_all(self) -> None:
        """The link is gone: what flew waits again, and nothing is fresh any more."""
        for seq in self.flying:
            self.waiting.add(seq)
        self.flying.clear()
        self.fresh.clear()
        self.probe_after_ms = PROBE_AFTER_MS

    def forget(self, low: int, high: int) -> None:
        """Drop what is no longer on the card."""
        self.waiting.remove(low, high)
        for table in (self.fresh, self.flying):
            for seq in [seq for seq in table if low <= seq <= high]:
                del table[seq]

    def acked(self, ack: Ack, now_ms: int, *, own: bool) -> Outcome:
        """Take an ack for this line.

        `own`: the line is of this very start, so the cloud cannot know more of it than we do.
        """
        covered = coverage(ack)
        outcome = Outcome(settled=self._settle(covered, horizon(ack)))
        self.acked_ms = self.quiet_since_ms = now_ms
        self.probe_after_ms = PROBE_AFTER_MS
        if ack.time < self.ack_time:  # overtaken on its way: its word on losses is out of date
            return outcome
        self.ack_time = ack.time
        self._rescue(covered, horizon(ack))
        if ack.time > self.declared_time:
            outcome.lost = self._missing(covered, horizon(ack), now_ms, own=own)
        return outcome

    def forgotten(self, now_ms: int) -> list[Lost]:
        """Declare all that is neither held nor declared: the cloud knows nothing of this line."""
        return self._missing(RangeSet(), SEQ_MAX, now_ms, own=True)

    def _settle(self, covered: RangeSet, top: int) -> list[Span]:
        """Doom what is covered; note what an ack of a later batch left out."""
        settled: list[tuple[int, int]] = []
        newest_sent = 0
        for seq in [seq for seq in self.flying if seq in covered]:
            newest_sent = max(newest_sent, self.flying.pop(seq).sent_no)
            settled.append((seq, seq))
        for low, high in covered:
            settled += self.waiting.overlap(low, high)
        for low, high in settled:
            self.forget(low, high)
            self.doomed.add(low, high)
        for seq, flight in self.flying.items():
            if flight.sent_no < newest_sent and seq <= top:
                flight.left_out = True
        return [Span(self.spool, self.stream, low, high) for low, high in settled]

    def _rescue(self, covered: RangeSet, top: int) -> None:
        """Take back what was settled, is still on the card, and is not covered any more."""
        for low, high in list(self.doomed):
            for a, b in covered.missing(low, min(high, top)):
                for c, d in self.deleting.missing(a, b):
                    self.doomed.remove(c, d)
                    self.waiting.add(c, d)

    def _missing(self, covered: RangeSet, top: int, now_ms: int, *, own: bool) -> list[Lost]:
        """Declare what is neither covered, nor held, nor declared already."""
        replaced = not own and (not self.known or covered.top > self.last)
        reason = "card_replaced" if replaced else FORGOTTEN
        here = RangeSet([*self.waiting, *self.doomed, *self.declared])
        for seq in self.flying:
            here.add(seq)
        last = self.last if own else max(self.last, covered.top)
        lost = [
            self._lost(c, d, reason)
            for a, b in covered.missing(1, min(last, top))
            for c, d in here.missing(a, b)
        ]
        if replaced:
            lost.append(self._lost(covered.top + 1, None, reason))
        elif not lost:
            self._declarations = 0
        if not lost or not self._may_declare(now_ms):
            return []
        self.known, self.last = True, last
        for one in lost:
            if one.to_seq is not None:
                self.declared.add(one.from_seq, one.to_seq)
        return lost

    def _may_declare(self, now_ms: int) -> bool:
        doubled = self._declarations - DECLARATIONS_AT_ONCE
        if doubled >= 0:
            wait_ms = min(DECLARE_AGAIN_MAX_MS, DECLARE_AGAIN_MS << min(doubled, 16))
            if now_ms < self._declared_ms + wait_ms:
                return False
        self._declarations, self._declared_ms = self._declarations + 1, now_ms
        return True

    def _lost(self, low: int, high: int | None, reason: str) -> Lost:
        return Lost(spool=self.spool, stream=self.stream, from_seq=low, to_seq=high, reason=reason)


def coverage(ack: Ack) -> RangeSet:
    """Return the seqs that an ack settles."""
    return RangeSet([(1, ack.through), *ack.received])


def horizon(ack: Ack) -> int:
    """Return the seq up to which an ack says everything; a full list may have been cut."""
    if len(ack.received) < ACK_RANGES_MAX:
        return SEQ_MAX
    return max(high for _, high in ack.received)


def is_sound(ack: Ack) -> bool:
    """Tell whether the numbers of an ack can be."""
    return 0 <= ack.through <= SEQ_MAX and all(
        1 <= low <= high <= SEQ_MAX for low, high in ack.received
    )
