"""The ingester's connections against a real broker."""

import asyncio
import random

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from cloud.ingest.subscriber import BrokerAddress, Subscriber
from cloud.model.shards import ShardMap
from protocols.messages import Ack, ack_decoder
from protocols.topics import of
from tests.support.mosquitto import Mosquitto

ALL = ShardMap().groups["all"]


class Ear:
    """A subscriber and what it heard."""

    def __init__(self, port: int) -> None:
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.changed = asyncio.Event()
        self.subscriber = Subscriber(
            BrokerAddress(host="127.0.0.1", port=port),
            on_message=lambda topic, payload: self.heard.put_nowait((topic, payload)),
            on_change=self.changed.set,
            rng=random.Random(1),
        )
        self.subscriber.add(ALL)

    async def until(self, ready: bool) -> None:
        """Wait for readiness, or for its end."""
        async with asyncio.timeout(20):
            while self.subscriber.ready()[0] != ready:
                self.changed.clear()
                await self.changed.wait()


def _device(port: int) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gw-1")
    client.connect("127.0.0.1", port)
    return client


async def test_subscriber_hears_both_streams_and_state(mosquitto: Mosquitto) -> None:
    ear = Ear(mosquitto.port)
    task = asyncio.create_task(ear.subscriber.run())
    await ear.until(True)
    device = _device(mosquitto.port)
    device.loop_start()
    for leaf in ("state", "up/alarm", "up/data"):
        device.publish(of("gw-1", leaf), leaf.encode(), 1)
    heard = {await asyncio.wait_for(ear.heard.get(), 5) for _ in range(3)}
    assert heard == {(of("gw-1", leaf), leaf.encode()) for leaf in ("state", "up/alarm", "up/data")}
    device.disconnect()
    device.loop_stop()
    task.cancel()
    await asyncio.wait([task])


async def test_subscriber_comes_back_after_broker_killed(mosquitto: Mosquitto) -> None:
    ear = Ear(mosquitto.port)
    task = asyncio.create_task(ear.subscriber.run())
    await ear.until(True)
    mosquitto.kill()
    await ear.until(False)
    assert "alarm" in ear.subscriber.ready()[1]
    mosquitto.start()
    await ear.until(True)
    task.cancel()
    await asyncio.wait([task])


async def test_send_ack_reaches_the_gateway(mosquitto: Mosquitto) -> None:
    ear = Ear(mosquitto.port)
    task = asyncio.create_task(ear.subscriber.run())
    await ear.until(True)
    device, loop = _device(mosquitto.port), asyncio.get_running_loop()
    got: asyncio.Future[bytes] = loop.create_future()
    granted = asyncio.Event()

    def on_subscribe(*_: object) -> None:
        loop.call_soon_threadsafe(granted.set)

    def on_message(_client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        loop.call_soon_threadsafe(got.set_result, bytes(message.payload))

    device.on_subscribe, device.on_message = on_subscribe, on_message
    device.loop_start()
    device.subscribe(of("gw-1", "down/ack"), 0)
    await asyncio.wait_for(granted.wait(), 5)
    ack = Ack(spool="a" * 32, stream="data", through=3, time=5, backlog_bytes_s=7)
    ear.subscriber.send_ack("gw-1", ack)
    assert ack_decoder.decode(await asyncio.wait_for(got, 5)) == ack
    device.disconnect()
    device.loop_stop()
    task.cancel()
    await asyncio.wait([task])


async def test_add_and_remove_a_group_while_connected(mosquitto: Mosquitto) -> None:
    ear, shards = Ear(mosquitto.port), ShardMap(4)
    ear.subscriber.remove(ALL)
    task = asyncio.create_task(ear.subscriber.run())
    await ear.until(True)
    mine = shards.groups[shards.of_gateway("gw-1")]
    other = next(group for group in shards.groups.values() if group is not mine)
    device = _device(mosquitto.port)
    device.loop_start()
    for group in (other, mine):
        ear.subscriber.add(group)
    async with asyncio.timeout(5):
        while not (ear.subscriber.hears(mine) and ear.subscriber.hears(other)):
            await asyncio.sleep(0.01)
    device.publish(of("gw-1", "up/alarm"), b"heard", 1)
    assert await asyncio.wait_for(ear.heard.get(), 5) == (of("gw-1", "up/alarm"), b"heard")
    ear.subscriber.remove(mine)
    await asyncio.sleep(0.2)
    device.publish(of("gw-1", "up/alarm"), b"not heard", 1)
    await asyncio.sleep(0.2)
    assert ear.heard.empty()
    assert ear.subscriber.ready()[0]
    device.disconnect()
    device.loop_stop()
    task.cancel()
    await asyncio.wait([task])
