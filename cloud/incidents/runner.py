"""The clock of rescues: fires deadlines, each once, in the one process that consumes.

They are absolute moments in the database. Whatever passed while nothing ran fires at the start; the
transaction that fires one writes that it did, together with all that follows from it.
"""

import asyncio
import logging

from cloud.incidents.desk import IncidentDesk
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger("suyuan.cloud")
POLL_S = 0.25
"""Looks so often: other processes set deadlines too, and clocks step."""
AWAY_S = 0.5


class DeadlineRunner:
    """Fires until cancelled."""

    def __init__(self, desk: IncidentDesk, clock: Clock) -> None:
        self._desk, self._clock = desk, clock

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
                await asyncio.sleep(await self._pause_s())
            except RetryLater as error:
                logger.warning("deadlines of rescues wait: %s", error)
                await asyncio.sleep(AWAY_S)
            except RefuseInput:  # what cannot be read of one rescue must not end alarms of lifts
                logger.exception("deadlines of rescues cannot go on")
                await asyncio.sleep(AWAY_S)

    async def look(self) -> int:
        """Fire all that is due; return how many incidents had a deadline that was."""
        fired = 0
        while (due := await self._desk.next_due()) is not None and due <= self._clock.wall_ms():
            fired += await self._desk.fire_due()
        return fired

    async def _pause_s(self) -> float:
        due = await self._desk.next_due()
        if due is None:
            return POLL_S
        return min(POLL_S, max(0.0, (due - self._clock.wall_ms()) / 1_000))
