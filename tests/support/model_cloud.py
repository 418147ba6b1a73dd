"""What the cloud does with batches, as little as it takes: settle, ack, account for losses."""

import copy
from collections.abc import Iterator

import msgspec

from protocols.clock import Clock
from protocols.envelope import Envelope, decode
from protocols.limits import ACK_RANGES_MAX
from protocols.messages import Ack
from protocols.ranges import RangeSet
from protocols.records import Gap
from protocols.topics import Stream

Line = tuple[str, Stream]


class Account(msgspec.Struct):
    """Of one (spool, stream)."""

    settled: RangeSet = msgspec.field(default_factory=RangeSet)
    lost: RangeSet = msgspec.field(default_factory=RangeSet)
    stored: dict[int, bytes] = {}
    unknown_tail: bool = False
    duplicates: int = 0


class ModelCloud:
    """Takes envelopes; `commit` settles them and returns the acks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.accounts: dict[Line, Account] = {}
        self._pending: list[tuple[Stream, Envelope]] = []
        self.backlog_bytes_s = 200_000
        self.data_taken = True
        self.conflicts = 0
        self.received: list[tuple[Stream, Envelope]] = []

    def take(self, stream: Stream, payload: bytes) -> None:
        """Take one message; it is safe only after the next commit."""
        envelope = decode(payload)
        assert not envelope.refused, envelope.refused
        self.received.append((stream, envelope))
        if stream == "alarm" or self.data_taken:
            self._pending.append((stream, envelope))

    def commit(self) -> list[Ack]:
        """Settle everything that is pending."""
        touched: dict[Line, None] = {}
        for stream, envelope in self._pending:
            touched[envelope.spool, stream] = None
            account = self._account((envelope.spool, stream))
            if envelope.seq in account.settled:
                account.duplicates += 1
                known = account.stored.get(envelope.seq)
                self.conflicts += known is not None and known != envelope.records_raw
                continue
            account.settled.add(envelope.seq)
            account.stored[envelope.seq] = envelope.records_raw
            for record in envelope.records:
                if isinstance(record, Gap):
                    touched[record.spool, record.stream] = None
                    self._declare(record)
        self._pending.clear()
        return [self.ack(line) for line in touched]

    def crash(self) -> None:
        """Forget what was received and not committed."""
        self._pending.clear()

    def backup(self) -> dict[Line, Account]:
        """Return a copy of all accounts."""
        return copy.deepcopy(self.accounts)

    def put_back(self, backup: dict[Line, Account]) -> None:
        """Be as at the time of the backup."""
        self.accounts = backup
        self._pending.clear()

    def greet(self) -> list[Ack]:
        """Repeat all acks, as at a gateway's `state`."""
        return [self.ack(line) for line in self.accounts]

    def ack(self, line: Line) -> Ack:
        """Say what is settled of a line."""
        settled = self._account(line).settled
        return Ack(
            spool=line[0],
            stream=line[1],
            through=settled.through,
            received=settled.beyond_through()[:ACK_RANGES_MAX],
            time=self._clock.wall_ms(),
            backlog_bytes_s=self.backlog_bytes_s,
        )

    def stored(self) -> Iterator[tuple[Line, int, bytes]]:
        """Yield all batches."""
        for line, account in self.accounts.items():
            for seq, raw in account.stored.items():
                yield line, seq, raw

    def _account(self, line: Line) -> Account:
        return self.accounts.setdefault(line, Account())

    def _declare(self, gap: Gap) -> None:
        account = self._account((gap.spool, gap.stream))
        if gap.to_seq is None:
            account.unknown_tail = True
            return
        for low, high in account.settled.missing(gap.from_seq, gap.to_seq):
            account.settled.add(low, high)
            account.lost.add(low, high)
