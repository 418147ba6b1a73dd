"""The ingester's two MQTT connections: `alarm` with `state`, and `data`.

Two, so that an alarm never stands behind data in a broker's queue. Each message gets its PUBACK at
receipt: the gateway deletes a batch only on the application's ack, so the broker's word is for
flow control alone.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from cloud.ingest.buffered import BufferedClient
from cloud.model.shards import ShardGroup
from protocols.errors import RetryLater
from protocols.messages import Ack
from protocols.paho_loop import PahoLoop
from protocols.topics import ROOT, Stream, of

CONNACK_TIMEOUT_S = 10.0
RETRY_S = 0.5
"""There is one service to a broker, and what gateways say before it listens comes late."""
LEAVES: dict[Stream, tuple[str, ...]] = {"alarm": ("up/alarm", "state"), "data": ("up/data",)}
"""What each connection hears."""

OnMessage = Callable[[str, bytes], None]
"""(topic, payload), on the event loop."""


class BrokerAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is and who we are there."""

    host: str
    port: int
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password: str | None = None


class Subscription:
    """One connection that subscribes, stays up, and comes back when it was lost."""

    def __init__(
        self,
        name: Stream,
        address: BrokerAddress,
        *,
        on_message: OnMessage,
        on_change: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self.name = name
        self.ready = False
        """True from SUBACK on every filter until the connection is lost; a filter that is added
        later changes nothing."""
        self.why = "not connected yet"
        self._on_change, self._rng = on_change, rng
        self._lost = asyncio.Event()
        self._granted = asyncio.Event()
        self._connected = False
        self._filters: dict[str, list[str]] = {}
        self._asked: dict[int, str] = {}
        self._heard: set[str] = set()
        self._client = _client(f"suyuan-ingest-{name}-{rng.getrandbits(32):08x}", address)
        self._client.on_connect = self._on_connected
        self._client.on_subscribe = self._on_subscribed
        self._client.on_message = lambda _c, _u, m: on_message(m.topic, bytes(m.payload))
        self._link = PahoLoop(
            self._client,
            host=address.host,
            port=address.port,
            on_lost=self._on_lost,
            unread=self._client.unread,
        )

    async def run(self) -> None:
        """Stay subscribed until cancelled."""
        try:
            while True:
                try:
                    await self._connect()
                    await self._lost.wait()
                except (RetryLater, TimeoutError) as error:
                    self._set_ready(False, str(error) or "no answer from the broker")
                await asyncio.sleep(self._rng.uniform(RETRY_S / 2, RETRY_S))
        finally:
            await self._link.disconnect()

    async def _connect(self) -> None:
        self._lost.clear()
        self._granted.clear()
        self._client.forget()
        await self._link.connect()
        async with asyncio.timeout(CONNACK_TIMEOUT_S):
            await self._granted.wait()
        if not self.ready:
            raise RetryLater(self.why)

    def add(self, group: ShardGroup) -> None:
        """Hear a group's gateways, over this connection and all later ones."""
        self._filters[group.name] = _filters(self.name, group)
        if self._connected:
            self._subscribe(group.name)

    def remove(self, group: ShardGroup) -> None:
        """Hear a group's gateways no longer."""
        filters = self._filters.pop(group.name, None)
        self._heard.discard(group.name)
        if filters and self._connected:
            self._client.unsubscribe(filters)

    def hears(self, group: ShardGroup) -> bool:
        """Tell whether the broker has granted a group's filters."""
        return group.name in self._heard

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0; dropped while the connection is away."""
        if self.ready:
            self._client.publish(topic, payload, 0)

    def send(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Publish at QoS 1; False: the connection is away."""
        return self.ready and not self._client.publish(topic, payload, 1, retain=retain).rc

    def _on_connected(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            self._on_lost(f"refused by the broker: {reason}")
            return
        self._connected = True
        for name in self._filters:
            self._subscribe(name)
        self._see_if_ready()

    def _subscribe(self, name: str) -> None:
        _, mid = self._client.subscribe([(one, 1) for one in self._filters[name]])
        if mid is not None:
            self._asked[mid] = name

    def _on_subscribed(self, _c: Any, _u: Any, mid: int, reasons: Any, _p: Any) -> None:
        name = self._asked.pop(mid, None)
        if name in self._filters and not any(reason.is_failure for reason in reasons):
            self._heard.add(name)
            self._see_if_ready()

    def _see_if_ready(self) -> None:
        if self._heard >= self._filters.keys():
            self._granted.set()
            self._set_ready(True, "")

    def _on_lost(self, reason: str) -> None:
        self._connected = False
        self._heard.clear()
        self._asked.clear()
        self._set_ready(False, reason)
        self._lost.set()
        self._granted.set()  # whoever waits for it must look at `ready`

    def _set_ready(self, ready: bool, why: str) -> None:
        changed = ready != self.ready
        self.ready, self.why = ready, why
        if changed:
            self._on_change()


class Subscriber:
    """Both connections of an ingester; what they hear is said by `add`."""

    def __init__(
        self,
        address: BrokerAddress,
        *,
        on_message: OnMessage,
        on_change: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self._alarm = Subscription(
            "alarm", address, on_message=on_message, on_change=on_change, rng=rng
        )
        self._data = Subscription(
            "data", address, on_message=on_message, on_change=on_change, rng=rng
        )

    async def run(self) -> None:
        """Stay subscribed until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._alarm.run(), name="subscribe-alarm")
            group.create_task(self._data.run(), name="subscribe-data")

    def add(self, group: ShardGroup) -> None:
        """Hear a group's gateways from now on."""
        for one in (self._alarm, self._data):
            one.add(group)

    def remove(self, group: ShardGroup) -> None:
        """Hear a group's gateways no longer."""
        for one in (self._alarm, self._data):
            one.remove(group)

    def hears(self, group: ShardGroup) -> bool:
        """Tell whether both streams of a group are heard."""
        return self._alarm.hears(group) and self._data.hears(group)

    def ready(self) -> tuple[bool, str]:
        """Tell whether every filter is granted, and if not, why."""
        why = [f"{one.name}: {one.why}" for one in (self._alarm, self._data) if not one.ready]
        return not why, "; ".join(why)

    def send_ack(self, gateway: str, ack: Ack) -> None:
        """Publish an ack on the connection of its stream; a lost one costs a duplicate."""
        link = self._alarm if ack.stream == "alarm" else self._data
        link.publish(of(gateway, "down/ack"), msgspec.json.encode(ack))

    def send(self, topic: str, payload: bytes, retain: bool) -> bool:
        """Publish at QoS 1 to a gateway; False: the connection is away."""
        return self._alarm.send(topic, payload, retain=retain)


def _filters(stream: Stream, group: ShardGroup) -> list[str]:
    shards = ["+"] if group.whole else group.shards
    return [f"{ROOT}/{shard}/+/{leaf}" for shard in shards for leaf in LEAVES[stream]]


def _client(client_id: str, address: BrokerAddress) -> BufferedClient:
    client = BufferedClient(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=mqtt.MQTTv311,
        clean_session=True,
        reconnect_on_failure=False,
    )
    client.max_queued_messages_set(0)
    if address.username:
        client.username_pw_set(address.username, address.password)
    if address.tls:
        client.tls_set(address.ca_file, address.cert_file, address.key_file)
    return client
