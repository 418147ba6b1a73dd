"""The service over InfluxDB and VictoriaMetrics: the engine killed and away, the alarm at once."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from protocols.ids import shard_of
from protocols.records import Readings
from tests.support.gateway import SPOOL, envelope, readings
from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import Stack, wait_until
from tests.support.telemetry_engines import (
    EngineServer,
    InfluxDbServer,
    VictoriaMetricsServer,
    missing_for,
)

ENGINES: tuple[type[InfluxDbServer] | type[VictoriaMetricsServer], ...] = (
    InfluxDbServer,
    VictoriaMetricsServer,
)
GATEWAY, LIFT = "gw-engines", "elevator:31101099920240099"


@pytest.fixture(params=ENGINES, ids=["influxdb", "victoriametrics"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EngineServer]:
    missing = missing_for(request.param)
    if missing or not Path(MOSQUITTO).exists():
        pytest.skip(missing or "mosquitto is not installed (Debian: apt-get install mosquitto)")
    server: EngineServer = request.param(tmp_path / "engine")
    server.start()
    yield server
    server.stop()


class Sender:
    """A gateway that sends batches by hand."""

    def __init__(self, stack: Stack) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=GATEWAY)
        self._client.connect("127.0.0.1", stack.broker.port)
        self._client.loop_start()
        self._seq = {"alarm": 0, "data": 0}

    def send(self, stream: str, *records: Readings) -> None:
        self._seq[stream] += 1
        payload = envelope(self._seq[stream], records, spool=SPOOL, sent_at=now_ms())
        topic = f"suyuan/v1/{shard_of(GATEWAY)}/{GATEWAY}/up/{stream}"
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_engine_killed_and_away_while_an_alarm_comes(engine: EngineServer, tmp_path: Path) -> None:
    stack = Stack(
        tmp_path / "stack", lifts=1, cloud_config=f'[telemetry]\nurl = "{engine.new_url()}"\n'
    )
    stack.broker.start()
    stack.cloud.start()
    try:
        stack.wait_ready()
        sender = Sender(stack)
        try:
            _live_through(stack, sender, engine)
        finally:
            sender.close()
        assert stack.cloud.stop() == 0
    finally:
        stack.stop()


def _live_through(stack: Stack, sender: Sender, engine: EngineServer) -> None:
    start = now_ms()
    sent: list[int] = []

    def batches(count: int) -> None:
        for _ in range(count):
            sent.append(start + len(sent))
            sender.send("data", readings(LIFT, sent[-1], speed=0.5 + len(sent), door_zone=True))

    batches(20)
    _wait_for(stack, sent, timeout_s=10)
    engine.kill()
    batches(30)
    called = time.monotonic()
    sender.send("alarm", readings(LIFT, now_ms(), message_code=["90"], service_mode="normal"))
    wait_until(
        lambda: [item for item in stack.feed() if item["data"].get("alert") == "Entrapment"],
        timeout_s=5,
        what="alarm on the feed",
    )
    assert time.monotonic() - called < 5, "the alarm does not wait for the engine"
    wait_until(lambda: _lag_s(stack) > 1, timeout_s=10, what="telemetry lag in /metrics")
    assert stack.http.get(f"/api/v1/assets/{LIFT}/readings?from=0&to=9").status_code == 503
    engine.start()
    batches(10)
    _wait_for(stack, sent, timeout_s=40)
    wait_until(lambda: _lag_s(stack) < 1, timeout_s=10, what="no telemetry lag")


def _wait_for(stack: Stack, sent: list[int], timeout_s: float) -> None:
    """Wait until all readings are there, each once."""
    expected: dict[str, Any] = {
        "speed": [[at, 1.5 + number] for number, at in enumerate(sent)],
        "door_zone": [[at, True] for at in sent],
    }

    def found() -> dict[str, Any]:
        answer: dict[str, Any] = stack.get(
            f"/api/v1/assets/{LIFT}/readings", **{"from": sent[0], "to": sent[-1] + 1}
        )
        points = answer["points"]
        return {name: points.get(name) for name in expected}

    wait_until(lambda: found() == expected, timeout_s=timeout_s, what=json.dumps(expected)[:80])


def _lag_s(stack: Stack) -> float:
    for line in stack.http.get("/metrics").text.splitlines():
        if line.startswith('suyuan_consumer_lag_seconds{consumer="telemetry"}'):
            return float(line.rpartition(" ")[2])
    return 0.0
