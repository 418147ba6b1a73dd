"""From a lift's register to the rescue feed, with real processes."""

import shutil
import time
from pathlib import Path

import pytest

from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import Stack, running, wait_until

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")


def _wait_alarm(
    stack: Stack, lift: int, *, state: str = "unacknowledged", evidence: str | None = None
) -> dict[str, object]:
    def found() -> dict[str, object] | None:
        for alarm in stack.alarms(stack.asset(lift), "Entrapment"):
            if alarm["state"] == state and evidence in (None, alarm["evidence"]):
                return alarm
        return None

    alarm = wait_until(found, timeout_s=60, what=f"alarm {state} {evidence}")
    assert alarm is not None
    return alarm


def _readings(stack: Stack, lift: int, point: str) -> list[tuple[int, object]]:
    answer = stack.get(
        f"/api/v1/assets/{stack.asset(lift)}/readings",
        point=point,
        **{"from": 0, "to": time.time_ns() // 1_000_000 + 600_000},
    )
    pairs: list[tuple[int, object]] = answer["points"].get(point, [])
    return pairs


def test_readings_reach_the_store_within_a_second_of_settling(stack: Stack) -> None:
    stack.lifts.hold(0, car_position=7)
    value = wait_until(
        lambda: stack.latest(0).get("car_position", {}).get("value") == 7,
        timeout_s=30,
        what="the floor shows",
    )
    assert value
    points = wait_until(lambda: _readings(stack, 0, "car_position"), timeout_s=1.5, what="stored")
    times = [at for at, _ in points]
    assert times == sorted(set(times))
    assert points[-1][1] == 7


def test_entrapment_evidence_upgraded_through_kills(stack: Stack) -> None:
    stack.lifts.order(op="fault", lift=0, name="entrapment", evidence="alarm_button")
    first = _wait_alarm(stack, 0, evidence="alarm_button")
    stack.cloud.kill()
    stack.lifts.order(op="fault", lift=0, name="entrapment", evidence="at_level")
    stack.cloud.start()
    stack.wait_ready()
    second = _wait_alarm(stack, 0, evidence="at_level")
    stack.edge.kill()
    stack.broker.kill()
    stack.lifts.order(op="fault", lift=0, name="entrapment", evidence="off_level")
    stack.broker.start()
    stack.edge.start()
    third = _wait_alarm(stack, 0, evidence="off_level")
    assert first["id"] == second["id"] == third["id"]
    assert len(stack.alarms(stack.asset(0), "Entrapment")) == 1
    items = [one["data"] for one in stack.feed(0) if one["event"] == "alarm"]
    seen = [one["evidence"] for one in items if one["alert"] == "Entrapment"]
    assert seen == ["alarm_button", "at_level", "off_level"]
    (rescue,) = stack.get("/api/v1/incidents", asset=stack.asset(0), open="true")["incidents"]
    assert (rescue["alarm"], rescue["evidence"]) == (first["id"], "off_level")
    record = stack.get(f"/api/v1/incidents/{rescue['id']}/record")["entries"]
    words = [one["what"] for one in record if one["by"] == "system"]
    assert [word for word in words if word in ("opened", "joined")] == [
        "opened",
        "joined",
        "joined",
    ]
    _act(stack, rescue["id"], "verify", {"people": 2})
    _wait_alarm(stack, 0, state="acknowledged")  # who verifies the rescue has seen its alarm
    stack.lifts.order(op="clear", lift=0)
    _wait_alarm(stack, 0, state="normal")
    _act(stack, rescue["id"], "release", {"people": 2})
    _act(stack, rescue["id"], "file_cause", {"cause": "door_system"})
    _act(stack, rescue["id"], "close", {})
    code = stack.asset(0).partition(":")[2]
    kinds = [one["kind"] for one in stack.get(f"/api/v1/lifts/{code}/records")]
    assert kinds == ["rescue"]


def _act(stack: Stack, incident: int, verb: str, act: dict[str, object]) -> None:
    answer = stack.http.post(f"/api/v1/incidents/{incident}/{verb}", json=act)
    assert answer.status_code == 200, answer.text


def test_gateway_without_a_clock_alarms_at_once(tmp_path: Path) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed (Debian: apt-get install faketime)")
    prefix = ("env", "DONT_FAKE_MONOTONIC=1", "faketime", "-f", "@1970-01-01 00:01:00")
    with running(Stack(tmp_path, edge_prefix=prefix)) as stack:
        pressed_ms = time.time_ns() // 1_000_000
        stack.lifts.order(op="fault", lift=1, name="entrapment", evidence="alarm_button")
        alarm = _wait_alarm(stack, 1)
        assert alarm["late"] is False
        points = wait_until(lambda: stack.latest(1), timeout_s=20, what="points")
        at = points["message_code"]["observed_at"]
        assert at.startswith("20")
        pairs = wait_until(lambda: _readings(stack, 1, "message_code"), timeout_s=5, what="stored")
        times = [at for at, value in pairs if isinstance(value, list) and "90" in value]
        assert times
        assert abs(times[0] - pressed_ms) < 10_000


def test_broker_away_nothing_lost_alarm_first(stack: Stack) -> None:
    wait_until(lambda: stack.latest(0), timeout_s=30, what="first readings")
    stack.broker.kill()
    time.sleep(8)
    stack.edge.kill()
    time.sleep(1)
    stack.edge.start()
    time.sleep(4)
    stack.lifts.order(op="fault", lift=2, name="entrapment", evidence="alarm_button")
    time.sleep(2)
    stack.broker.start()
    stack.wait_ready()
    _wait_alarm(stack, 2)
    wait_until(
        lambda: all(not row["received"] for row in stack.ledger()),
        timeout_s=60,
        what="backlog settled",
    )


@pytest.mark.parametrize("child", ["edge", "cloud"])
def test_sigterm_stops_cleanly_within_ten_seconds(stack: Stack, child: str) -> None:
    wait_until(lambda: stack.latest(0), timeout_s=30, what="first readings")
    process = {"edge": stack.edge, "cloud": stack.cloud}[child]
    started = time.monotonic()
    assert process.stop(10) == 0, process.tail()
    assert time.monotonic() - started < 10
