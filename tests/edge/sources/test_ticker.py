"""Slots: who is due when, and what happens to those for whom the loop is late."""

import asyncio

import pytest

from edge.sources.ticker import Ticker, slots_for


class Polled:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.missed_polls = 0

    def due(self, now: float) -> None:
        self.times.append(now)

    def missed(self) -> None:
        self.missed_polls += 1


@pytest.mark.parametrize(("devices", "slots"), [(1, 1), (19, 1), (40, 2), (1000, 50), (5000, 50)])
def test_slots_grow_with_devices_up_to_fifty(devices: int, slots: int) -> None:
    assert slots_for(devices) == slots


async def test_polls_are_spread_over_the_period() -> None:
    ticker, polled = Ticker(), [Polled() for _ in range(100)]
    for one in polled:
        ticker.add(0.2, one)
    start = asyncio.get_running_loop().time()
    ticker.join()
    await asyncio.sleep(0.5)
    ticker.leave()
    first = sorted({round((one.times[0] - start) / 0.04) for one in polled})
    assert first == [0, 1, 2, 3, 4]
    assert all(2 <= len(one.times) <= 3 for one in polled)
    counted = [len(one.times) for one in polled]
    await asyncio.sleep(0.1)
    assert counted == [len(one.times) for one in polled], "it stops when all have left"


async def test_polls_of_a_late_loop_are_skipped_and_counted() -> None:
    ticker, polled = Ticker(), Polled()
    ticker.add(0.05, polled)
    ticker.join()
    await asyncio.sleep(0.02)
    import time

    time.sleep(0.5)
    await asyncio.sleep(0.01)
    ticker.leave()
    assert polled.missed_polls >= 8
    assert len(polled.times) <= 3


async def test_each_period_has_its_own_slots() -> None:
    ticker, fast, slow = Ticker(), Polled(), Polled()
    ticker.add(0.05, fast)
    ticker.add(0.25, slow)
    ticker.join()
    await asyncio.sleep(0.56)
    ticker.leave()
    assert len(slow.times) == 3
    assert 10 <= len(fast.times) <= 12
