"""The log in a SQL database: one compressed row per group, some groups in each commit.

Appends happen inside the ingester's transaction, beside the watermarks, so a batch is stored and
settled together or not at all. Reads serve consumers; what was committed lately comes from memory.
"""

import threading
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec
import zstandard
from sqlalchemy import Connection, delete, func, insert, select

from cloud.model import tables
from cloud.model.database import Database
from cloud.model.dead_letter import DeadLetter
from cloud.model.logged import LoggedBatch, LogGroup, Positions
from cloud.model.notices import LOG, announce
from cloud.model.rows import insert_rows

RECENT_BYTES_MAX = 32 * 1024 * 1024
"""Raw bytes of late groups kept in memory for consumers, by partition; several times as much once
decoded. A consumer that lags further behind reads back from the database."""
DEAD_LETTERS_MAX = 100_000
"""The oldest go first, when the log is trimmed."""
TRIM_GROUPS_MAX = 500
"""Of a partition in one transaction: what commits meanwhile waits for no more than these."""

BatchKey = tuple[str, str, str, int, int]
"""(gateway, spool, stream, seq, CRC-32 of the records)."""

_encoder = msgspec.msgpack.Encoder()
_bodies = msgspec.msgpack.Decoder(tuple[LoggedBatch, ...])
_keys = msgspec.msgpack.Decoder(list[BatchKey])


class LogStore:
    """All partitions of the log, those that this process writes among them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._recent: dict[str, deque[LogGroup]] = {}
        self._recent_bytes: dict[str, int] = {}
        self._heads: Positions = database.read_now(_read_heads)

    def append(
        self,
        connection: Connection,
        groups: Iterable[tuple[str, Sequence[LoggedBatch], Sequence[BatchKey]]],
        committed_at: int,
    ) -> list[LogGroup]:
        """Write groups inside the caller's transaction; see `committed`.

        Those of a partition come in order; their keys may stand with any of them.
        """
        heads, made, own_keys = dict(self._heads), [], []
        for partition, batches, keys in groups:
            position = heads[partition] = heads.get(partition, 0) + 1
            group = LogGroup(
                partition=partition,
                position=position,
                committed_at=committed_at,
                batches=tuple(batches),
            )
            made.append(group)
            own_keys.append(_encoder.encode(list(keys)))
        rows = [
            {
                "partition": group.partition,
                "position": group.position,
                "committed_at": committed_at,
                "keys": encoded,
                "body": body,
            }
            for group, encoded, body in zip(made, own_keys, _compressed(made), strict=True)
        ]
        insert_rows(connection, tables.log, rows)
        announce(connection, LOG, " ".join(f"{one.partition} {one.position}" for one in made))
        return made

    def committed(self, groups: Iterable[LogGroup]) -> None:
        """Make groups visible to readers; call it once their transaction is durable."""
        groups = list(groups)
        with self._lock:
            for group in groups:
                self._heads[group.partition] = group.position
            self._keep(groups)

    def _keep(self, groups: Iterable[LogGroup]) -> None:
        """Keep late groups at hand, without holes; the oldest go at the bound."""
        for group in groups:
            recent = self._recent.setdefault(group.partition, deque())
            if recent and group.position != recent[-1].position + 1:
                if group.position <= recent[-1].position:
                    continue
                recent.clear()
                self._recent_bytes[group.partition] = 0
            recent.append(group)
            size = self._recent_bytes.get(group.partition, 0) + _size(group)
            while size > RECENT_BYTES_MAX and len(recent) > 1:
                size -= _size(recent.popleft())
            self._recent_bytes[group.partition] = size

    def release(self, passed: Sequence[Positions]) -> None:
        """Let go of what all consumers have passed: memory that is used again soon stays quick."""
        with self._lock:
            for partition, recent in self._recent.items():
                done = min(positions.get(partition, 0) for positions in passed)
                while recent and recent[0].position <= done:
                    self._recent_bytes[partition] -= _size(recent.popleft())

    def heads(self) -> Positions:
        """Return the newest position of each partition."""
        with self._lock:
            return dict(self._heads)

    def at_hand(self, partition: str, after: int, limit: int) -> Sequence[LogGroup] | None:
        """Return what `read` would, without asking the database; None when it must be asked."""
        with self._lock:
            if after >= self._heads.get(partition, 0):
                return []
            recent = self._recent.get(partition)
            if not recent or not recent[0].position <= after + 1 <= recent[-1].position:
                return None
            start = after + 1 - recent[0].position
            return [recent[i] for i in range(start, min(start + limit, len(recent)))]

    def read(self, partition: str, after: int, limit: int) -> Sequence[LogGroup]:
        """Return up to `limit` groups with position > `after`, in order."""
        known = self.at_hand(partition, after, limit)
        if known is not None:
            return known
        with self._lock:
            head = self._heads[partition]
        found = self._database.read_now(lambda c: _read_groups(c, partition, after, head, limit))
        with self._lock:
            self._keep(found)  # the other consumer will want the same
        return found

    def refresh(self, partitions: Collection[str]) -> None:
        """Learn the newest positions of partitions that other processes write, or wrote."""
        found = self._database.read_now(lambda c: {p: _read_head(c, p) for p in partitions})
        for partition, position in found.items():
            self.heard(partition, position)

    def heard_notice(self, text: str) -> None:
        """Take in a notice of another process; one without text tells nothing but to look."""
        words = text.split()
        for partition, position in zip(words[::2], words[1::2], strict=False):
            self.heard(partition, int(position))

    def heard(self, partition: str, position: int) -> None:
        """Learn that another process has committed up to `position`."""
        with self._lock:
            if position > self._heads.get(partition, 0):
                self._heads[partition] = position

    def oldest_after(self, positions: Positions) -> int | None:
        """Return when the first group after these positions was committed; None: there is none."""
        behind = [
            (partition, positions.get(partition, 0))
            for partition, head in self.heads().items()
            if positions.get(partition, 0) < head
        ]
        found = self._database.read_now(lambda c: [_committed_after(c, *one) for one in behind])
        return min((at for at in found if at is not None), default=None)

    def late_keys(self, partition: str, groups_max: int = 5_000) -> list[BatchKey]:
        """Return the keys of the last groups, oldest first, to know a batch that comes again."""
        log = tables.log.c
        query = (
            select(log["keys"])
            .where(log.partition == partition)
            .order_by(log.position.desc())
            .limit(groups_max)
        )
        blobs = self._database.read_now(lambda c: c.execute(query).scalars().all())
        return [key for blob in reversed(blobs) for key in _keys.decode(blob)]

    async def trim(self, before_ms: int, passed: Sequence[Positions]) -> int:
        """Delete groups committed before `before_ms` that every consumer has passed durably."""
        done = {
            partition: min(positions.get(partition, 0) for positions in passed)
            for partition in self.heads()
        }
        await self._database.write(_note_heads)
        deleted = 0
        for partition, position in done.items():
            trim = partial(_trim, before_ms=before_ms, partition=partition, upto=position)
            gone = TRIM_GROUPS_MAX
            while gone >= TRIM_GROUPS_MAX:
                gone = await self._database.write(trim)
                deleted += gone
        await self._database.write(_bound_dead_letters)
        return deleted


def insert_dead_letters(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Keep `letters` inside the caller's transaction."""
    if letters:
        connection.execute(
            insert(tables.dead_letter), [msgspec.structs.asdict(letter) for letter in letters]
        )


