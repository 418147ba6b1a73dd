"""A consumer of the log: replies of gateways, in order, each with the cursor in one transaction."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection

from cloud.log.base import LogReader
from cloud.model.cursors import load_positions, save_positions
from cloud.model.database import Database
from cloud.model.logged import LogGroup, Positions
from cloud.model.shards import stream_of
from cloud.remote.outcomes import take_reply
from protocols.errors import RetryLater
from protocols.records import Reply

logger = logging.getLogger("suyuan.cloud.remote")

REMOTE = "remote"
"""Name of the cursor."""
READ_GROUPS = 32
POLL_S = 1.0
UNSAVED_MAX = 1_000
"""So many groups without a reply may be read again after a restart."""
_MARK = b'"reply"'


class RepliesConsumer:
    """Reads stream `alarm` for replies."""

    def __init__(self, *, log: LogReader, database: Database) -> None:
        self._log, self._database = log, database
        self._done: Positions = {}
        self._saved: Positions = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Say that new groups are in the log; on the loop."""
        self._wake.set()

    def positions(self) -> Positions:
        """Return the positions from which a restart would read."""
        return dict(self._saved)

    def read(self) -> Positions:
        """Return the positions up to which everything was looked at."""
        return dict(self._done)

    async def start(self) -> None:
        """Read the cursor."""
        self._done = await self._database.read(lambda c: load_positions(c, REMOTE))
        for name, head in self._log.heads().items():  # a log that was put back is read again
            self._done[name] = min(self._done.get(name, 0), head)
        self._saved = dict(self._done)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self._wake.clear()
            with contextlib.suppress(RetryLater):  # the database is away
                if await self._advance():
                    continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()

    async def _advance(self) -> bool:
        found = False
        for partition, head in sorted(self._log.heads().items()):
            after = self._done.get(partition, 0)
            if stream_of(partition) != "alarm":  # no reply comes there
                self._done[partition] = self._saved[partition] = head
            if stream_of(partition) != "alarm" or after >= head:
                continue
            groups = self._log.at_hand(partition, after, READ_GROUPS)
            if groups is None:
                groups = await asyncio.to_thread(self._log.read, partition, after, READ_GROUPS)
            await self._take(partition, groups, groups[-1].position if groups else head)
            found = True
        return found

    async def _take(self, partition: str, groups: Sequence[LogGroup], position: int) -> None:
        replies = list(_replies(groups))
        if replies or position - self._saved.get(partition, 0) >= UNSAVED_MAX:

            def write(connection: Connection) -> None:
                for gateway_id, reply, received_at in replies:
                    take_reply(connection, gateway_id, reply, received_at)
                save_positions(connection, REMOTE, {partition: position})

            await self._database.write(write)
            self._saved[partition] = position
        self._done[partition] = position


def _replies(groups: Iterable[LogGroup]) -> Iterator[tuple[str, Reply, int]]:
    for group in groups:
        for batch in group.batches:
            if batch.spool and _MARK in batch.records_raw:
                for _, record in batch.taken():
                    if isinstance(record, Reply):
                        yield batch.gateway, record, batch.received_at
