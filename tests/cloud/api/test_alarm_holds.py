"""Shelving, resetting, taking out of service, and the figures, by the API."""

from typing import Any

import httpx
import pytest

from protocols.clock import iso
from tests.support.http_services import LIFT, World, entrapment

WARNING: dict[str, Any] = {"severity": "warning", "alert": "CarDoorNotClosing"}
WHY = {"reason": " parts ordered "}


async def test_shelve_for_minutes_and_take_back(client: httpx.AsyncClient, world: World) -> None:
    world.desk.put(entrapment(world.clock, **WARNING))
    answer = await client.post("/api/v1/alarms/1/shelve", json={**WHY, "minutes": 30})
    assert answer.status_code == 200
    alarm = answer.json()
    assert (alarm["state"], alarm["shelve_reason"]) == ("shelved", "parts ordered")
    assert alarm["shelved_by"] == "admin"
    assert alarm["shelve_ends_at"] == iso(world.clock.wall_ms() + 30 * 60_000)
    back = await client.post("/api/v1/alarms/1/unshelve")
    assert (back.status_code, back.json()["state"]) == (200, "unacknowledged")
    again = await client.post("/api/v1/alarms/1/unshelve")
    assert again.json()["type"] == "urn:suyuan:problem:wrong_state"


@pytest.mark.parametrize("as_text", [iso, str])
async def test_shelve_until_a_moment(client: httpx.AsyncClient, world: World, as_text: Any) -> None:
    world.desk.put(entrapment(world.clock, **WARNING))
    until_ms = world.clock.wall_ms() + 90_000
    body = {**WHY, "until": as_text(until_ms)}
    answer = await client.post("/api/v1/alarms/1/shelve", json=body)
    assert answer.json()["shelve_ends_at"] == iso(until_ms)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"minutes": 5}, "reason"),
        ({"reason": "", "minutes": 5}, "reason"),
        (WHY, "minutes"),
        ({**WHY, "minutes": 5, "until": "2026-01-01T00:00:00Z"}, "minutes"),
        ({**WHY, "minutes": 0}, "minutes"),
        ({**WHY, "until": "soon"}, "until"),
        ({**WHY, "minutes": 5, "hours": 1}, "hours"),
        ({**WHY, "minutes": "5"}, "minutes"),
    ],
)
async def test_what_is_no_shelving_is_refused(
    client: httpx.AsyncClient, world: World, body: dict[str, Any], found: str
) -> None:
    world.desk.put(entrapment(world.clock, **WARNING))
    answer = await client.post("/api/v1/alarms/1/shelve", json=body)
    assert answer.status_code == 400
    assert found in answer.json()["detail"]
    assert world.desk.alarms[1].state == "unacknowledged"


async def test_emergency_is_never_shelved(client: httpx.AsyncClient, world: World) -> None:
    world.desk.put(entrapment(world.clock))
    answer = await client.post("/api/v1/alarms/1/shelve", json={**WHY, "minutes": 5})
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:suyuan:problem:never_held"


async def test_reset_ends_a_latch(client: httpx.AsyncClient, world: World) -> None:
    latched = {"state": "latched_acknowledged", "active": False, "latched": True}
    world.desk.put(entrapment(world.clock, **{**WARNING, **latched}))
    answer = await client.post("/api/v1/alarms/1/reset")
    assert (answer.status_code, answer.json()["state"]) == (200, "normal")
    assert (await client.post("/api/v1/alarms/1/reset")).status_code == 409


@pytest.mark.parametrize("verb", ["shelve", "unshelve", "reset"])
@pytest.mark.parametrize("number", ["9", "x", "-1", "9" * 40])
async def test_alarm_that_is_not_there(client: httpx.AsyncClient, verb: str, number: str) -> None:
    answer = await client.post(f"/api/v1/alarms/{number}/{verb}", json={**WHY, "minutes": 5})
    assert answer.status_code == 404


async def test_asset_out_of_service_and_back(client: httpx.AsyncClient, world: World) -> None:
    await world.registry.put(LIFT, kind="elevator", name="", gateways=[], attributes={})
    path = f"/api/v1/assets/{LIFT}/out-of-service"
    until = iso(world.clock.wall_ms() + 3_600_000)
    answer = await client.put(path, json={"reason": "yearly work", "until": until})
    assert (answer.status_code, answer.json()["return_expected_at"]) == (200, until)
    listed = (await client.get("/api/v1/out-of-service")).json()
    assert [(one["asset"], one["reason"]) for one in listed] == [(LIFT, "yearly work")]
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404
    assert (await client.get("/api/v1/out-of-service")).json() == []
    unknown = await client.put("/api/v1/assets/elevator:none/out-of-service", json={"reason": "x"})
    assert unknown.status_code == 404
    for body in ({}, {"reason": ""}, {"reason": "x", "until": "soon"}):
        assert (await client.put(path, json=body)).status_code == 400


async def test_figures_stand_beside_their_targets(client: httpx.AsyncClient) -> None:
    found = (await client.get("/api/v1/alarm-figures")).json()
    assert found["total"] == 0
    assert found["from_at"].endswith("Z")
    assert found["targets"]["per_day"]["met"] is True
    assert found["targets"]["acknowledge_p95_s"] | {"source": ""} == {
        "value": None,
        "most": 180.0,
        "met": None,
        "source": "",
        "confidence": "own_choice",
    }
    assert [one["target_percent"] for one in found["priorities"]] == [1.0, 5.0, 15.0, 80.0]
    assert (await client.get("/api/v1/alarm-figures?hours=744")).status_code == 200
    for query in ("hours=0", "hours=745", "days=1"):
        assert (await client.get(f"/api/v1/alarm-figures?{query}")).status_code == 400
