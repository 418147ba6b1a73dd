"""What every spool does, whatever its store: keys, the bound, losses and their gap records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edge.batches import Batch, Committed, Declared, Draft, Key, Line, Lost, Span
from edge.spool.rows import (
    LineRow,
    Row,
    RowFacts,
    Rows,
    pack,
    row_bytes,
    row_id,
    row_place,
    unpack,
)
from protocols.clock import Clock
from protocols.errors import StopService
from protocols.messages import is_spool_id
from protocols.ranges import RangeSet
from protocols.records import Gap, encode_records
from protocols.topics import STREAMS, Stream

SPOOLS_KNOWN_MAX = 256
"""Older spools are forgotten, unless batches or open losses of theirs are left."""
ROWS_SHARE = 0.72
"""Share of the byte bound that batches may take; the rest is room for gap records, the log, and
what is kept in reserve for a full disk."""
DROP_SHARE = 1 / 20
"""At the bound so much is dropped at once, so that one gap record tells of many batches."""
GAPS_PER_BATCH = 400
DROP_STEP = 256


@dataclass(slots=True)
class _Line:
    """Mutable; what is known of one (spool, stream)."""

    no: int
    last_seq: int = 0
    last_at: int = 0
    held: RangeSet = field(default_factory=RangeSet)


@dataclass(slots=True)
class _Change:
    """What one transaction does; memory follows only after its commit."""

    last_seqs: dict[Line, int] = field(default_factory=dict)
    last_at: int = 0
    batches: list[Batch] = field(default_factory=list)
    added: list[Key] = field(default_factory=list)
    removed: list[Span] = field(default_factory=list)
    settled_gaps: list[Key] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)
    bytes: int = 0


class SpoolCore:
    """A spool over a store of rows."""

    def __init__(
        self, rows: Rows, *, spool_id: str, boot_id: str, clock: Clock, bytes_max: int
    ) -> None:
        self._rows, self._id, self._boot_id, self._clock = rows, spool_id, boot_id, clock
        self._rows_bytes_max = int(bytes_max * ROWS_SHARE)
        self._lines: dict[Line, _Line] = {}
        self._spools: dict[int, str] = {}
        self._bytes = 0
        self._damaged: list[Lost] = []
        self._declared: dict[Key, list[Declared]] = {}
        self._load()
        self._no = max(self._spools, default=0) + 1
        self._spools[self._no] = spool_id
        self._prune()

    def register(self) -> None:
        """Let the store know of this spool before it holds anything of it.

        Raises:
            RetryLater: not now.
            StopService: the store is damaged.

        """
        with self._rows.transaction():
            for stream in STREAMS:
                self._rows.put_line(LineRow(self._no, self._id, stream, 0, 0))

    def _doubt_tail(self) -> None:
        """Declare that the newest spool in the store may have had more than the store shows."""
        newest = max((line.no for line in self._lines.values()), default=0)
        self._damaged += [
            Lost(
                spool=spool,
                stream=stream,
                from_seq=line.last_seq + 1,
                to_seq=None,
                reason="damaged",
            )
            for (spool, stream), line in self._lines.items()
            if line.no == newest
        ]

    @property
    def id(self) -> str:
        """The spool id of this start."""
        return self._id

    def append(
        self, drafts: Sequence[Draft], settled: Sequence[Span] = (), lost: Sequence[Lost] = ()
    ) -> Committed:
        """Commit drafts, deletions and losses in one transaction (see `Spool`)."""
        if not (drafts or settled or lost or self._damaged):
            return Committed()
        change = _Change(lost=[*self._damaged, *lost])
        with self._rows.transaction():
            self._settle(settled, change)
            self._drop_damaged(change)
            for draft in drafts:
                self._insert(draft, change)
            self._make_room(change)
            self._declare(change)
            self._write_lines(change)
        self._apply(change)
        return Committed(tuple(change.batches), tuple(change.declared))

    def adopt(self, other: "SpoolCore", settled: Sequence[Span] = ()) -> Committed:
        """Take over all that another spool holds, keys and open losses with it, as `append` does.

        Raises:
            RetryLater: the disk does not take it; nothing has changed.
            StopService: the file is damaged.

        """
        change = _Change(lost=[*self._damaged], last_seqs=self._newest_seqs(other))
        with self._rows.transaction():
            self._settle(settled, change)
            self._drop_damaged(change)
            for batch in other.batches():
                self._store(batch, change)
            change.declared += other.declared()
            self._rows.put_declared(change.declared)
            change.batches = []  # whoever takes note of this commit knows them
            self._make_room(change)
            self._declare(change)
            self._write_lines(change)
        known = len(other.declared())
        self._apply(change)
        return Committed(tuple(change.batches), tuple(change.declared[known:]))

    def _drop_damaged(self, change: _Change) -> None:
        for one in self._damaged:
            self._delete(Span(one.spool, one.stream, one.from_seq, one.from_seq), change)
            if one.stream == "alarm":
                self._rows.delete_declared(Key(one.spool, one.stream, one.from_seq))

    def load(self, key: Key) -> Batch | None:
        """Read one batch; None when it is gone or damaged (see `Spool`)."""
        line = self._lines.get((key.spool, key.stream))
        if line is None or key.seq not in line.held:
            return None
        row = self._rows.get(row_id(line.no, key.stream, key.seq))
        batch = unpack(row) if row is not None else None
        if batch is not None and batch.key == key:
            return batch
        line.held.remove(key.seq)
        self._damaged.append(
            Lost(
                spool=key.spool,
                stream=key.stream,
                from_seq=key.seq,
                to_seq=key.seq,
                reason="damaged",
            )
        )
        if key in self._declared:  # what it told must be told again
            self._damaged += [one.lost for one in self._declared.pop(key)]
        return None

    def held(self) -> list[Span]:
        """List what is stored, the oldest spool first."""
        ordered = sorted(self._lines.items(), key=lambda item: (item[1].no, item[0][1]))
        return [
            Span(spool, stream, low, high)
            for (spool, stream), line in ordered
            for low, high in line.held
        ]

    def batches(self) -> Iterator[Batch]:
        """Read all that is held and can be read, as `held` lists it."""
        for span in self.held():
            for seq in range(span.low, span.high + 1):
                batch = self.load(Key(span.spool, span.stream, seq))
                if batch is not None:
                    yield batch

    def last_seqs(self) -> dict[Line, int]:
        """Return the last seq given out in each line that this card knows of."""
        return {key: line.last_seq for key, line in self._lines.items() if line.last_seq}

    def declared(self) -> list[Declared]:
        """List the losses whose gap record is not settled yet."""
        return [one for declared in self._declared.values() for one in declared]

    def known_time_ms(self) -> int:
        """Return the time written last, by the newest start that knew one."""
        known = [(line.no, line.last_at) for line in self._lines.values() if line.last_at]
        return max(known, default=(0, 0))[1]

    def bytes_held(self) -> int:
        """Return how many bytes the batches take."""
        return self._bytes

    def close(self) -> None:
        """Let go of the store."""
        self._rows.close()

    def _newest_seqs(self, other: "SpoolCore") -> dict[Line, int]:
        known = self.last_seqs()
        return {line: max(last, known.get(line, 0)) for line, last in other.last_seqs().items()}

    def _load(self) -> None:
        for row in self._rows.lines():
            if not is_spool_id(row.spool):
                raise StopService(f"no id of a spool: {row.spool!r:.50}")
            self._lines[row.spool, row.stream] = _Line(row.no, row.last_seq, row.last_at)
            self._spools[row.no] = row.spool
        for number, row_size in self._rows.ids():
            no, stream, seq = row_place(number)
            line = self._lines.get((self._spools.get(no, ""), stream))
            if line is None or seq > line.last_seq:
                raise StopService(f"a batch of a spool that the card does not know: {no} {seq}")
            line.held.add(seq)
            self._bytes += row_size
        for one in self._rows.declared():
            self._declared.setdefault(one.gap, []).append(one)

    def _prune(self) -> None:
        """Forget the oldest spools that nothing is left of."""
        in_use = {line.no for line in self._lines.values() if line.held}
        in_use |= {
            self._lines[key].no
            for one in self.declared()
            for key in [(one.lost.spool, one.lost.stream)]
            if key in self._lines
        }
        spare = [no for no in sorted(self._spools) if no not in in_use and no != self._no]
        forgotten = set(spare[: max(0, len(self._spools) - SPOOLS_KNOWN_MAX)])
        if not forgotten:
            return
        with self._rows.transaction():
            for no in forgotten:
                self._rows.forget_lines(no)
        for no in forgotten:
            spool = self._spools.pop(no)
            for stream in STREAMS:
                self._lines.pop((spool, stream), None)

    def _settle(self, settled: Sequence[Span], change: _Change) -> None:
        for span in settled:
            self._delete(span, change)
            for gap in self._declared:
                if (gap.spool, gap.stream) == (span.spool, span.stream) and (
                    span.low <= gap.seq <= span.high
                ):
                    change.settled_gaps.append(gap)
                    self._rows.delete_declared(gap)

    def _delete(self, span: Span, change: _Change) -> None:
        line = self._lines.get((span.spool, span.stream))
        if line is None:
            return
        low = row_id(line.no, span.stream, span.low)
        change.bytes -= self._rows.delete(low, low + span.high - span.low)
        change.removed.append(span)

    def _insert(self, draft: Draft, change: _Change) -> None:
        key = self._next_key(draft.stream, change)
        if draft.clock == "synced" and draft.to_at:
            change.last_at = draft.to_at
        if not draft.records_raw:
            change.lost.append(_never_written(key, draft))
            return
        batch = Batch(
            key=key,
            boot_id=draft.boot_id,
            clock=draft.clock,
            created_ms=draft.created_ms,
            from_at=draft.from_at,
            to_at=draft.to_at,
            records=draft.records,
            records_raw=draft.records_raw,
        )
        self._store(batch, change)

    def _store(self, batch: Batch, change: _Change) -> Row:
        number = self._number(batch.key.spool)
        row = pack(row_id(number, batch.key.stream, batch.key.seq), batch)
        self._rows.insert(row)
        change.bytes += row_bytes(len(row.body))
        change.batches.append(batch)
        change.added.append(batch.key)
        return row

    def _next_key(self, stream: Stream, change: _Change) -> Key:
        line = (self._id, stream)
        known = self._lines.get(line)
        seq = change.last_seqs.get(line, known.last_seq if known else 0) + 1
        change.last_seqs[line] = seq
        return Key(self._id, stream, seq)

    def _make_room(self, change: _Change) -> None:
        """Drop the oldest `data` batches, then `alarm` batches, until the bound is kept."""
        if self._bytes + change.bytes <= self._rows_bytes_max:
            return
        target = int(self._rows_bytes_max * (1 - DROP_SHARE))
        for stream in ("data", "alarm"):
            dropped: list[tuple[Key, RowFacts]] = []
            for key, facts in self._oldest(stream, {one.gap for one in change.declared}):
                if self._bytes + change.bytes <= target:
                    break
                change.bytes -= self._rows.delete(facts.id, facts.id)
                dropped.append((key, facts))
            _drop(dropped, change)
            if self._bytes + change.bytes <= self._rows_bytes_max:
                return

    def _oldest(self, stream: Stream, new_gaps: set[Key]) -> Iterator[tuple[Key, RowFacts]]:
        """Yield the batches of a stream, oldest first, but for those with gap records."""
        with_gaps = {*self._declared, *new_gaps}
        for no in sorted(self._spools):
            spool, after = self._spools[no], row_id(no, stream, 0)
            end = row_id(no, stream, (1 << 36) - 1)
            while rows := self._rows.oldest(after + 1, end, DROP_STEP):
                for facts in rows:
                    key = Key(spool, stream, row_place(facts.id)[2])
                    if key not in with_gaps:
                        yield key, facts
                after = rows[-1].id

    def _declare(self, change: _Change) -> None:
        """Write the gap records of all losses of this transaction."""
        for start in range(0, len(change.lost), GAPS_PER_BATCH):
            part = change.lost[start : start + GAPS_PER_BATCH]
            gap = self._next_key("alarm", change)
            self._store(self._gap_batch(gap, part), change)
            declared = [Declared(one, gap) for one in part]
            self._rows.put_declared(declared)
            change.declared += declared
            for one in part:
                line = (one.spool, one.stream)
                top = one.from_seq - 1 if one.to_seq is None else one.to_seq
                known = self._lines.get(line)
                before = change.last_seqs.get(line, known.last_seq if known else 0)
                change.last_seqs[line] = max(before, top)

    def _gap_batch(self, key: Key, lost: Sequence[Lost]) -> Batch:
        records = [
            Gap(
                spool=one.spool,
                stream=one.stream,
                from_seq=one.from_seq,
                to_seq=one.to_seq,
                from_at=one.from_at,
                to_at=one.to_at,
                reason=one.reason,
                records=one.records,
            )
            for one in lost
        ]
        return Batch(
            key=key,
            boot_id=self._boot_id,
            clock="synced",  # the times inside are wall times or left out
            created_ms=self._clock.boot_ms(),
            from_at=0,
            to_at=0,
            records=len(records),
            records_raw=encode_records(records),
        )

    def _write_lines(self, change: _Change) -> None:
        for (spool, stream), last_seq in change.last_seqs.items():
            no = self._number(spool)
            known = self._lines.get((spool, stream))
            last_at = change.last_at if spool == self._id else 0
            last_at = last_at or (known.last_at if known else 0)
            self._rows.put_line(LineRow(no, spool, stream, last_seq, last_at))

    def _number(self, spool: str) -> int:
        """Return the position of a spool; one that the card hears of for the first time is new."""
        if spool == self._id:
            return self._no
        for no, known in self._spools.items():
            if known == spool:
                return no
        no = max(self._spools) + 1
        self._spools[no] = spool
        return no

    def _apply(self, change: _Change) -> None:
        for (spool, stream), last_seq in change.last_seqs.items():
            line = self._lines.setdefault((spool, stream), _Line(self._number(spool)))
            line.last_seq = last_seq
            if spool == self._id and change.last_at:
                line.last_at = change.last_at
        for key in change.added:
            self._lines[key.spool, key.stream].held.add(key.seq)
        for span in change.removed:
            self._lines[span.spool, span.stream].held.remove(span.low, span.high)
        self._bytes += change.bytes
        self._damaged.clear()
        for gap in change.settled_gaps:
            self._declared.pop(gap, None)
        for one in change.declared:
            self._declared.setdefault(one.gap, []).append(one)


def _never_written(key: Key, draft: Draft) -> Lost:
    synced = draft.clock == "synced"
    return Lost(
        spool=key.spool,
        stream=key.stream,
        from_seq=key.seq,
        to_seq=key.seq,
        from_at=draft.from_at if synced else None,
        to_at=draft.to_at if synced else None,
        reason="not_written",
        records=draft.records,
    )


def _drop(dropped: Sequence[tuple[Key, RowFacts]], change: _Change) -> None:
    """Note dropped batches as lost: one range for neighbours."""
    run: list[tuple[Key, RowFacts]] = []
    for key, facts in dropped:
        last = run[-1][0] if run else None
        if last and (last.spool, last.seq + 1) != (key.spool, key.seq):
            change.lost.append(_dropped_run(run))
            run = []
        run.append((key, facts))
        change.removed.append(Span(key.spool, key.stream, key.seq, key.seq))
    if run:
        change.lost.append(_dropped_run(run))
    gone = {key for key, _ in dropped}
    change.batches = [batch for batch in change.batches if batch.key not in gone]


def _dropped_run(run: Sequence[tuple[Key, RowFacts]]) -> Lost:
    first, last = run[0][0], run[-1][0]
    starts = [facts.from_at for _, facts in run if facts.synced]
    ends = [facts.to_at for _, facts in run if facts.synced]
    return Lost(
        spool=first.spool,
        stream=first.stream,
        from_seq=first.seq,
        to_seq=last.seq,
        from_at=min(starts, default=None),
        to_at=max(ends, default=None),
        reason="spool_full",
        records=sum(facts.records for _, facts in run),
    )
