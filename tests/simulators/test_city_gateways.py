"""Gateways of a city: what is in flight, what is held back, and a broker that goes away."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from protocols.clock import SystemClock
from protocols.messages import Ack
from protocols.records import Readings
from simulators import city_gateways
from simulators.city_gateways import FLYING_MAX, RECORDS_MAX, Gateways, Line, names_of
from tests.support.mosquitto import MOSQUITTO, Mosquitto

SPOOL = "0" * 32


def reading(number: int) -> Readings:
    return Readings(asset=f"elevator:{number}", at=[number], values={"car_position": [number]})


def ack(through: int, *received: tuple[int, int]) -> Ack:
    return Ack(
        spool=SPOOL,
        stream="data",
        through=through,
        received=list(received),
        time=1,
        backlog_bytes_s=1,
    )


def test_batches_are_bounded_and_numbered() -> None:
    line = Line("data", SPOOL)
    assert line.batch() is None
    line.waiting.extend(reading(number) for number in range(RECORDS_MAX + 1))
    (first, _), second = line.batch() or (0, b""), line.batch()
    assert first == 1
    assert second is not None
    assert second[0] == 2
    assert not line.waiting


def test_what_an_ack_covers_is_forgotten_and_room_is_made() -> None:
    line = Line("data", SPOOL)
    line.flying = dict.fromkeys(range(1, FLYING_MAX + 1), (b"[]", 0.0))
    line.waiting.append(reading(1))
    assert line.batch() is None
    assert line.settle(ack(3, (6, 7))) == 5
    assert list(line.flying)[:4] == [4, 5, 8, 9]
    assert line.batch() is not None


def test_names_keep_their_order() -> None:
    assert names_of(["b", "a", "b"]) == ["b", "a"]


async def test_nothing_is_forgotten_while_the_broker_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    monkeypatch.setattr(city_gateways, "RESEND_S", 0.2)
    monkeypatch.setattr(city_gateways, "RECONNECT_S", 0.1)
    broker = Mosquitto(tmp_path)
    broker.start()
    one = Gateways(
        ["gw-1", "gw-2"], SystemClock(), random.Random(1), host="127.0.0.1", port=broker.port
    )
    mending = asyncio.create_task(one.mend())
    try:
        await one.connect()
        broker.kill()
        one.take("gw-1", "elevator:1", 5, {"message_code": ["90"]}, urgent=True)
        one.take("gw-2", "elevator:2", 5, {"car_position": 3}, urgent=False)
        for _ in range(20):
            one.send()
            await asyncio.sleep(0.01)
        broker.start()
        ends = time.monotonic() + 15
        while one.sent_again < 6 and time.monotonic() < ends:  # nobody settles: again and again
            one.send()
            await asyncio.sleep(0.02)
        assert one.sent_again >= 6
        assert (one.unsettled(), one.batches, one.lost) == (2, 2, 0)
    finally:
        mending.cancel()
        one.close()
        broker.kill()
