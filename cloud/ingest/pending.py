"""What was taken and waits for the next commit."""

from collections.abc import Callable, Collection

import msgspec

from cloud.ingest.account import Account, AccountKey
from cloud.model.dead_letter import DeadLetter
from cloud.model.logged import LoggedBatch
from cloud.model.shards import stream_of

BatchKey = tuple[str, str, str, int, int]
GROUP_BYTES_MAX = 256 * 1024
"""A group of the log ends with the batch that goes beyond it: few enough records that an alarm does
not wait long for them to be judged."""


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
    declares: bool = False
    """A gap record is in it, which settles batches of other accounts: all goes together."""

    def __bool__(self) -> bool:
        return bool(self.batches or self.touched or self.dead_letters)

    def groups(self) -> list[tuple[str, list[LoggedBatch], list[BatchKey]]]:
        """Return what to append to the log, by partition, in order of arrival."""
        found = []
        for partition in sorted(self.batches):
            batches, start, size = self.batches[partition], 0, 0
            keys = self.keys.get(partition, [])
            for end, batch in enumerate(batches, 1):
                size += len(batch.records_raw)
                if size > GROUP_BYTES_MAX or end == len(batches):
                    found.append((partition, batches[start:end], keys))
                    start, size, keys = end, 0, []
        return found

    def drop(self, groups: Collection[str], group_of: Callable[[str], str]) -> None:
        """Forget what is of these shard groups; dead letters stay, for they harm no one."""
        for partition in [one for one in self.batches if one.rpartition("/")[0] in groups]:
            self.bytes -= sum(len(batch.records_raw) for batch in self.batches.pop(partition))
            self.keys.pop(partition, None)
        for key in [key for key in self.touched if group_of(key.gateway) in groups]:
            del self.touched[key]
        for boot in [boot for boot in self.offsets if group_of(boot[0]) in groups]:
            del self.offsets[boot]

    def put_before(self, later: "Pending") -> None:
        """Take in what came after what is here."""
        for partition, batches in later.batches.items():
            self.batches.setdefault(partition, []).extend(batches)
            self.keys.setdefault(partition, []).extend(later.keys.get(partition, ()))
        self.touched |= later.touched
        self.dead_letters += later.dead_letters
        self.offsets |= later.offsets
        self.bytes += later.bytes
        self.urgent = self.urgent or later.urgent
        self.declares = self.declares or later.declares

    def without_data(self) -> tuple["Pending", "Pending"]:
        """Split into what is of stream `alarm`, so that its commit is small, and the rest."""
        if self.declares:
            return self, Pending()
        alarm, rest = Pending(offsets=self.offsets), Pending()
        for partition, batches in self.batches.items():
            part = alarm if stream_of(partition) == "alarm" else rest
            part.batches[partition] = batches
            part.keys[partition] = self.keys.get(partition, [])
            part.bytes += sum(len(batch.records_raw) for batch in batches)
        for key, account in self.touched.items():
            (alarm if key.stream == "alarm" else rest).touched[key] = account
        for letter in self.dead_letters:
            (alarm if letter.stream == "alarm" else rest).dead_letters.append(letter)
        return alarm, rest

    def add(self, partition: str, batch: LoggedBatch, crc: int) -> None:
        """Put a batch into the next group of its partition."""
        self.batches.setdefault(partition, []).append(batch)
        self.keys.setdefault(partition, []).append(
            (batch.gateway, batch.spool, batch.stream, batch.seq, crc)
        )
        self.bytes += len(batch.records_raw)
        self.urgent = self.urgent or batch.stream == "alarm"
