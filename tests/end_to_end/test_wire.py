"""The wire contract against the real service: what is sent, acknowledged, kept, shown."""

import queue
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from protocols.messages import Ack, ack_decoder
from protocols.records import Gap
from protocols.topics import of
from tests.support.gateway import OTHER_SPOOL, SPOOL, envelope, readings
from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import Stack, wait_until

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")
LIFT = "elevator:31101099920240017"


class Device:
    """A gateway made by hand, on a connection of its own."""

    def __init__(self, port: int, gateway: str) -> None:
        self.gateway = gateway
        self.acks: queue.Queue[Ack] = queue.Queue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=gateway)
        granted: queue.Queue[None] = queue.Queue()

        def on_message(_client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
            self.acks.put(ack_decoder.decode(message.payload))

        def on_subscribe(*_: object) -> None:
            granted.put(None)

        self._client.on_message, self._client.on_subscribe = on_message, on_subscribe
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(of(gateway, "down/ack"), 0)
        granted.get(timeout=5)

    def send(self, payload: bytes, *, stream: str = "data", wait: bool = True) -> Ack | None:
        """Publish one batch and return the ack."""
        self._client.publish(of(self.gateway, f"up/{stream}"), payload, 1)
        return self.acks.get(timeout=5) if wait else None

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish anything anywhere."""
        self._client.publish(topic, payload, 1)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    one = Stack(tmp_path, lifts=1)
    try:
        one.broker.start()
        one.cloud.start()
        one.wait_ready()
        yield one
    finally:
        one.stop()


@pytest.fixture
def device(stack: Stack) -> Iterator[Device]:
    one = Device(stack.broker.port, "gw-jilin-0001")
    yield one
    one.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _row(stack: Stack, spool: str, gateway: str = "gw-jilin-0001") -> dict[str, object]:
    for row in stack.get(f"/api/v1/gateways/{gateway}")["spools"]:
        if row["spool"] == spool:
            found: dict[str, object] = row
            return found
    raise KeyError(spool)


def test_batches_out_of_order_and_twice_count_once(stack: Stack, device: Device) -> None:
    for seq in (2, 4, 1, 2):
        ack = device.send(envelope(seq, [readings(LIFT, _now_ms() + seq, speed=float(seq))]))
    assert ack is not None
    assert (ack.spool, ack.stream, ack.through, ack.received) == (SPOOL, "data", 2, [(4, 4)])
    assert abs(ack.time - _now_ms()) < 5_000
    row = _row(stack, SPOOL)
    assert (row["batches"], row["records"], row["duplicates"]) == (3, 3, 1)


def test_foreign_gateways_reading_is_set_aside(stack: Stack, device: Device) -> None:
    body = {"kind": "elevator", "name": "一号梯", "gateways": ["gw-other"], "attributes": {}}
    assert stack.http.put(f"/api/v1/assets/{LIFT}", json=body).status_code in (200, 201)
    now = _now_ms()
    device.send(envelope(1, [readings(LIFT, now, speed=1.0), readings("elevator:B", now, speed=2)]))
    assert _row(stack, SPOOL)["dead_letters"] == 1
    latest = wait_until(
        lambda: stack.get("/api/v1/assets/elevator:B/latest")["points"], timeout_s=5, what="latest"
    )
    assert latest["speed"]["value"] == 2
    asset = stack.get(f"/api/v1/assets/{LIFT}")
    assert [one["reason"] for one in asset["findings"]] == ["foreign_gateway"]
    assert stack.get(f"/api/v1/assets/{LIFT}/latest")["points"] == {}


def test_same_key_other_records_raises_an_alarm(stack: Stack, device: Device) -> None:
    now = _now_ms()
    device.send(envelope(1, [readings(LIFT, now, speed=1.0)]))
    ack = device.send(envelope(1, [readings(LIFT, now, speed=9.0)]))
    assert ack is not None
    assert ack.through == 1
    alarm = wait_until(
        lambda: stack.alarms("gateway:gw-jilin-0001"), timeout_s=10, what="the alarm"
    )[0]
    assert alarm["alert"] == "BatchKeyConflict"
    assert _row(stack, SPOOL)["dead_letters"] == 1


def test_gap_settles_and_is_shown(stack: Stack, device: Device) -> None:
    device.send(envelope(2, [readings(LIFT, _now_ms(), speed=1.0)], spool=OTHER_SPOOL))
    gap = Gap(spool=OTHER_SPOOL, stream="data", from_seq=1, to_seq=5, reason="disk_full", records=9)
    tail = Gap(spool=OTHER_SPOOL, stream="data", from_seq=6, to_seq=None, reason="card_replaced")
    device.send(envelope(1, [gap, tail]), stream="alarm")
    row = wait_until(
        lambda: _row(stack, OTHER_SPOOL) if _row(stack, OTHER_SPOOL)["through"] == 5 else None,
        timeout_s=5,
        what="the gap",
    )
    assert row is not None
    assert (row["batches"], row["declared_lost"], row["unknown_tail"]) == (1, 4, True)


def test_rubbish_does_not_disturb(stack: Stack, device: Device) -> None:
    for payload in (b"", b"{", b"[" * 5_000, b"\xff" * 300, b"7" * 100_000):
        device.send(payload, wait=False)
    device.publish("suyuan/v1/00/gw-jilin-0001/up/data", envelope(1, []))
    device.publish("suyuan/v1/zz/x/up/data", b"{}")
    ack = device.send(envelope(1, [readings(LIFT, _now_ms(), speed=1.0)]))
    assert ack is not None
    assert ack.through == 1
    assert stack.http.get("/readyz").status_code == 200


def test_no_token_is_401_as_problem_details(stack: Stack) -> None:
    for path in ("/api/v1/gateways", "/api/v1/alarms", "/api/v1/feed", "/metrics"):
        answer = stack.http.get(path, headers={"Authorization": "Bearer wrong"})
        assert answer.status_code == 401, path
        assert answer.headers["content-type"] == "application/problem+json"
    for path in ("/healthz", "/readyz"):
        assert stack.http.get(path, headers={"Authorization": ""}).status_code == 200
