"""What a process knows of consumers that run in another one, as far as the databases tell."""

import asyncio
import time

from cloud.model.cursors import load_positions
from cloud.model.logged import Positions
from cloud.model.ownership import Watch, read_all
from cloud.roles.common import Common
from cloud.roles.consume import CONSUME, LEASE_S, TELEMETRY
from cloud.rules.store import RULES


class ConsumersElsewhere:
    """How far the consumers are, looked up about once a second."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._watch = Watch(LEASE_S)
        self._behind_since_ms: dict[str, int | None] = {}
        self._nobody_since_ms: int | None = None

    def lags_ms(self) -> dict[str, int]:
        """Return the age of the oldest group that each consumer has not passed.

        Where nobody consumes, at least the time since that is known.
        """
        now_ms = self._common.clock.wall_ms()
        lags = {}
        for name, since_ms in self._behind_since_ms.items():
            known = [one for one in (since_ms, self._nobody_since_ms) if one is not None]
            lags[name] = max(0, now_ms - min(known)) if known else 0
        return lags

    async def keep_house(self) -> None:
        """Look how far they are, and whether anybody is there."""
        for name in (RULES, TELEMETRY):
            self._behind_since_ms[name] = await self._oldest_after(await self._positions(name))
        rows = await self._common.log_db.read(read_all)
        rows = [row for row in rows if row.name == CONSUME]
        stale = self._watch.stale(rows, time.monotonic())
        if any(row.owner is not None for row in rows) and not stale:
            self._nobody_since_ms = None
        elif self._nobody_since_ms is None:
            self._nobody_since_ms = self._common.clock.wall_ms()

    async def _positions(self, name: str) -> Positions:
        return await self._common.state_db.read(lambda c: load_positions(c, name))

    async def _oldest_after(self, positions: Positions) -> int | None:
        return await asyncio.to_thread(self._common.log.oldest_after, positions)
