"""The mosquitto settings that we ship, with certificates, against the real thing."""

import os
import pwd
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from protocols.topics import of
from tests.support.certificates import issue, make_authority
from tests.support.mosquitto import MOSQUITTO, free_port, wait_for_port

SYSTEM = Path(__file__).parents[2] / "firmware_config" / "system"

pytestmark = pytest.mark.skipif(
    not Path(MOSQUITTO).exists() or shutil.which("openssl") is None,
    reason="mosquitto or openssl is not installed",
)


class Shipped:
    """mosquitto with our files, only its paths and port changed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        make_authority(folder)
        for name in ("server", "suyuan-cloud", "gw-1", "gw-2"):
            issue(folder, name)
        text = (SYSTEM / "mosquitto.conf").read_text()
        text = text.replace("/etc/suyuan/broker", str(folder)).replace("8883", str(self.port))
        text = text.replace("/etc/mosquitto/conf.d/mosquitto.acl", str(SYSTEM / "mosquitto.acl"))
        text = text.replace("/var/lib/mosquitto/", f"{folder}/")
        (folder / "mosquitto.conf").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it as this user."""
        acl = self.folder / "mosquitto.acl"
        shutil.copy(SYSTEM / "mosquitto.acl", acl)
        config = self.folder / "mosquitto.conf"
        text = config.read_text().replace(str(SYSTEM / "mosquitto.acl"), str(acl))
        user = pwd.getpwuid(os.getuid()).pw_name
        config.write_text(f"{text}\nuser {user}\n")
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port, self.process)

    def client(self, name: str) -> mqtt.Client:
        """Connect as NAME."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        ca, certificate, key = (
            str(self.folder / file) for file in ("ca.crt", f"{name}.crt", f"{name}.key")
        )
        client.tls_set(ca, certificate, key)
        connected = threading.Event()
        client.on_connect = lambda *_: connected.set()
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        assert connected.wait(5)
        return client


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Shipped]:
    """A running one."""
    one = Shipped(tmp_path)
    one.start()
    yield one
    if one.process is not None:
        one.process.terminate()
        one.process.wait(10)


def _listen(client: mqtt.Client, topic: str) -> tuple[list[str], threading.Event]:
    heard: list[str] = []
    granted, got = threading.Event(), threading.Event()

    def on_message(_client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        heard.append(message.topic)
        got.set()

    client.on_message = on_message
    client.on_subscribe = lambda *_: granted.set()
    client.subscribe(topic, 1)
    assert granted.wait(5)
    return heard, got


def test_gateway_writes_below_its_own_id_only(shipped: Shipped) -> None:
    cloud, gateway = shipped.client("suyuan-cloud"), shipped.client("gw-1")
    heard, got = _listen(cloud, "suyuan/v1/+/+/up/data")
    gateway.publish(of("gw-2", "up/data"), b"forged", 1)
    gateway.publish(of("gw-1", "up/data"), b"own", 1)
    assert got.wait(5)
    assert heard == [of("gw-1", "up/data")]
    for client in (cloud, gateway):
        client.disconnect()
        client.loop_stop()


def test_gateway_reads_its_own_acks_only(shipped: Shipped) -> None:
    cloud, gateway = shipped.client("suyuan-cloud"), shipped.client("gw-1")
    heard, got = _listen(gateway, "suyuan/v1/+/+/down/ack")
    cloud.publish(of("gw-2", "down/ack"), b"{}", 1)
    cloud.publish(of("gw-1", "down/ack"), b"{}", 1)
    assert got.wait(5)
    assert heard == [of("gw-1", "down/ack")]
    for client in (cloud, gateway):
        client.disconnect()
        client.loop_stop()
