"""Rescues over HTTP: shapes, filters, pages, and what is refused how."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from protocols.clock import ManualClock
from tests.support.http_services import LIFT, TOKEN, World, open_world

INCIDENTS = "/api/v1/incidents"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    attributes = {"rescue_code": "100001", "district": "chuanying"}
    given: dict[str, Any] = {"kind": "elevator", "name": "", "gateways": []}
    await world.registry.put(LIFT, **given, attributes=attributes, parties={})
    yield world
    world.database.close()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(world.app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers
    ) as client:
        yield client


def told(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


async def test_a_rescue_over_http(client: httpx.AsyncClient) -> None:
    unit = {"name": "站", "level": 2, "latitude": 43.8, "longitude": 126.5}
    assert (await client.put("/api/v1/rescue-units/s-1", json=unit)).status_code == 200
    call = {"rescue_code": "100001", "people": 2, "caller_phone": "138"}
    made = await client.post("/api/v1/calls", json=call)
    assert made.status_code == 201
    one = made.json()
    assert (one["asset"], one["state"], one["people"]) == (LIFT, "detected", 2)
    assert one["detected_at"].endswith("Z")
    assert one["verbs"][:3] == ["verify", "take", "dispatch"]
    assert one["deadlines"][0] == {
        "kind": "acknowledge",
        "level": 0,
        "due_at": "2025-11-24T16:01:00.000Z",
        "fired_at": None,
        "settled_at": None,
    }
    path = f"{INCIDENTS}/{one['id']}"
    units = (await client.get(f"{path}/units?level=2")).json()["units"]
    assert [(each["unit"], each["distance_m"]) for each in units] == [("s-1", None)]
    sent = await client.post(f"{path}/dispatch", json={"unit": "s-1"})
    assert (sent.status_code, sent.json()["unit"], sent.json()["level"]) == (200, "s-1", 2)
    again = await client.post(f"{path}/dispatch", json={"unit": "s-1"})
    assert again.json() == sent.json()
    assert sent.json()["operator"] == "admin"  # who sends a unit works on it
    assert (await client.post(f"{path}/hand_over", json={"to": "Li"})).json()["operator"] == "Li"
    record = (await client.get(f"{path}/record")).json()["entries"]
    assert [each["what"] for each in record] == ["opened", "dispatch", "hand_over"]
    assert record[0]["at"].endswith("Z")
    assert (await client.get(path)).json()["version"] == 4


async def test_refusals_have_their_reasons(client: httpx.AsyncClient) -> None:
    unknown = await client.post("/api/v1/calls", json={"rescue_code": "999999"})
    assert (unknown.status_code, told(unknown)) == (404, "unknown_code")
    kept = (await client.get("/api/v1/calls?unplaced=true")).json()["calls"]
    assert [one["rescue_code"] for one in kept] == ["999999"]
    await client.post("/api/v1/calls", json={"asset": LIFT})
    for path, body, status, reason in (
        ("/1/close", {}, 409, "wrong_state"),
        ("/1/verify", {"version": 9}, 409, "changed"),
        ("/1/verify", {"peoples": 9}, 400, "bad_request"),
        ("/9/verify", {}, 404, "not_found"),
        ("/x/verify", {}, 404, "not_found"),
        ("/1/release", {"people": 1, "at": 0}, 400, "bad_request"),
        ("/1/verify", {"at": 10**25}, 400, "bad_request"),
        ("/1/verify", {"at": -(10**25)}, 400, "bad_request"),
        ("/1/merge", {"into": 2**80}, 400, "bad_request"),
        ("/1/verify", {"people": 2**80}, 400, "bad_request"),
        ("/1/verify", {"version": 2**80}, 409, "changed"),
        ("/1/dispatch", {"unit": "\0"}, 400, "bad_request"),
    ):
        answer = await client.post(f"{INCIDENTS}{path}", json=body)
        assert (answer.status_code, told(answer)) == (status, reason), answer.text
    for call in (2**80, 2):
        kept = {"asset": LIFT, "call": call}
        assert (await client.post("/api/v1/calls", json=kept)).status_code == 404
    for query in ("state=lost", "order=x", "order=urgent&before=1", "open=yes", "limit=0", "x=1"):
        assert (await client.get(f"{INCIDENTS}?{query}")).status_code == 400, query
    unit = {"name": "站", "level": 2}
    for change in ({"latitude": 43.0}, {"level": 4}, {"organisation": "nobody"}, {"name": ""}):
        answer = await client.put("/api/v1/rescue-units/s-1", json={**unit, **change})
        assert answer.status_code == 400, change


async def test_lists_have_pages(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await client.post("/api/v1/calls", json={"asset": f"elevator:{number}"})
    seen, url = list[int](), f"{INCIDENTS}?open=true&limit=2"
    while url:
        answer = await client.get(url)
        seen += [one["id"] for one in answer.json()["incidents"]]
        link = answer.headers.get("Link", "")
        url = link.partition(">")[0].removeprefix("<")
    assert seen == [5, 4, 3, 2, 1]
    urgent = await client.get(f"{INCIDENTS}?order=urgent&limit=2")
    assert [one["id"] for one in urgent.json()["incidents"]] == [1, 2]
    assert "Link" not in urgent.headers


async def test_figures_and_causes_over_http(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/calls", json={"asset": LIFT})
    await client.post(f"{INCIDENTS}/1/release", json={"people": 3})
    await client.post(f"{INCIDENTS}/1/close", json={"cause": "door"})
    known = (await client.get("/api/v1/rescue-causes")).json()
    assert {one["class"] for one in known["causes"]} == {one["id"] for one in known["classes"]}
    span = "from=2025-11-01T00:00:00Z&to=2025-12-01T00:00:00Z"
    found = (await client.get(f"/api/v1/rescue-figures?{span}&by=class")).json()
    assert (found["total"]["freed"], found["year_to_date"]["rescues"]) == (3, 1)
    assert [(one["key"], one["figures"]["freed"]) for one in found["groups"]] == [
        ("door_system", 3)
    ]
    for query in ("by=x", "from=2025-12-01T00:00:00Z&to=2025-11-01T00:00:00Z", "from=1", "x=1"):
        assert (await client.get(f"/api/v1/rescue-figures?{query}")).status_code == 400, query
