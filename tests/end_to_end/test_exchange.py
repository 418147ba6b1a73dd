"""Two real processes exchange events, by looking, by subscription and by sending, through kills."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.epcis_bodies import ITEM, document, event
from tests.support.service_process import ServiceProcess
from tests.support.stack import TOKEN, wait_until

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
CONFIG = """\
schema = 1
base_url = "http://127.0.0.1:{own}"
[outbound]
allowed = ["127.0.0.1"]
ports = [{own}, {other}]
[trace]
partners_over_http = true
"""
EVENTS, PART = 1_500, 500
WAIT_S = 60.0


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[ServiceProcess]]:
    folders = [tmp_path / "ours", tmp_path / "theirs"]
    for folder in folders:
        folder.mkdir()
    two = [ServiceProcess(folder) for folder in folders]
    for one, other in (two, two[::-1]):
        text = CONFIG.format(own=one.port, other=other.port)
        (one.folder / "cloud.toml").write_text(text)
    try:
        for one in two:
            one.start()
        yield two
    finally:
        for one in two:
            one.child.kill()


def base(one: ServiceProcess) -> str:
    return f"http://127.0.0.1:{one.port}"


def capture(one: ServiceProcess, *serials: int) -> None:
    for start in range(0, len(serials), PART):
        body = document(*(event(n) for n in serials[start : start + PART]))
        answer = httpx.post(f"{base(one)}/epcis/capture", json=body, headers=ADMIN, timeout=20)
        assert answer.status_code == 202, answer.text


def serials(one: ServiceProcess) -> list[int]:
    """Return the numbers of the items of all events."""
    found: list[int] = []
    with httpx.Client(base_url=base(one), headers=ADMIN, timeout=20) as client:
        where = "/epcis/events?perPage=1000"
        while where:
            answer = client.get(where)
            answer.raise_for_status()
            results = answer.json()["epcisBody"]["queryResults"]["resultsBody"]
            found += [int(one["epcList"][0].removeprefix(ITEM)) for one in results["eventList"]]
            where = answer.links.get("next", {}).get("url", "")
    return found


def wait_for(one: ServiceProcess, wanted: set[int]) -> None:
    wait_until(
        lambda: set(serials(one)) == wanted, timeout_s=WAIT_S, what=str(len(wanted)), every_s=0.3
    )
    assert len(serials(one)) == len(wanted), "an event is there twice"


@pytest.mark.long
def test_events_go_to_and_fro_through_kills(two: list[ServiceProcess]) -> None:
    ours, theirs = two
    capture(theirs, *range(EVENTS))
    capture(ours, EVENTS)
    query = {"name": "all", "query": {}}
    httpx.post(f"{base(theirs)}/epcis/queries", json=query, headers=ADMIN).raise_for_status()
    partner: dict[str, Any] = {
        "name": "theirs",
        "base": f"{base(theirs)}/epcis",
        "credential": {"value": ADMIN["Authorization"]},
        "pull": {"query_name": "all", "subscribe": True, "interval_s": 3600},
        "push": {"whole": True},
    }
    made = httpx.post(f"{base(ours)}/api/v1/partners", json=partner, headers=ADMIN)
    assert made.status_code == 201, made.text
    for pause_s in (0.4, 1.5):
        time.sleep(pause_s)
        ours.child.kill()
        ours.start()
    everything = set(range(EVENTS + 1))
    wait_for(ours, everything)
    wait_for(theirs, everything)
    capture(theirs, EVENTS + 1)
    wait_for(ours, everything | {EVENTS + 1})
    where = f"{base(ours)}/api/v1/partners/{made.json()['partner_id']}"
    kinds = {one["kind"] for one in httpx.get(f"{where}/receipts", headers=ADMIN).json()}
    assert kinds == {"pulled", "pushed", "notified"}
    assert httpx.delete(where, headers=ADMIN).status_code == 204
    wait_until(
        lambda: httpx.get(f"{base(ours)}/api/v1/partners", headers=ADMIN).json() == [],
        timeout_s=WAIT_S,
        what="the end of the partner",
    )
    subscriptions = f"{base(theirs)}/epcis/queries/all/subscriptions"
    assert httpx.get(subscriptions, headers=ADMIN).json() == []
