"""Deadlines of alarms: shelved ones come back, emergencies are told again, test calls are missed.

Each deadline is a moment in the database. What fell due is done in one transaction with what
follows from it, so that it is done once however often the process was killed; what fell due while
nobody ran is done at the start.
"""

import asyncio
import logging

from cloud.alarms.call_watch import CallWatch
from cloud.alarms.desk import AlarmDesk
from protocols.clock import Clock
from protocols.errors import RetryLater

logger = logging.getLogger("suyuan.cloud")
LOOK_S = 0.4
"""So often one looks for deadlines that another process set: kept within 1 s with room to spare."""
CALLS_S = 5.0
AWAY_S = 1.0


class AlarmDeadlines:
    """Runs until cancelled; one process at a time may, further ones would find nothing to do."""

    def __init__(self, desk: AlarmDesk, clock: Clock, calls: CallWatch) -> None:
        self._desk, self._clock, self._calls = desk, clock, calls
        self._looked_ms = -(2**62)

    async def run(self) -> None:
        """Keep deadlines, until cancelled."""
        while True:
            try:
                wait_s = await self.look()
            except RetryLater as error:
                logger.warning("deadlines of alarms wait: %s", error)
                wait_s = AWAY_S
            await asyncio.sleep(wait_s)

    async def look(self) -> float:
        """Do all that fell due; return how long there is nothing to look for, in s."""
        due = await self._desk.next_due()
        while due is not None and due <= self._clock.wall_ms():
            await self._desk.fire()
            due = await self._desk.next_due()
        now_ms = self._clock.wall_ms()
        if abs(now_ms - self._looked_ms) >= CALLS_S * 1000:
            self._looked_ms = now_ms
            await self._calls.look()
        if due is None:
            return LOOK_S
        return min(LOOK_S, max(0.0, (due - self._clock.wall_ms()) / 1000))
