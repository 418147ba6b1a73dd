"""Items for panels by MQTT: each change, and what of an emergency is so now, kept by the broker.

An item counts as taken at the PUBACK of all that was published for it. On each new connection all
that is open is published again, so a broker that lost its memory shows it within seconds.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from msgspec import Struct
from paho.mqtt.enums import CallbackAPIVersion

from cloud.feed.items import Item
from cloud.feed.receivers.base import TAKEN, Destination, Opens, Outcome
from cloud.feed.receivers.calls import message_id
from cloud.model.receiver import broker_of
from protocols.clock import Clock, iso
from protocols.errors import RetryLater
from protocols.paho_loop import PahoLoop
from protocols.topics import ROOT

PANELS = f"{ROOT}/panels"
ANSWER_S = 10.0
KEEPALIVE_S = 20
CHECK_S = 5.0
"""So often it is looked whether the connection holds while something is open."""
Locate = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> addresses that may be called; RefuseInput, RetryLater."""


class Broker(Struct, frozen=True, kw_only=True):
    """Where a broker is and who we are there."""

    host: str
    port: int
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str = ""
    password: str = ""
    own: bool = False
    """The service's own, which the site named itself."""


class _Client(mqtt.Client):
    """Connects to the address that was checked; who it must be is still said by the name."""

    pinned: str = ""

    def _create_socket_connection(self) -> socket.socket:
        where = (self.pinned or self._host, self._port)
        return socket.create_connection(where, timeout=self._connect_timeout)


class PanelSender:
    """Publishes below `suyuan/v1/panels/{key}`: `event`, `alarm/{id}`, `incident/{id}`."""

    batch = False

    def __init__(
        self, to: Destination, clock: Clock, *, opens: Opens, own: Broker, locate: Locate
    ) -> None:
        self._to, self._clock, self._opens, self._locate = to, clock, opens, locate
        self._broker = broker_to(to, own)
        self._root = f"{PANELS}/{to.receiver.key}"
        self._client: _Client | None = None
        self._link: PahoLoop | None = None
        self._greeted = asyncio.Event()
        self._lost = "not connected yet"
        self._acks: dict[int, asyncio.Future[None]] = {}
        self.keep_s: float | None = CHECK_S

    async def send(self, items: Sequence[Item]) -> Outcome:
        """Publish one change, and how its thing stands."""
        (item,) = items
        await self._connected()
        told = [self._publish(f"{self._root}/event", self._payload(item))]
        if item.urgent:
            told.append(self._stand(item))
        await self._taken(told)
        return TAKEN

    async def keep(self) -> Outcome:
        """Come back when the connection was lost: that publishes what is open."""
        await self._connected()
        return TAKEN

    async def test(self) -> Outcome:
        """Publish a test."""
        await self._connected()
        payload = {"event": "test", "id": f"msg_{self._to.receiver.key}_test"}
        payload |= {"at": iso(self._clock.wall_ms())}
        await self._taken([self._publish(f"{self._root}/event", msgspec.json.encode(payload))])
        return TAKEN

    async def close(self) -> None:
        """Let the connection go."""
        link, self._link, self._client = self._link, None, None
        if link is not None:
            await link.disconnect()

    def _stand(self, item: Item) -> asyncio.Future[None]:
        """Publish how a thing stands; of one that ended, that there is nothing any more."""
        payload = b"" if item.ended else self._payload(item)
        topic = f"{self._root}/{item.event}/{item.about.id}"
        return self._publish(topic, payload, retain=True)

    def _payload(self, item: Item) -> bytes:
        return msgspec.json.encode(
            {
                "id": message_id(self._to.receiver, item),
                "offset": item.offset,
                "event": item.event,
                "data": msgspec.Raw(item.data.encode()),
            }
        )

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> asyncio.Future[None]:
        assert self._client is not None  # noqa: S101  # as `_connected` made sure
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        info = self._client.publish(topic, payload, 1, retain=retain)
        if info.rc:
            done.set_exception(RetryLater("the connection to the broker was lost"))
        else:
            self._acks[info.mid] = done
        return done

    async def _taken(self, told: Sequence[asyncio.Future[None]]) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                await asyncio.gather(*told)
        except TimeoutError:
            await self.close()
            raise RetryLater(
                f"{self._broker.host} did not acknowledge within {ANSWER_S:g} s"
            ) from None

    async def _connected(self) -> None:
        if self._client is not None and not self._lost:
            return
        await self.close()
        broker = self._broker
        found = [""] if broker.own else await self._locate(broker.host, broker.port)
        client = self._make_client(found[0])
        self._link = PahoLoop(
            client,
            host=broker.host,
            port=broker.port,
            keepalive_s=KEEPALIVE_S,
            on_lost=self._on_lost,
        )
        self._greeted, self._lost, self._client = asyncio.Event(), "", client
        try:
            await self._greet()
            standing = [one.item for one in self._opens().values() if one.item.urgent]
            await self._taken([self._stand(one) for one in standing])
        except RetryLater:
            await self.close()
            raise

    async def _greet(self) -> None:
        """Connect and wait for the broker's word."""
        assert self._link is not None  # noqa: S101  # as `_connected` made it
        await self._link.connect()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._greeted.wait()
        except TimeoutError:
            raise RetryLater(f"{self._broker.host} did not greet within {ANSWER_S:g} s") from None
        if self._lost:
            raise RetryLater(self._lost)

    def _make_client(self, address: str) -> _Client:
        broker = self._broker
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"suyuan-panels-{self._to.receiver.key}",
            protocol=mqtt.MQTTv311,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.pinned = address
        client.max_inflight_messages_set(0)
        if broker.username:
            client.username_pw_set(broker.username, broker.password)
        if broker.tls:
            client.tls_set(broker.ca_file, broker.cert_file, broker.key_file)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        return client

    def _on_connect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            self._lost = f"refused by the broker: {reason}"
        self._greeted.set()

    def _on_publish(self, _c: Any, _u: Any, mid: int, reason: Any, _p: Any) -> None:
        done = self._acks.pop(mid, None)
        if done is None or done.done():
            return
        if reason.is_failure:
            done.set_exception(RetryLater(f"refused by the broker: {reason}"))
        else:
            done.set_result(None)

    def _on_lost(self, reason: str) -> None:
        self._lost = reason
        self._greeted.set()
        waiting, self._acks = self._acks, {}
        for done in waiting.values():
            if not done.done():
                done.set_exception(RetryLater(reason))


def broker_to(to: Destination, own: Broker) -> Broker:
    """Return a receiver's broker; without an address the service's own."""
    if not to.receiver.address:
        return own
    host, port, tls = broker_of(to.receiver.address)
    return Broker(
        host=host,
        port=port,
        tls=tls,
        ca_file=own.ca_file if own.host == host else None,
        username=to.receiver.options.username,
        password=to.password,
    )
