"""The journal on a thread of its own, and what is read of it at every judgement, in memory."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TypeVar

from edge.interlock.base import Entry
from edge.interlock.journal import ClockCheck, Journal
from protocols.errors import RetryLater

log = logging.getLogger(__name__)
T = TypeVar("T")


class Keeper:
    """Of all places of a gateway; opened when the first begins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "interlock")
        self._opening = asyncio.Lock()
        self._journal: Journal | None = None
        self._filled: dict[str, date] = {}
        self._clock_checks: list[ClockCheck] = []
        self.known_ms = 0
        """The latest time that was ever judged by, ms since 1970."""

    async def begin(self, place: str, first: int) -> tuple[int, Entry | None, bool]:
        """Return the last number used, the opening that was not closed, and whether it may lack.

        Raises:
            RetryLater: the disk does not let it be read or written.

        """
        async with self._opening:
            if self._journal is None:
                self._journal = await self._do(lambda: Journal(self._folder))
                self._filled = await self._do(self._journal.filled)
                self._clock_checks = await self._do(self._journal.clock_checks)
                self.known_ms = max(self.known_ms, self._journal.known_ms)
        journal = self._journal
        number, opening = await self._do(lambda: journal.begin(place, first))
        return number, opening, journal.damaged

    def take_clock_checks(self) -> list[ClockCheck]:
        """Return what nobody recorded yet; who takes them records them."""
        found, self._clock_checks = self._clock_checks, []
        return found

    async def clock_check_told(self, number: int) -> None:
        """Make it durable that one is recorded; tried in vain, it is recorded again."""
        journal = self._journal
        if journal is not None:
            await self._try(lambda: journal.clock_check_told(number))

    def filled_on(self, code: str) -> date | None:
        """Tell when a cylinder was filled here last."""
        return self._filled.get(code)

    def filled(self, code: str, on: date) -> None:
        """Learn that a cylinder was filled; `close` makes it durable."""
        self._filled[code] = on

    def knows(self, now_ms: int) -> None:
        """Learn a time that is judged by; it is durable with the next that is written."""
        self.known_ms = max(self.known_ms, now_ms)

    async def open(self, place: str, entry: Entry) -> None:
        """Make it durable that a gun is, or may be, open. Raises RetryLater."""
        journal = self._journal
        if journal is None:
            raise RetryLater("interlock: no journal")
        await self._do(lambda: journal.opened(place, entry, self.known_ms))

    async def close(self, place: str, filled: str, on: date | None) -> None:
        """Make it durable that all is told of an opening; tried in vain, it is told again."""
        journal = self._journal
        if journal is not None:
            await self._try(lambda: journal.closed(place, filled, on, self.known_ms))

    async def reserve(self, place: str, used: int) -> None:
        """Take further numbers, and remember the time."""
        journal = self._journal
        if journal is not None:
            await self._try(lambda: journal.reserve(place, used))
        await self.remember()

    async def remember(self) -> None:
        """Make the latest time durable."""
        journal = self._journal
        if journal is not None:
            await self._try(lambda: journal.remember(self.known_ms))

    async def stop(self) -> None:
        """Close the file."""
        if self._journal is not None:
            await self._do(self._journal.close)
            self._journal = None

    async def _do(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _try(self, call: Callable[[], None]) -> None:
        try:
            await self._do(call)
        except RetryLater as error:
            log.warning("%s", error)
