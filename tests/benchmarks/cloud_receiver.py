"""The raw limit: one process that receives the same batches and decodes them, and nothing more.

paho on the event loop like the service, PUBACK at once, one msgspec pass over every record.
"""

import asyncio
import signal
from typing import Annotated, Any

import msgspec
import paho.mqtt.client as mqtt
import typer
import uvloop
from paho.mqtt.enums import CallbackAPIVersion

from protocols.paho_loop import PahoLoop
from protocols.records import Record
from tests.benchmarks.rig import say


class Whole(msgspec.Struct):
    """An envelope, its records decoded with it."""

    seq: int
    records: list[Record]


async def receive(port: int) -> None:
    """Receive until SIGTERM."""
    decoder, stop = msgspec.json.Decoder(Whole), asyncio.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="raw-limit")

    def on_message(_client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        decoder.decode(message.payload)

    client.on_message = on_message
    client.on_connect = lambda c, *_: c.subscribe("suyuan/v1/+/+/up/data", 1)
    client.on_subscribe = lambda *_: say("ready")
    link = PahoLoop(client, host="127.0.0.1", port=port, on_lost=lambda _why: stop.set())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await link.connect()
    await stop.wait()
    await link.disconnect()


def main(port: Annotated[int, typer.Option()]) -> None:
    """Receive and decode until SIGTERM."""
    uvloop.run(receive(port))


if __name__ == "__main__":
    typer.run(main)
