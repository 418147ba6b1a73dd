"""Panels on a real broker: PUBACK, retained states, a broker that dies and forgets."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud.feed.receivers.base import OpenThing
from cloud.feed.receivers.panels import Broker, PanelSender, broker_to
from cloud.model.receiver import ReceiverOptions
from protocols.clock import ManualClock
from protocols.errors import RefuseInput, RetryLater
from tests.cloud.feed.receivers.test_calls import NOW_MS, item, to
from tests.support.feed_items import alarm_data
from tests.support.mosquitto import Mosquitto

ROOT = "suyuan/v1/panels/abc123"


class Panel:
    """What a panel sees: events, and states by topic."""

    def __init__(self, port: int) -> None:
        self.events: list[dict[str, Any]] = []
        self.states: dict[str, bytes] = {}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._heard
        self.client.on_connect = lambda c, *_: c.subscribe(f"{ROOT}/#", 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _heard(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        leaf = message.topic.removeprefix(f"{ROOT}/")
        if leaf == "event":
            self.events.append(json.loads(message.payload))
        else:
            self.states[leaf] = bytes(message.payload)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.01)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def sender(broker: Mosquitto, opens: dict[str, OpenThing]) -> PanelSender:
    own = Broker(host="127.0.0.1", port=broker.port, own=True)
    return PanelSender(to("", "mqtt"), ManualClock(), opens=lambda: opens, own=own, locate=nowhere)


async def nowhere(_host: str, _port: int) -> list[str]:
    raise RefuseInput("bad_address", "may not be called")


async def test_each_change_and_the_state_of_an_emergency_until_it_ends(
    mosquitto: Mosquitto,
) -> None:
    sending = sender(mosquitto, {})
    assert (await sending.send([item(1)])).ok
    assert (await sending.send([item(2, alarm_data(NOW_MS, 5, severity="warning"))])).ok
    panel = Panel(mosquitto.port)  # comes late: the state is there for it
    await panel.until(lambda: "alarm/1" in panel.states)
    told = json.loads(panel.states["alarm/1"])
    assert (told["id"], told["offset"], told["event"]) == ("msg_abc123_1", 1, "alarm")
    assert "alarm/5" not in panel.states
    assert (await sending.send([item(3, alarm_data(NOW_MS, state="normal"))])).ok
    await panel.until(lambda: panel.states.get("alarm/1") == b"")
    assert [one["offset"] for one in panel.events] == [3]
    await sending.test()
    await panel.until(lambda: len(panel.events) == 2)
    assert panel.events[-1]["event"] == "test"
    panel.close()
    late = Panel(mosquitto.port)
    await asyncio.sleep(0.1)
    assert late.states == {}
    late.close()
    await sending.close()


async def test_broker_that_dies_and_forgets_is_told_again_what_is_open(
    mosquitto: Mosquitto,
) -> None:
    opens: dict[str, OpenThing] = {}
    sending = sender(mosquitto, opens)
    assert (await sending.send([item(1)])).ok
    opens["alarm:1"] = OpenThing(about="alarm:1", item=item(1))
    mosquitto.kill()
    for _ in range(3):
        with pytest.raises(RetryLater):
            await sending.send([item(2)])
    mosquitto.start()
    panel = Panel(mosquitto.port)
    assert (await sending.keep()).ok
    await panel.until(lambda: "alarm/1" in panel.states)
    assert (await sending.send([item(2)])).ok
    await panel.until(lambda: [one["offset"] for one in panel.events] == [2])
    panel.close()
    await sending.close()


async def test_other_brokers_are_looked_up_by_the_rules_of_calling_out() -> None:
    where = to("mqtts://b.example.com", "mqtt", options=ReceiverOptions(username="u"), password="p")
    own = Broker(host="127.0.0.1", port=1883, own=True)
    broker = broker_to(where, own)
    assert (broker.host, broker.port, broker.tls) == ("b.example.com", 8883, True)
    assert (broker.username, broker.password, broker.own) == ("u", "p", False)
    sending = PanelSender(where, ManualClock(), opens=dict, own=own, locate=nowhere)
    with pytest.raises(RefuseInput, match="may not be called"):
        await sending.send([item(1)])
