"""Follows the log and keeps its scans, each once; cursor and scans move in one transaction."""

import asyncio
import logging
from collections.abc import Sequence

from sqlalchemy import Connection

from cloud.log.base import LogReader
from cloud.model.cursors import load_positions, save_positions
from cloud.model.database import Database
from cloud.model.logged import LogGroup, Positions
from cloud.scans.store import any_scan, insert_scans, rows_of
from protocols.errors import RetryLater

logger = logging.getLogger("suyuan.cloud.scans")

NAME = "scans"
GROUPS_PER_READ = 50
POLL_S = 1.0
SAVE_S = 5.0
"""A cursor that moved over groups without scans is written so often; reading them again is free."""
BACKOFF_S = 2.0


class ScansConsumer:
    """One per process that consumes; `start`, then `run` until cancelled."""

    def __init__(self, *, log: LogReader, database: Database) -> None:
        self._log, self._database = log, database
        self._done: Positions = {}
        self._saved: Positions = {}
        self._saved_s = 0.0
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Learn from where to read."""
        self._done = await self._database.read(lambda c: load_positions(c, NAME))
        for name, head in self._log.heads().items():  # a log that was put back is read again
            self._done[name] = min(self._done.get(name, 0), head)
        self._saved = dict(self._done)

    def wake(self) -> None:
        """Say that new groups are in the log; on the loop."""
        self._wake.set()

    def positions(self) -> Positions:
        """Return up to where all scans are kept durably."""
        return dict(self._saved)

    def read(self) -> Positions:
        """Return up to where groups were read: they are no longer needed in memory."""
        return dict(self._done)

    async def run(self) -> None:
        """Keep scans until cancelled."""
        while True:
            self._wake.clear()
            try:
                if await self._advance():
                    continue
                await self._save_now_and_then()
            except RetryLater as error:
                logger.warning("scans wait %.0f s: %s", BACKOFF_S, error)
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
            if after >= head:
                continue
            groups = self._log.at_hand(partition, after, GROUPS_PER_READ)
            if groups is None:
                groups = await asyncio.to_thread(self._log.read, partition, after, GROUPS_PER_READ)
            await self._take(partition, groups, head)
            more = True
        return more

    async def _take(self, partition: str, groups: Sequence[LogGroup], head: int) -> None:
        position = groups[-1].position if groups else head  # the log forgot them
        rows = [
            row
            for group in groups
            if any_scan(group.batches)
            for batch in group.batches
            if any_scan((batch,))
            for row in rows_of(batch)
        ]
        done = {**self._done, partition: position}
        if rows:

            def keep(connection: Connection) -> None:
                insert_scans(connection, rows)
                save_positions(connection, NAME, done)

            await self._database.write(keep)
            self._saved = dict(done)
        self._done = done

    async def _save_now_and_then(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._done != self._saved and now_s - self._saved_s >= SAVE_S:
            done, self._saved_s = dict(self._done), now_s
            await self._database.write(lambda c: save_positions(c, NAME, done))
            self._saved = done
