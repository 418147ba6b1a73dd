"""A reader, scanner or scale as a source: opened, read, and opened again whenever it is gone."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from edge.sources.base import Driver, Emit, Emitted, Gone, OpenDriver, Seen
from protocols.clock import Clock
from protocols.errors import RetryLater

OPEN_FIRST_S = 0.1
OPEN_MAX_S = 2.0
"""A device that is plugged in again is back within so long and the time that opening takes."""
STEADY_S = 5.0
"""A device that worked for so long is tried again at once when it fails."""


class Handler(Protocol):
    """Turns what a device sent into what is worth reporting."""

    def handle(self, seen: Seen, at_boot_ms: int) -> Iterable[Emitted]:
        """Take one sighting."""
        ...

    def passed(self, at_boot_ms: int) -> Iterable[Emitted]:
        """Learn that time has passed, with sightings or without."""
        ...

    def resumed(self, broke_at_ms: int, at_boot_ms: int) -> None:
        """Learn that the device is back after an outage."""
        ...

    @property
    def counters(self) -> dict[str, int]:
        """What was told, and what was wrong with it, by closed words."""
        ...


class DeviceSource:
    """One device behind its driver, in a thread of its own."""

    def __init__(
        self,
        *,
        name: str,
        kind: str,
        device: str,
        open_driver: OpenDriver,
        handler: Handler,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._name, self._kind, self._device = name, kind, device
        self._open, self._handler = open_driver, handler
        self._clock, self._rng = clock, rng
        self._driver: Driver | None = None
        self._why = "not opened yet"
        self._broke_at_ms: int | None = None
        self._counters = {"device_opens": 0, "device_failures": 0}
        self._dropped: dict[str, int] = {}

    @property
    def name(self) -> str:
        """The id that the site file gives it."""
        return self._name

    async def run(self, emit: Emit) -> None:
        """Read until cancelled; a device that is gone is tried again within OPEN_MAX_S."""
        with ThreadPoolExecutor(1, thread_name_prefix=f"device-{self._name}") as thread:
            wait_s = OPEN_FIRST_S
            while True:
                began_ms = self._clock.boot_ms()
                try:
                    await self._session(thread, emit)
                except RetryLater as error:
                    steady = self._clock.boot_ms() - began_ms > STEADY_S * 1000
                    wait_s = OPEN_FIRST_S if steady else min(OPEN_MAX_S, 2 * wait_s)
                    if self._driver is not None:
                        emit(Gone(reader=self._name, at_boot_ms=self._clock.boot_ms()))
                    self._failed(str(error))
                finally:
                    await self._end_session(thread)
                await asyncio.sleep(wait_s * self._rng.uniform(0.8, 1.0))

    def status(self) -> dict[str, Any]:
        """Return health and counters as plain JSON data."""
        dropped = dict(self._dropped)
        if self._driver is not None:
            _add(dropped, self._driver.counters)
        return {
            "kind": self._kind,
            "device": self._device,
            "link": "down" if self._driver is None else "up",
            "why": self._why,
            "devices": [],
            "counters": {**self._counters, **dropped, **self._handler.counters},
        }

    async def _session(self, thread: ThreadPoolExecutor, emit: Emit) -> None:
        """Open, and read until the device fails.

        Raises:
            RetryLater: always, in the end.

        """
        loop = asyncio.get_running_loop()
        self._driver = driver = await loop.run_in_executor(thread, self._open)
        self._counters["device_opens"] += 1
        self._why = ""
        if self._broke_at_ms is not None:
            self._handler.resumed(self._broke_at_ms, self._clock.boot_ms())
        self._broke_at_ms = None
        read = _stamped(driver.read, self._clock.boot_ms)
        while True:
            at_boot_ms, items = await loop.run_in_executor(thread, read)
            for seen in items:
                for told in self._handler.handle(seen, at_boot_ms):
                    emit(told)
            for told in self._handler.passed(at_boot_ms):
                emit(told)

    def _failed(self, why: str) -> None:
        self._why = why
        if self._driver is not None:
            self._counters["device_failures"] += 1
            self._broke_at_ms = self._clock.boot_ms()

    async def _end_session(self, thread: ThreadPoolExecutor) -> None:
        driver, self._driver = self._driver, None
        if driver is None:
            return
        closing = asyncio.get_running_loop().run_in_executor(thread, driver.close)
        await asyncio.shield(closing)
        _add(self._dropped, driver.counters)


def _stamped(
    read: Callable[[], Sequence[Seen]], boot_ms: Callable[[], int]
) -> Callable[[], tuple[int, Sequence[Seen]]]:
    """Tell the time in the thread that reads: the loop may be busy."""

    def stamped() -> tuple[int, Sequence[Seen]]:
        items = read()
        return boot_ms(), items

    return stamped


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count
