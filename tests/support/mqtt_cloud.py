"""The model cloud on a real broker, on the test's own event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from protocols.clock import Clock, SystemClock
from protocols.messages import Ack, Command, State, state_decoder
from protocols.paho_loop import PahoLoop
from protocols.records import Record
from protocols.topics import of, parse
from tests.support.model_cloud import ModelCloud


class MqttCloud:
    """Subscribes, commits at once, acknowledges, greets."""

    def __init__(
        self,
        port: int,
        gateway_id: str,
        clock: Clock | None = None,
        model: ModelCloud | None = None,
    ) -> None:
        self.model = model or ModelCloud(clock or SystemClock())
        self.states: list[State] = []
        self.deaf = False
        """True: acks are not sent."""
        self._gateway_id = gateway_id
        self._changed = asyncio.Event()
        self._ready = asyncio.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"cloud-{gateway_id}")
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._message
        self._link = PahoLoop(self._client, host="127.0.0.1", port=port, on_lost=lambda _: None)

    async def start(self) -> None:
        """Connect and subscribe."""
        self._ready.clear()
        await self._link.connect()
        await asyncio.wait_for(self._ready.wait(), 5)

    async def stop(self) -> None:
        """Disconnect."""
        await self._link.disconnect()

    async def until(self, check: Callable[[], Any], timeout_s: float = 10) -> None:
        """Wait until `check` is true; it is asked after each message."""
        async with asyncio.timeout(timeout_s):
            while not check():
                self._changed.clear()
                await self._changed.wait()

    def records(self) -> list[Record]:
        """Return all records received, in order."""
        return [record for _, one in self.model.received for record in one.records]

    def order(self, command: Command | bytes) -> None:
        """Send a command."""
        payload = command if isinstance(command, bytes) else msgspec.json.encode(command)
        self._client.publish(of(self._gateway_id, "down/command"), payload, 1)

    def send(self, acks: list[Ack]) -> None:
        """Publish acks."""
        for ack in acks:
            if not self.deaf:
                topic = of(self._gateway_id, "down/ack")
                self._client.publish(topic, msgspec.json.encode(ack), 0)

    def _connected(self, *_: Any) -> None:
        leaves = ("up/alarm", "up/data", "state")
        self._client.subscribe([(of(self._gateway_id, leaf), 1) for leaf in leaves])

    def _message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        topic = parse(message.topic)
        if topic.leaf == "state":
            state = state_decoder.decode(message.payload)
            self.states.append(state)
            if state.online:
                self.send(self.model.greet())
        else:
            self.model.take("alarm" if topic.leaf == "up/alarm" else "data", bytes(message.payload))
            self.send(self.model.commit())
        self._changed.set()