def _compressed(groups: Sequence[LogGroup]) -> list[bytes]:
    """Return the bodies of groups, all in one call: each lets go of the interpreter."""
    if not groups:
        return []
    bodies: list[Any] = [_encoder.encode(group.batches) for group in groups]
    frames = zstandard.ZstdCompressor(level=1).multi_compress_to_buffer(bodies)
    return [frames[number].tobytes() for number in range(len(frames))]


def _size(group: LogGroup) -> int:
    return sum(len(batch.records_raw) for batch in group.batches) + 200 * len(group.batches)


def _read_heads(connection: Connection) -> Positions:
    query = select(tables.log.c.partition, func.max(tables.log.c.position)).group_by(
        tables.log.c.partition
    )
    heads = {row[0]: row[1] for row in connection.execute(query)}
    # trimmed to nothing, a partition must still not start again at 1
    query = select(tables.log_head.c.partition, tables.log_head.c.position)
    for partition, position in connection.execute(query):
        heads[partition] = max(position, heads.get(partition, 0))
    return heads


def _read_head(connection: Connection, partition: str) -> int:
    """Read the newest position, cheaply however long the log is."""
    log, head = tables.log.c, tables.log_head.c
    newest = select(func.max(log.position)).where(log.partition == partition)
    trimmed = select(func.max(head.position)).where(head.partition == partition)
    return max(connection.execute(query).scalar() or 0 for query in (newest, trimmed))


def _committed_after(connection: Connection, partition: str, after: int) -> int | None:
    log = tables.log.c
    query = select(log.committed_at).where(log.partition == partition, log.position > after)
    return connection.execute(query.order_by(log.position).limit(1)).scalar()


def _read_groups(
    connection: Connection, partition: str, after: int, head: int, limit: int
) -> list[LogGroup]:
    log = tables.log.c
    query = (
        select(log.position, log.committed_at, log.body)
        .where(log.partition == partition, log.position > after, log.position <= head)
        .order_by(log.position)
        .limit(limit)
    )
    return [
        LogGroup(
            partition=partition,
            position=position,
            committed_at=committed_at,
            batches=_bodies.decode(zstandard.decompress(body)),
        )
        for position, committed_at, body in connection.execute(query)
    ]


def _note_heads(connection: Connection) -> None:
    for partition, position in _read_heads(connection).items():
        connection.execute(delete(tables.log_head).where(tables.log_head.c.partition == partition))
        connection.execute(insert(tables.log_head).values(partition=partition, position=position))


def _trim(connection: Connection, *, before_ms: int, partition: str, upto: int) -> int:
    log = tables.log.c
    old = (log.partition == partition, log.position <= upto, log.committed_at < before_ms)
    oldest = select(log.position).where(*old).order_by(log.position).limit(TRIM_GROUPS_MAX)
    last = select(func.max(oldest.subquery().c.position)).scalar_subquery()
    return connection.execute(delete(tables.log).where(*old, log.position <= last)).rowcount


def _bound_dead_letters(connection: Connection) -> None:
    letters = tables.dead_letter.c
    newest = select(func.max(letters.id)).scalar_subquery()
    connection.execute(delete(tables.dead_letter).where(letters.id <= newest - DEAD_LETTERS_MAX))
