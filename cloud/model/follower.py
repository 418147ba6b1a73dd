"""Follows the log for the few records of one kind; what is kept of them moves with the cursor."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from cloud.log.base import LogReader
from cloud.model.cursors import load_positions, save_positions
from cloud.model.database import Database
from cloud.model.logged import LoggedBatch, LogGroup, Positions
from cloud.model.shards import stream_of
from protocols.errors import RetryLater
from protocols.topics import STREAMS, Stream

logger = logging.getLogger("suyuan.cloud")

GROUPS_PER_READ = 50
POLL_S = 1.0
SAVE_S = 5.0
"""A cursor that moved over groups without such records is written so often; they are read again
for free."""
BACKOFF_S = 2.0

Keep = Callable[[Connection, Sequence[LoggedBatch]], None]
"""Keeps the records of batches, in order; the same batches may come again after a restart."""


class LogFollower:
    """One consumer; `start`, then `run` until cancelled."""

    def __init__(
        self,
        *,
        name: str,
        log: LogReader,
        database: Database,
        mark: bytes,
        keep: Keep,
        streams: tuple[Stream, ...] = STREAMS,
    ) -> None:
        """Make a follower.

        Args:
            name: of its cursor.
            log: what it follows.
            database: where the cursor and what is kept are.
            mark: stands in each batch that may hold such a record: most hold none, and are not
                decoded for it.
            keep: called with the batches that hold it, in the transaction of the cursor.
            streams: in which such records come.

        """
        self.name, self._log, self._database = name, log, database
        self._mark, self._keep, self._streams = mark, keep, streams
        self._done: Positions = {}
        self._saved: Positions = {}
        self._saved_s = 0.0
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Learn from where to read."""
        self._done = await self._database.read(lambda c: load_positions(c, self.name))
        for name, head in self._log.heads().items():  # a log that was put back is read again
            self._done[name] = min(self._done.get(name, 0), head)
        self._saved = dict(self._done)

    def wake(self) -> None:
        """Say that new groups are in the log; on the loop."""
        self._wake.set()

    def positions(self) -> Positions:
        """Return from where a restart would read: the log may forget what is before."""
        return dict(self._saved)

    def read(self) -> Positions:
        """Return up to where groups were read: they are no longer needed in memory."""
        return dict(self._done)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self._wake.clear()
            try:
                if await self._advance():
                    continue
                await self._save_now_and_then()
            except RetryLater as error:
                logger.warning("%s waits %.0f s: %s", self.name, BACKOFF_S, error)
                await asyncio.sleep(BACKOFF_S)
                continue
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _advance(self) -> bool:
        """Go on in each partition; tell whether there may be more."""
        more = False
        for partition, head in sorted(self._log.heads().items()):
            after = self._done.get(partition, 0)
            if stream_of(partition) not in self._streams:
                self._done[partition] = self._saved[partition] = head
            elif after < head:
                groups = self._log.at_hand(partition, after, GROUPS_PER_READ)
                if groups is None:
                    groups = await asyncio.to_thread(
                        self._log.read, partition, after, GROUPS_PER_READ
                    )
                await self._take(partition, groups, head)
                more = True
        return more

    async def _take(self, partition: str, groups: Sequence[LogGroup], head: int) -> None:
        position = groups[-1].position if groups else head  # the log forgot them
        marked = [one for group in groups for one in group.batches if self._mark in one.records_raw]
        done = {**self._done, partition: position}
        if marked:

            def write(connection: Connection) -> None:
                self._keep(connection, marked)
                save_positions(connection, self.name, done)

            await self._database.write(write)
            self._saved = dict(done)
        self._done = done

    async def _save_now_and_then(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._done != self._saved and now_s - self._saved_s >= SAVE_S:
            done, self._saved_s = dict(self._done), now_s
            await self._database.write(lambda c: save_positions(c, self.name, done))
            self._saved = done
