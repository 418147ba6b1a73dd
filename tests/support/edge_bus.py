"""A bus as the gateway runs it, and what it says."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from edge.decode.device import Decoders
from edge.settings import Bus, Device, Site, Uplink
from edge.sources.base import Sample
from edge.sources.bus import ModbusBus
from edge.sources.registry import build_sources
from protocols.catalog.point_map import Controller, PointMap
from protocols.clock import SystemClock
from protocols.readings import Value

BOARD = Controller(
    schema=1,
    id="board",
    kind="elevator",
    points=(
        PointMap(name="car_position", table="holding_register", address=0, type="uint16"),
        PointMap(name="load_percent", table="holding_register", address=1, type="uint16"),
        PointMap(
            name="message_code",
            table="holding_register",
            address=4,
            type="bitfield16",
            codes={0: "90", 1: "02"},
        ),
        PointMap(name="present_counter_value", table="holding_register", address=6, type="uint32"),
    ),
)


class Heard:
    """Everything that a source has said."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._news = asyncio.Event()

    def __call__(self, sample: Sample) -> None:
        self.samples.append(sample)
        self._news.set()

    def of(self, asset: str, stream: str | None = None) -> list[Sample]:
        """Return the samples of an asset."""
        return [one for one in self.samples if one.asset == asset and stream in (None, one.stream)]

    def latest(self, asset: str) -> dict[str, Value]:
        """Return the last value of each point."""
        return {name: value for one in self.of(asset) for name, value in one.values.items()}

    async def until(self, true: Callable[[], object], timeout_s: float = 10) -> None:
        """Wait until something that was said makes it true."""
        async with asyncio.timeout(timeout_s):
            while not true():
                self._news.clear()
                await self._news.wait()


def site(*buses: Bus) -> Site:
    """Return a site with these buses."""
    return Site(schema=1, gateway_id="gw", uplink=Uplink(broker="mqtt://x"), buses=buses)


def devices(count: int, period_s: float = 0.1, controller: str = "board") -> tuple[Device, ...]:
    """Return devices with units 1 to `count`."""
    return tuple(
        Device(
            asset=f"elevator:{unit}",
            controller=controller,
            unit_id=unit,
            poll_interval_s=period_s,
        )
        for unit in range(1, count + 1)
    )


@asynccontextmanager
async def running(
    *buses: Bus, controllers: Iterable[Controller] = (BOARD,)
) -> AsyncIterator[tuple[list[ModbusBus], Heard]]:
    """Run buses for a test."""
    heard = Heard()
    sources, faults = build_sources(
        site(*buses),
        {one.id: one for one in controllers},
        SystemClock(),
        random.Random(1),
        Decoders(),
    )
    assert not faults
    tasks = [asyncio.create_task(source.run(heard)) for source in sources]
    try:
        yield sources, heard
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
