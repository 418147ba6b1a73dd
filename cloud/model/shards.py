"""Shard groups: the shards that one ingester owns together, a partition of the log for each."""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from protocols.ids import shard_of
from protocols.topics import STREAMS, Stream

SHARDS = 256


class ShardGroup(msgspec.Struct, frozen=True):
    """Neighbouring shards; `name` is `all`, or such as `40-7f`."""

    name: str
    shards: tuple[str, ...]
    """Two hex digits each."""

    @property
    def whole(self) -> bool:
        """Whether these are all shards there are."""
        return len(self.shards) == SHARDS

    def partition(self, stream: Stream) -> str:
        """Return the log's partition of a stream."""
        return f"{self.name}/{stream}"


class ShardMap:
    """All shards, cut into equal groups."""

    def __init__(self, count: int = 1) -> None:
        """Cut into `count` groups: a power of two up to 256."""
        size = SHARDS // count
        self.groups: Mapping[str, ShardGroup] = {
            group.name: group for group in (_group(low, size) for low in range(0, SHARDS, size))
        }
        self._of_shard = {
            shard: group.name for group in self.groups.values() for shard in group.shards
        }

    def of_shard(self, shard: str) -> str | None:
        """Return the name of a shard's group; None for what is no shard."""
        return self._of_shard.get(shard)

    def of_gateway(self, gateway_id: str) -> str:
        """Return the name of the group that a gateway belongs to."""
        return self._of_shard[shard_of(gateway_id)]

    def partitions(self) -> list[str]:
        """Return the names of all partitions of the log."""
        return [group.partition(stream) for group in self.groups.values() for stream in STREAMS]


@lru_cache(maxsize=1024)
def stream_of(partition: str) -> str:
    """Return the stream of a partition of the log."""
    return partition.rpartition("/")[2]


def _group(low: int, size: int) -> ShardGroup:
    name = "all" if size == SHARDS else f"{low:02x}-{low + size - 1:02x}"
    return ShardGroup(name, tuple(f"{shard:02x}" for shard in range(low, low + size)))
