"""An enterprise platform's lifts from its request to the feed, with real processes."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from protocols.clock import SystemClock, iso
from tests.support.firms import credit_code
from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import Stack, wait_until

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")

CODE, OTHER = "31102202022026010017", "31102202022026010018"
BASE = "/api/v1/platforms"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Stack]:
    """A broker and the service; no gateway, no lift."""
    stack = Stack(tmp_path)
    try:
        stack.broker.start()
        stack.cloud.start()
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


def _enter(cloud: Stack) -> tuple[str, httpx.Client]:
    """Let a firm and its platform in; return its secret and a client with its token."""
    firm = "firm-a"
    details: dict[str, Any] = {
        "kind": "maintenance_firm",
        "name": "维保",
        "credit_code": credit_code(1),
    }
    details |= {"districts": ["chuanying"], "categories": ["special_equipment"]}
    answer = cloud.http.put(f"/api/v1/organisations/{firm}", json=details)
    assert answer.status_code in (200, 201), answer.text
    body = {
        "id": "acme",
        "name": "acme",
        "dialect": "special-equipment",
        "dialect_version": "1",
        "organisation": firm,
    }
    made = cloud.http.post(BASE, json=body)
    assert made.status_code == 201, made.text
    secret = made.json()["secret"]
    form = {"grant_type": "client_credentials"}
    token = cloud.http.post("/oauth2/token", data=form, auth=("acme", secret)).json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    return secret, httpx.Client(base_url=cloud.http.base_url, headers=headers, timeout=10)


def _send(client: httpx.Client, kind: str, *items: object) -> dict[str, Any]:
    answer = client.post(f"{BASE}/acme/{kind}", json={"items": items})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _status(at: int, *codes: object, code: str = CODE) -> dict[str, Any]:
    return {
        "registration_code": code,
        "time_stamps": iso(at),
        "values": {"service_mode": 1, "car_status": 0, "car_position": "B1", "door_status": 1},
        "message_code": list(codes),
    }


def test_platform_from_its_secret_to_the_feed_through_a_kill(cloud: Stack) -> None:
    _, client = _enter(cloud)
    clock = SystemClock()
    calm = _status(clock.wall_ms(), 0)
    assert _send(client, "status", calm, calm)["duplicate"] == 1
    asset = f"elevator:{CODE}"

    def latest() -> Any:
        return cloud.get(f"/api/v1/assets/{asset}/latest")["points"]

    points = wait_until(latest, timeout_s=10, what="the lift shows")
    assert points["car_position"]["value"] == "B1"
    assert points["door_status"]["value"] is True
    head = cloud.feed()[-1]["offset"] if cloud.feed(until_idle_s=0.5) else 0
    heard: list[tuple[float, dict[str, Any]]] = []
    listener = threading.Thread(target=_listen, args=(cloud, head, heard), daemon=True)
    listener.start()
    time.sleep(0.3)
    sent = time.monotonic()
    alarm = {"registration_code": CODE, "time_stamps": iso(clock.wall_ms()), "message_code": [11]}
    assert _send(client, "messages", alarm)["taken"] == 1
    wait_until(lambda: heard, timeout_s=10, what="the feed tells")
    at, item = heard[0]
    print(f"request to feed: {at - sent:.3f} s")
    assert at - sent < 5
    assert (item["alert"], item["asset"]) == ("Entrapment", asset)
    cloud.cloud.kill()
    cloud.cloud.start()
    cloud.wait_ready()
    assert _send(client, "messages", alarm)["duplicate"] == 1
    strange = _status(clock.wall_ms(), "0x77", "02", code=OTHER)
    assert _send(client, "status", strange)["items"][0]["unknown_codes"] == ["0x77"]
    wait_until(
        lambda: cloud.alarms(f"elevator:{OTHER}", "CarDoorNotClosing"),
        timeout_s=10,
        what="the known code beside an unknown one",
    )
    seen = cloud.get("/api/v1/dialects/unknown")
    assert [(one["raw"], one["count"]) for one in seen] == [("0x77", 1)]
    settled = wait_until(
        lambda: cloud.get(f"{BASE}/acme")["waiting"] == 0, timeout_s=10, what="the log has all"
    )
    assert settled
    assert len(cloud.alarms(asset, "Entrapment")) == 1
    client.close()


def _listen(cloud: Stack, after: int, heard: list[tuple[float, dict[str, Any]]]) -> None:
    with cloud.http.stream("GET", "/api/v1/feed", params={"after": after}, timeout=30) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: ") and "Entrapment" in line:
                heard.append((time.monotonic(), json.loads(line[6:])))
                return
