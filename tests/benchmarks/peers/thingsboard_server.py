"""The server that thingsboard-gateway talks to, as far as it asks: answers, and counts what came.

A process of its own. Prints a line of JSON when it listens, and its counts at each line of input.
"""

import json
import sys
from typing import Annotated, Any

import msgspec
import paho.mqtt.client as mqtt
import typer
from paho.mqtt.enums import CallbackAPIVersion

from tests.benchmarks.rig import say

SESSION_LIMITS = {"maxPayloadSize": 65_536, "maxInflightMessages": 1000, "rateLimits": {}}
"""The gateway sends nothing before it has these."""


class Moment(msgspec.Struct):
    """The values of one poll."""

    values: dict[str, msgspec.Raw]


class Server:
    """Counts of what was delivered; written by paho's thread alone."""

    def __init__(self, client: mqtt.Client) -> None:
        self.polls = self.values = 0
        self._telemetry = msgspec.json.Decoder(dict[str, list[Moment]])
        client.on_message = self._on_message

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        topic = message.topic
        if topic == "v1/gateway/telemetry":
            for moments in self._telemetry.decode(message.payload).values():
                self.polls += len(moments)
                self.values += sum(len(moment.values) for moment in moments)
        elif topic.startswith("v1/devices/me/rpc/request/"):
            client.publish(topic.replace("request", "response"), json.dumps(SESSION_LIMITS), 1)
        elif topic.startswith("v1/devices/me/attributes/request/"):
            client.publish(topic.replace("request", "response"), "{}", 1)
        elif topic == "v1/gateway/attributes/request":
            asked = json.loads(message.payload)
            answer = {"id": asked.get("id"), "device": asked.get("device"), "values": {}}
            client.publish("v1/gateway/attributes/response", json.dumps(answer), 1)


def main(port: Annotated[int, typer.Option(help="of the broker")]) -> None:
    """Answer and count until the input ends."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="server")
    server = Server(client)
    client.on_connect = lambda c, *_: c.subscribe([("v1/gateway/#", 1), ("v1/devices/me/#", 1)])
    client.on_subscribe = lambda *_: say({})
    client.connect("127.0.0.1", port)
    client.loop_start()
    for _line in sys.stdin:
        say({"polls": server.polls, "values": server.values})
    client.loop_stop()


if __name__ == "__main__":
    typer.run(main)
