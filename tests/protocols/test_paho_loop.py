"""The loop adaptor against a real broker."""

import asyncio

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from protocols.errors import RetryLater
from protocols.paho_loop import PahoLoop
from tests.support.mosquitto import Mosquitto, free_port


def _client() -> mqtt.Client:
    return mqtt.Client(CallbackAPIVersion.VERSION2, client_id="t")


async def test_connect_publishes_and_receives(mosquitto: Mosquitto) -> None:
    client, lost, ready = _client(), list[str](), asyncio.Event()
    got: asyncio.Queue[bytes] = asyncio.Queue()
    client.on_connect = lambda *_: ready.set()
    client.on_message = lambda _c, _u, message: got.put_nowait(bytes(message.payload))
    link = PahoLoop(client, host="127.0.0.1", port=mosquitto.port, on_lost=lost.append)
    await link.connect()
    await asyncio.wait_for(ready.wait(), 5)
    client.subscribe("a/b", 1)
    client.publish("a/b", b"x" * 200_000, 1)
    assert len(await asyncio.wait_for(got.get(), 5)) == 200_000
    await link.disconnect()
    assert lost == []


async def test_connect_again_after_broker_killed(mosquitto: Mosquitto) -> None:
    client, ready, gone = _client(), asyncio.Event(), asyncio.Event()
    client.on_connect = lambda *_: ready.set()
    link = PahoLoop(client, host="127.0.0.1", port=mosquitto.port, on_lost=lambda _: gone.set())
    for _ in range(3):
        await link.connect()
        await asyncio.wait_for(ready.wait(), 5)
        ready.clear()
        mosquitto.kill()
        await asyncio.wait_for(gone.wait(), 5)
        gone.clear()
        mosquitto.start()
    await link.connect()
    await asyncio.wait_for(ready.wait(), 5)
    await link.disconnect()


async def test_connect_nobody_listens() -> None:
    link = PahoLoop(_client(), host="127.0.0.1", port=free_port(), on_lost=lambda _: None)
    with pytest.raises(RetryLater, match=r"127\.0\.0\.1"):
        await link.connect()
