"""The broker on the settings that `suyuan-cloud ca init` makes: who may say and hear what."""

import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from protocols.topics import of
from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import wait_until
from tests.support.trust_stack import TrustStack

pytestmark = pytest.mark.skipif(
    not Path(MOSQUITTO).exists(), reason="mosquitto is not installed (Debian: mosquitto)"
)


class Shipped(TrustStack):
    """The broker alone, and clients with certificates of its authority."""

    def start(self) -> None:
        """Make authority and certificates; start the broker."""
        self.init()
        self.start_broker()
        self.certify("gw-1", "gw-2")

    def client(self, name: str, *, client_id: str = "", will: str = "") -> mqtt.Client:
        """Connect with the certificate of NAME."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id or name)
        if will:
            client.will_set(will, b"gone", 1)
        ca = self.data / "ca"
        service = name == "suyuan-cloud"
        folder = ca if service else self.folder
        client.tls_set(str(ca / "ca.crt"), str(folder / f"{name}.crt"), str(folder / f"{name}.key"))
        connected = threading.Event()
        client.on_connect = lambda *_: connected.set()
        client.connect("127.0.0.1", self.service_port if service else self.port)
        client.loop_start()
        assert connected.wait(5)
        return client


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    """A running one."""
    one = Shipped(tmp_path_factory.mktemp("shipped"))
    try:
        one.start()
        yield one
    finally:
        one.stop()


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


def _end(*clients: mqtt.Client) -> None:
    for client in clients:
        client.disconnect()
        client.loop_stop()


def test_gateway_writes_below_its_own_id_only(shipped: Shipped) -> None:
    cloud, gateway = shipped.client("suyuan-cloud"), shipped.client("gw-1")
    heard, got = _listen(cloud, "suyuan/v1/+/+/up/data")
    gateway.publish(of("gw-2", "up/data"), b"forged", 1)
    gateway.publish(of("gw-1", "up/data"), b"own", 1)
    assert got.wait(5)
    assert heard == [of("gw-1", "up/data")]
    _end(cloud, gateway)


def test_gateway_reads_its_own_acks_only(shipped: Shipped) -> None:
    cloud, gateway = shipped.client("suyuan-cloud"), shipped.client("gw-1")
    heard, got = _listen(gateway, "suyuan/v1/+/+/down/ack")
    cloud.publish(of("gw-2", "down/ack"), b"{}", 1)
    cloud.publish(of("gw-1", "down/ack"), b"{}", 1)
    assert got.wait(5)
    assert heard == [of("gw-1", "down/ack")]
    _end(cloud, gateway)


def test_gateway_cannot_take_the_connection_of_another(shipped: Shipped) -> None:
    """Not by giving the other one's client id: the name of the certificate is the id."""
    victim = shipped.client("gw-2")
    lost = threading.Event()
    victim.on_disconnect = lambda *_: lost.set()
    intruder = shipped.client("gw-1", client_id="gw-2")
    assert not lost.wait(0.5)
    _end(victim, intruder)


def test_gateway_cannot_leave_a_will_in_the_name_of_another(shipped: Shipped) -> None:
    cloud = shipped.client("suyuan-cloud", client_id="suyuan-ingest-will")
    heard, got = _listen(cloud, "suyuan/v1/+/+/state")
    for victim in ("gw-2", "gw-1"):  # its own will does arrive
        intruder = shipped.client("gw-1", will=of(victim, "state"))
        sock = intruder.socket()
        intruder.loop_stop()
        assert sock is not None
        sock.close()  # no DISCONNECT goes out
    assert got.wait(5)
    assert heard == [of("gw-1", "state")]
    _end(cloud)


def test_line_of_the_log_cannot_be_forged_by_a_topic(shipped: Shipped) -> None:
    gateway = shipped.client("gw-1")
    lost = threading.Event()
    gateway.on_disconnect = lambda *_: lost.set()
    line = (
        f"x\n1795648632: Denied PUBLISH from gw-2 (d0, q1, r0, m1, '{of('gw-1', 'state')}', ... (1"
    )
    gateway.publish(line, b"x", 1)
    assert lost.wait(5)  # the broker takes no control characters in a topic
    gateway.loop_stop()
    log = (shipped.data / "ca" / "broker" / "run" / "broker.log").read_text()
    assert "PUBLISH from gw-2" not in log


def test_service_keeps_several_connections(shipped: Shipped) -> None:
    first = shipped.client("suyuan-cloud", client_id="suyuan-ingest-alarm")
    lost = threading.Event()
    first.on_disconnect = lambda *_: lost.set()
    second = shipped.client("suyuan-cloud", client_id="suyuan-ingest-data")
    assert not lost.wait(0.5)
    _end(first, second)


def test_what_passes_is_not_kept_and_what_is_refused_is(shipped: Shipped) -> None:
    gateway = shipped.client("gw-1")
    gateway.publish(of("gw-1", "up/data"), b"own", 1)
    gateway.publish(of("gw-2", "up/data"), b"forged", 1).wait_for_publish(5)
    _end(gateway)
    log = shipped.data / "ca" / "broker" / "run" / "broker.log"
    denied = f"Denied PUBLISH from gw-1 (d0, q1, r0, m2, '{of('gw-2', 'up/data')}'"
    wait_until(lambda: denied in log.read_text(), timeout_s=5, what="the refusal in the log")
    assert of("gw-1", "up/data") not in log.read_text()
