"""The MQTT link against a real mosquitto, plain and with certificates."""

import asyncio
import os
import pwd
import random
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.settings import Uplink
from edge.uplink.backoff import Backoff
from edge.uplink.mqtt import Events, MqttLink
from protocols.messages import State
from protocols.paho_loop import PahoLoop
from protocols.topics import of
from tests.support.certificates import issue, make_authority
from tests.support.mosquitto import MOSQUITTO, Mosquitto, free_port, wait_for_port

T = TypeVar("T")
GATEWAY = "gw-1"
YEAR_2100_MS = 4_102_444_800_000


@pytest.fixture(autouse=True)
def quick_first_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.uplink.backoff.FIRST_S", 0.05)


class Heard:
    """What the link tells."""

    def __init__(self) -> None:
        self.ups = self.downs = 0
        self.acks: list[bytes] = []
        self.commands: list[bytes] = []
        self.configs: list[bytes] = []
        self.pubacks: list[int] = []
        self.changed = asyncio.Event()
        self.events = Events(
            up=self._up,
            down=self._down,
            ack=lambda payload: self._add(self.acks, payload),
            command=lambda payload: self._add(self.commands, payload),
            config=lambda payload: self._add(self.configs, payload),
            puback=lambda mid: self._add(self.pubacks, mid),
        )

    def _up(self) -> None:
        self.ups += 1
        self.changed.set()

    def _down(self) -> None:
        self.downs += 1
        self.changed.set()

    def _add(self, items: list[T], item: T) -> None:
        items.append(item)
        self.changed.set()

    async def until(self, check: Callable[[], Any], timeout_s: float = 10) -> None:
        async with asyncio.timeout(timeout_s):
            while not check():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def linked(
    uplink: Uplink, *, floor_ms: int | None = None, urgent: bool = False
) -> AsyncIterator[tuple[MqttLink, Heard]]:
    """Run a link for the length of a block."""
    heard = Heard()
    link = MqttLink(
        uplink,
        gateway_id=GATEWAY,
        state=State(online=True, boot_id="boot-1", version="1"),
        password=None,
        events=heard.events,
        floor_ms=lambda: floor_ms,
        urgent=lambda: urgent,
        rng=random.Random(3),
    )
    task = asyncio.create_task(link.run())
    try:
        yield link, heard
    finally:
        await link.say_goodbye()
        task.cancel()
        await asyncio.wait([task])


class Watcher:
    """A plain client beside the link."""

    def __init__(self, port: int, topic: str) -> None:
        self.got: asyncio.Queue[mqtt.MQTTMessage] = asyncio.Queue()
        self._ready = asyncio.Event()
        self._topic = topic
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="watcher")
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = lambda _c, _u, message: self.got.put_nowait(message)
        self.link = PahoLoop(self.client, host="127.0.0.1", port=port, on_lost=lambda _: None)

    def _connected(self, *_: Any) -> None:
        self.client.subscribe(self._topic, 1)

    async def start(self) -> "Watcher":
        await self.link.connect()
        await asyncio.wait_for(self._ready.wait(), 5)
        return self

    async def next(self) -> mqtt.MQTTMessage:
        return await asyncio.wait_for(self.got.get(), 10)


def plain(port: int) -> Uplink:
    return Uplink(broker=f"mqtt://127.0.0.1:{port}")


async def test_state_is_retained_and_published_after_the_subscription(
    mosquitto: Mosquitto,
) -> None:
    async with linked(plain(mosquitto.port)) as (link, heard):
        await heard.until(lambda: heard.ups)
        watcher = await Watcher(mosquitto.port, of(GATEWAY, "state")).start()
        message = await watcher.next()
        assert message.retain
        assert msgspec.json.decode(message.payload) == {
            "online": True,
            "boot_id": "boot-1",
            "version": "1",
        }
        watcher.client.publish(of(GATEWAY, "down/ack"), b"a", 0)
        watcher.client.publish(of(GATEWAY, "down/command"), b"c", 1)
        watcher.client.publish(of("gw-2", "down/command"), b"x", 1)
        await heard.until(lambda: heard.acks and heard.commands)
        assert (heard.acks, heard.commands) == ([b"a"], [b"c"])
        mid = link.publish("up/data", b"x")
        await heard.until(lambda: mid in heard.pubacks)
    gone = await watcher.next()
    assert msgspec.json.decode(gone.payload) == {"online": False, "boot_id": "boot-1"}
    await watcher.link.disconnect()


async def test_will_tells_of_a_gateway_that_was_cut_off(mosquitto: Mosquitto) -> None:
    async with linked(plain(mosquitto.port)) as (link, heard):
        await heard.until(lambda: heard.ups)
        watcher = await Watcher(mosquitto.port, of(GATEWAY, "state")).start()
        await watcher.next()
        assert link._client is not None
        sock = link._client.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)  # no DISCONNECT goes out, as at a kill
        will = await watcher.next()
        assert msgspec.json.decode(will.payload) == {"online": False, "boot_id": "boot-1"}
        await watcher.link.disconnect()


async def test_link_comes_back_after_the_broker(mosquitto: Mosquitto) -> None:
    async with linked(plain(mosquitto.port)) as (link, heard):
        for number in (1, 2):
            await heard.until(lambda number=number: heard.ups == number)  # type: ignore[misc]
            mosquitto.kill()
            await heard.until(lambda number=number: heard.downs == number)  # type: ignore[misc]
            assert link.publish("up/data", b"x") is None
            mosquitto.start()
        await heard.until(lambda: heard.ups == 3)
        assert link.counters["connections_lost"] == 2


