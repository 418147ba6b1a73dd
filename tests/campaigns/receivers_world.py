"""Receivers of every kind that fail in turns, and the process that delivers to them."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from cryptography.fernet import Fernet
from paho.mqtt.enums import CallbackAPIVersion

from cloud.access.second_factor import KEY_FILE
from cloud.feed.receivers.book import ReceiverBook
from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.granting import grant
from cloud.model.receiver import ReceiverBody, ReceiverOptions
from cloud.roles.trace_delivery import WebhookSeal
from protocols.clock import SystemClock
from tests.support.delivery_process import HOST
from tests.support.feed_items import FeedWriter
from tests.support.firms import ROOT
from tests.support.http_sink import Sink, Way, http_sink
from tests.support.mosquitto import Mosquitto
from tests.support.receivers import FakeSender, any_host
from tests.support.smtp import MailServer, mail_server

WAYS: tuple[Way, ...] = (
    *("hang", "redirect", "500", "503", "429", "422", "cut", "half", "slow", "garbage"),
)
HTTP = ("webhook", "signed", "cap", "alertmanager")
ADDRESS = "127.0.0.1"
DAY_S = 17.0
"""A day on the campaign's schedule, which is 5,000 times as quick as the shipped one."""
TERMS = """\
schema = 1
pauses_s = [0.001, 0.06, 0.36, 1.44, 3.6, 7.2, 10, 14.4, 17.3]
urgent_pauses_s = [0.01, 0.02, 0.05, 0.1]
jitter = 0.2
give_up_s = 54.4
retry_after_max_s = 0.2
"""
SETTINGS = """\
base_url = "https://city.test"
rules_overlay = "{folder}/overlay"
[outbound]
allowed = ["127.0.0.1", "hook.test"]
ports = [{ports}]
timeout_s = 0.3
[mail]
host = "127.0.0.1"
port = {mail}
security = "none"
sender = "suyuan@city.test"
timeout_s = 2
"""


