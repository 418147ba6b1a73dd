"""What was taken and waits for the next commit."""

from collections import Counter

import msgspec

from cloud.ingest.account import Account, AccountKey
from cloud.model.dead_letter import DeadLetter
from cloud.model.logged import LoggedBatch

BatchKey = tuple[str, str, str, int, int]


class Pending(msgspec.Struct, kw_only=True):
    """Mutable; replaced by a new one at each commit."""

    batches: dict[str, list[LoggedBatch]] = {}
    """Partition -> batches in order of arrival."""
    keys: dict[str, list[BatchKey]] = {}
    touched: dict[AccountKey, Account] = {}
    """Accounts to write, and to acknowledge once written."""
    dead_letters: list[DeadLetter] = []
    offsets: dict[tuple[str, str], int] = {}
    """(gateway, boot id) -> offset learned."""
    bytes: int = 0
    urgent: bool = False
    """Commit at once: something of stream `alarm` is in it."""
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.batches or self.touched or self.dead_letters)

    def add(self, partition: str, batch: LoggedBatch, crc: int) -> None:
        """Put a batch into the next group of its partition."""
        self.batches.setdefault(partition, []).append(batch)
        self.keys.setdefault(partition, []).append(
            (batch.gateway, batch.spool, batch.stream, batch.seq, crc)
        )
        self.bytes += len(batch.records_raw)
        self.urgent = self.urgent or batch.stream == "alarm"
