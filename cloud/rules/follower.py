"""The newest values of all assets in a process that does not judge: it follows the log silently."""

import asyncio
import contextlib
from collections.abc import Mapping

from sqlalchemy import Connection

from cloud.log.base import LogReader
from cloud.model.asset import LatestValue
from cloud.model.cursors import load_positions
from cloud.model.database import Database
from cloud.model.logged import Positions
from cloud.rules import store
from cloud.rules.engine import Engine
from cloud.rules.rule import RuleSet
from protocols.clock import Clock
from protocols.errors import RetryLater

READ_GROUPS = 8
POLL_S = 1.0


class ValuesFollower:
    """Last values from what the judging process stored, and from the log after that."""

    def __init__(self, *, log: LogReader, database: Database, rules: RuleSet, clock: Clock) -> None:
        self._log, self._database, self._clock = log, database, clock
        self._engine = Engine(rules)
        self._done: Positions = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Say that new groups are in the log; on the loop."""
        self._wake.set()

    def latest(self, asset: str) -> Mapping[str, LatestValue]:
        """Return the last value of each point of an asset."""
        return self._engine.latest(asset)

    def assets_of(self, gateway: str) -> list[str]:
        """Return the assets that this gateway was the last to report."""
        return self._engine.assets_of(gateway)

    async def start(self) -> None:
        """Read what was stored."""
        await self._database.read(self._load)

    def _load(self, connection: Connection) -> None:
        self._done = load_positions(connection, store.VALUES)
        for asset, packed in store.load_values(connection):
            self._engine.restore_values(asset, packed)

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
            if after >= head:
                continue
            groups = await asyncio.to_thread(self._log.read, partition, after, READ_GROUPS)
            for group in groups:
                now_ms = self._clock.wall_ms()
                for batch in group.batches:
                    for reading in batch.readings():
                        with contextlib.suppress(*store.RECORD_FAULTS):  # the rules bury it
                            self._engine.apply(
                                reading, now_ms, trusted=not batch.spool, silent=True
                            )
                    await asyncio.sleep(0)
                self._done[partition], found = group.position, True
            if not groups:  # trimmed: what followed is in the stored values
                self._done[partition] = head
        return found