async def test_waiting_alarm_makes_retries_short(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.uplink.backoff.FIRST_S", 3600)
    monkeypatch.setattr("edge.uplink.backoff.MAX_S", 3600)
    async with linked(plain(mosquitto.port), urgent=True) as (_, heard):
        await heard.until(lambda: heard.ups, 3)


async def test_nobody_listens_says_why() -> None:
    async with linked(plain(free_port())) as (link, _):
        async with asyncio.timeout(5):
            while not link.counters["connects_failed"]:
                await asyncio.sleep(0.01)
        assert "127.0.0.1" in link.why


def test_backoff_first_within_two_seconds_then_doubling_to_sixty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.uplink.backoff.FIRST_S", 2.0)
    backoff = Backoff(random.Random(1))
    waits = [backoff.next_s() for _ in range(12)]
    assert 0 <= waits[0] <= 2
    for index, wait in enumerate(waits[1:], 1):
        longest = min(60, 2 * 2**index)
        assert longest / 2 <= wait <= longest
    backoff.reset()
    assert backoff.next_s() <= 2


class TlsBroker:
    """mosquitto that asks for certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        make_authority(folder)
        for name in ("server", GATEWAY, "watcher"):
            issue(folder, name)
        user = pwd.getpwuid(os.getuid()).pw_name
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
            f"cafile {folder}/ca.crt\ncertfile {folder}/server.crt\n"
            f"keyfile {folder}/server.key\nrequire_certificate true\nuser {user}\n"
        )
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port, self.process)

    def uplink(self, name: str = GATEWAY) -> Uplink:
        return Uplink(
            broker=f"mqtts://127.0.0.1:{self.port}",
            ca_file=str(self.folder / "ca.crt"),
            cert_file=str(self.folder / f"{name}.crt"),
            key_file=str(self.folder / f"{name}.key"),
        )


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[TlsBroker]:
    if not Path(MOSQUITTO).exists() or shutil.which("openssl") is None:
        pytest.skip("mosquitto or openssl is not installed")
    broker = TlsBroker(tmp_path)
    yield broker
    broker.process.terminate()
    broker.process.wait(10)


async def test_tls_many_messages_arrive_without_waiting_for_the_next(tls: TlsBroker) -> None:
    async with linked(tls.uplink()) as (link, heard):
        await heard.until(lambda: heard.ups)
        assert link._client is not None
        for number in range(200):  # they come back in a few TLS records
            link._client.publish(of(GATEWAY, "down/ack"), b"%d" % number, 0)
        await heard.until(lambda: len(heard.acks) == 200, 3)
        mids = {link.publish("up/data", os.urandom(50_000)) for _ in range(20)}
        await heard.until(lambda: mids <= set(heard.pubacks), 5)


async def test_tls_without_a_clock_checks_dates_against_what_is_known(tls: TlsBroker) -> None:
    async with linked(tls.uplink(), floor_ms=1_761_955_200_000) as (_, heard):
        await heard.until(lambda: heard.ups)
    async with linked(tls.uplink(), floor_ms=YEAR_2100_MS) as (link, heard):
        async with asyncio.timeout(5):
            while not link.counters["connects_failed"]:
                await asyncio.sleep(0.01)
        assert "certificate ended" in link.why
        assert heard.ups == 0


async def test_tls_missing_files_are_named_and_tried_again(tls: TlsBroker) -> None:
    async with linked(tls.uplink("nobody")) as (link, heard):
        async with asyncio.timeout(5):
            while not link.counters["connects_failed"]:
                await asyncio.sleep(0.01)
        assert "nobody.crt" in link.why
        for suffix in (".crt", ".key"):
            shutil.copy(tls.folder / f"{GATEWAY}{suffix}", tls.folder / f"nobody{suffix}")
        await heard.until(lambda: heard.ups, 10)


async def _why(link: MqttLink) -> str:
    async with asyncio.timeout(5):
        while not link.counters["connects_failed"]:
            await asyncio.sleep(0.01)
    return link.why


async def test_tls_refused_certificate_tells_what_to_do(tls: TlsBroker, tmp_path: Path) -> None:
    """With TLS 1.3 the refusal comes after the handshake, without a word from the library."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    make_authority(foreign)
    issue(foreign, GATEWAY)
    uplink = msgspec.structs.replace(
        tls.uplink(),
        cert_file=str(foreign / f"{GATEWAY}.crt"),
        key_file=str(foreign / f"{GATEWAY}.key"),
    )
    async with linked(uplink) as (link, _):
        assert "another site" in await _why(link)
    async with linked(msgspec.structs.replace(uplink, cert_file=None, key_file=None)) as (link, _):
        assert "this gateway has none" in await _why(link)


# paho leaves the socket of a failed handshake to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_tls_foreign_broker_is_named_as_such(tls: TlsBroker, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    make_authority(foreign)
    other = msgspec.structs.replace(tls.uplink(), ca_file=str(foreign / "ca.crt"))
    async with linked(other) as (link, _):
        assert "not of the authority that this gateway knows" in await _why(link)


async def test_tls_certificate_of_another_name_is_not_used(tls: TlsBroker) -> None:
    async with linked(tls.uplink("watcher")) as (link, _):
        assert f"is of CN=watcher, but this gateway is {GATEWAY}" in await _why(link)


async def test_reconnect_leaves_without_a_will_and_comes_back(mosquitto: Mosquitto) -> None:
    async with linked(plain(mosquitto.port)) as (link, heard):
        await heard.until(lambda: heard.ups)
        watcher = await Watcher(mosquitto.port, of(GATEWAY, "state")).start()
        link.reconnect()
        await heard.until(lambda: heard.ups == 2)
        states = [msgspec.json.decode((await watcher.next()).payload) for _ in range(2)]
        assert [one["online"] for one in states] == [True, True]
        await watcher.link.disconnect()