class Panel:
    """A panel that keeps what it heard."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.states: dict[str, bytes] = {}
        self._client: mqtt.Client | None = None

    def listen(self, port: int) -> None:
        """Connect, and connect again by itself."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="panel", clean_session=False)
        client.on_message = self._heard
        client.on_connect = lambda c, *_: c.subscribe("suyuan/v1/panels/#", 1)
        client.reconnect_delay_set(1, 1)
        client.connect(ADDRESS, port)
        client.loop_start()
        self._client = client

    def _heard(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        leaf = message.topic.split("/", 4)[4]
        if leaf == "event":
            self.taken.append(json.loads(message.payload))
        else:
            self.states[leaf] = bytes(message.payload)

    def close(self) -> None:
        """Stop listening."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()


class World:
    """Database, receivers, broker, mail server, and the process that delivers."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng, self.clock = folder, rng, SystemClock()
        self.sinks: dict[str, Sink] = {}
        self.mail = MailServer()
        self.broker = Mosquitto(folder / "broker", persistence=True)
        self.panel = Panel()
        self.secrets: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.ids: dict[str, int] = {}
        self.faults = Counter[str]()
        """Made on purpose, by their kind."""
        self.kills = 0
        self._process: subprocess.Popen[bytes] | None = None
        (folder / KEY_FILE).write_bytes(Fernet.generate_key())
        for name in ("state", "log"):
            database = Database(f"sqlite:///{folder / f'{name}.db'}", name=name)
            migrate(database.engine, name)
            database.close()
        self.database = Database(f"sqlite:///{folder / 'state.db'}", name="state")
        self.write = FeedWriter(self.database, self.clock)
        self.granted = grant(ROOT, "receivers.write")
        self.book = ReceiverBook(
            self.database,
            self.clock,
            check_url=_any_url,
            check_host=any_host,
            seal=WebhookSeal(folder / KEY_FILE),
            mail=True,
            make_sender=FakeSender,
            apply=lambda _connection, _transitions: None,
            on_commit=lambda: None,
        )

    async def set_up(self) -> None:
        """Write the settings, and ask for every kind of receiver."""
        overlay = self.folder / "overlay" / "receivers"
        overlay.mkdir(parents=True)
        (overlay / "terms.toml").write_text(TERMS)
        ports = ", ".join(str(sink.port) for sink in self.sinks.values())
        settings = SETTINGS.format(folder=self.folder, ports=ports, mail=self.mail.port)
        (self.folder / "cloud.toml").write_text(settings)
        url = {name: f"http://{HOST}:{sink.port}/{name}" for name, sink in self.sinks.items()}
        quick = ReceiverOptions(resend_s=5, mails_an_hour=600)
        bodies = {
            "webhook": ReceiverBody(name="webhook", kind="webhook", address=url["webhook"]),
            "signed": ReceiverBody(
                name="signed",
                kind="webhook",
                address=url["signed"],
                options=ReceiverOptions(signing="ed25519"),
            ),
            "cap": ReceiverBody(name="cap", kind="cap", address=url["cap"]),
            "alertmanager": ReceiverBody(
                name="am", kind="alertmanager", address=url["alertmanager"], options=quick
            ),
            "mqtt": ReceiverBody(name="panel", kind="mqtt"),
            "mail": ReceiverBody(name="mail", kind="mail", address="duty@city.test", options=quick),
            "gone": ReceiverBody(name="gone", kind="webhook", address=url["gone"]),
        }
        for name, body in bodies.items():
            made = await self.book.add(self.granted, msgspec.structs.replace(body, after=0))
            self.secrets[name], self.keys[name] = made.secret, made.receiver.key
            self.ids[name] = made.receiver.id

    def start(self) -> None:
        """Start the process that delivers."""
        command = [sys.executable, "-m", "tests.support.delivery_process", str(self.folder)]
        command += [str(self.broker.port), str(self.rng.randrange(10**6))]
        with (self.folder / "deliver.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ})

    def kill(self) -> None:
        """End it with SIGKILL, and start another."""
        self.stop()
        self.kills += 1
        self.start()

    def stop(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            if self._process.poll() is not None:
                text = (self.folder / "deliver.log").read_text(errors="replace")
                raise RuntimeError(f"the delivering process ended by itself:\n{text[-3000:]}")
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def plan_faults(self, each: int) -> None:
        """Let every HTTP receiver fail in each way, `each` times over all, between successes."""
        for number, way in enumerate(WAYS):
            for turn in range(each):
                name = HTTP[(number + turn) % len(HTTP)]
                self.sinks[name].answers.append(way)
                self.faults[way] += 1
        for name in HTTP:
            answers = self.sinks[name].answers
            answers += ["ok"] * len(answers)
            self.rng.shuffle(answers)
        (self.folder / "dns_faults").write_text(str(each))
        self.faults["no name"] = each
        self.mail.answers = ["451 later", "250 ok"] * each
        self.faults["451 by mail"] = each

    def owed(self) -> int:
        """Return how many planned faults were not met yet."""
        planned = sum(one != "ok" for sink in self.sinks.values() for one in sink.answers)
        dns = int((self.folder / "dns_faults").read_text() or "0")
        return planned + dns + sum(one.startswith("451") for one in self.mail.answers)


async def _any_url(_url: str) -> None:
    """Allow every address: the delivering process has its own policy."""


@asynccontextmanager
async def open_world(folder: Path, rng: random.Random) -> AsyncIterator[World]:
    """Open everything but the process that delivers."""
    world = World(folder, rng)
    async with AsyncExitStack() as stack:
        for name in (*HTTP, "gone"):
            world.sinks[name] = await stack.enter_async_context(http_sink())
        world.mail = await stack.enter_async_context(mail_server())
        world.broker.start()
        stack.callback(world.broker.stop)
        world.panel.listen(world.broker.port)
        stack.callback(world.panel.close)
        await world.set_up()
        stack.callback(world.database.close)
        stack.callback(world.stop)
        yield world
        await asyncio.sleep(0)
