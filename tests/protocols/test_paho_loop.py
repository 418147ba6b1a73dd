"""The loop adaptor against a real broker."""

import asyncio
import socket

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


class DecryptedSocket:
    """A TLS socket that decrypted several packets at once: the kernel has nothing more."""

    def __init__(self) -> None:
        self.here, self.there = socket.socketpair()
        self.left = 3

    def pending(self) -> int:
        return self.left

    def fileno(self) -> int:
        return self.here.fileno()

    def setsockopt(self, *_: int) -> None:
        raise OSError("no TCP")


class DecryptedClient:
    """As much of a client as takes one packet a read."""

    def __init__(self, sock: DecryptedSocket) -> None:
        self._sock = sock
        self.reads = 0
        self.done = asyncio.Event()

    def connect(self, *_: object) -> None: ...

    def disconnect(self) -> None: ...

    def loop_write(self) -> None: ...

    def loop_misc(self) -> None: ...

    def want_write(self) -> bool:
        return False

    def socket(self) -> DecryptedSocket:
        return self._sock

    def loop_read(self) -> None:
        self._sock.here.recv(1, socket.MSG_DONTWAIT) if not self.reads else None
        self.reads += 1
        self._sock.left = max(0, self._sock.left - 1)
        if not self._sock.left:
            self.done.set()


async def test_what_tls_has_decrypted_is_read_at_once() -> None:
    sock = DecryptedSocket()
    client = DecryptedClient(sock)
    link = PahoLoop(client, host="h", port=1, on_lost=lambda _: None)  # type: ignore[arg-type]
    await link.connect()
    sock.there.send(b"x")
    await asyncio.wait_for(client.done.wait(), 2)
    assert client.reads == 3
    await link.disconnect()
    sock.here.close()
    sock.there.close()
