"""What is used of paho's inside, held to against a real broker."""

import asyncio

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud.ingest.buffered import BufferedClient
from protocols.paho_loop import READS_MAX, PahoLoop
from tests.support.mosquitto import Mosquitto

MESSAGES = 10 * READS_MAX


async def test_a_burst_is_read_in_few_pieces_and_whole(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = list[int](), mqtt.Client._sock_recv

    def counted(client: mqtt.Client, size: int) -> bytes:
        reads.append(size)
        return read(client, size)

    monkeypatch.setattr(mqtt.Client, "_sock_recv", counted)
    client = BufferedClient(CallbackAPIVersion.VERSION2, client_id="reader")
    heard, granted, complete = list[bytes](), asyncio.Event(), asyncio.Event()

    def on_message(_client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        heard.append(bytes(message.payload))
        if len(heard) == MESSAGES:
            complete.set()

    client.on_message = on_message
    client.on_connect = lambda c, *_: c.subscribe("a/+", 1)
    client.on_subscribe = lambda *_: granted.set()
    link = PahoLoop(
        client,
        host="127.0.0.1",
        port=mosquitto.port,
        on_lost=lambda _: None,
        unread=client.unread,
    )
    await link.connect()
    await asyncio.wait_for(granted.wait(), 5)
    sender = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="sender")
    sender.connect("127.0.0.1", mosquitto.port)
    sent = [bytes([65 + number % 26]) * 700 * (1 + number % 3) for number in range(MESSAGES)]
    sender.loop_start()
    for payload in sent:
        sender.publish("a/b", payload, 1)
    await asyncio.wait_for(complete.wait(), 5)
    assert heard == sent
    assert len(reads) < 4 * MESSAGES  # a byte at a time it would be more
    sender.disconnect()
    sender.loop_stop()
    await link.disconnect()


async def test_packets_of_one_turn_go_out_in_one_piece_and_whole(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, send = list[int](), mqtt.Client._sock_send

    def counted(client: mqtt.Client, buf: bytes) -> int:
        sizes.append(len(buf))
        return send(client, buf)

    monkeypatch.setattr(mqtt.Client, "_sock_send", counted)
    client = BufferedClient(CallbackAPIVersion.VERSION2, client_id="speaker")
    heard, connected, complete = list[bytes](), asyncio.Event(), asyncio.Event()

    def on_message(_client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        heard.append(bytes(message.payload))
        if len(heard) == MESSAGES:
            complete.set()

    client.on_message = on_message
    client.on_connect = lambda c, *_: c.subscribe("a/+", 0)
    client.on_subscribe = lambda *_: connected.set()
    link = PahoLoop(
        client,
        host="127.0.0.1",
        port=mosquitto.port,
        on_lost=lambda _: None,
        unread=client.unread,
    )
    await link.connect()
    await asyncio.wait_for(connected.wait(), 5)
    sizes.clear()
    sent = [bytes([65 + number % 26]) * 9_000 for number in range(MESSAGES)]
    for payload in sent:
        client.publish("a/b", payload, 0)
    await asyncio.wait_for(complete.wait(), 5)
    assert heard == sent
    assert len(sizes) < MESSAGES
    await link.disconnect()
    assert sizes[-1] == 2  # DISCONNECT, so that the broker keeps the Will to itself


def test_what_an_ended_connection_left_is_forgotten() -> None:
    client = BufferedClient(CallbackAPIVersion.VERSION2)
    client._piece = client._gathered = b"half a packet"
    assert client.unread()
    assert client.want_write()
    client.forget()
    assert not client.unread()
    assert not client.want_write()
