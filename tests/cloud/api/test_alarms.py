import httpx
import pytest

from tests.support.http_services import LIFT, World, entrapment

OTHER = "elevator:2"


async def test_list_by_state_asset_and_page(client: httpx.AsyncClient, world: World) -> None:
    world.desk.put(entrapment(world.clock, 1, state="normal"))
    world.desk.put(entrapment(world.clock, 2, asset=OTHER))
    world.desk.put(entrapment(world.clock, 3, state="acknowledged"))

    async def ids(query: str) -> list[int]:
        answer = await client.get(f"/api/v1/alarms?{query}")
        return [alarm["id"] for alarm in answer.json()]

    assert await ids("") == [3, 2, 1]
    assert await ids("state=open") == [3, 2]
    assert await ids("state=unacknowledged,normal") == [2, 1]
    assert await ids("state=unacknowledged&state=acknowledged") == [3, 2]
    assert await ids(f"asset={OTHER}") == [2]
    page = await client.get("/api/v1/alarms?limit=2")
    assert page.links["next"]["url"] == "/api/v1/alarms?limit=2&before=2"
    rest = await client.get(page.links["next"]["url"])
    assert [alarm["id"] for alarm in rest.json()] == [1]
    assert "next" not in rest.links


async def test_alarm_has_the_names_of_the_feed(client: httpx.AsyncClient, world: World) -> None:
    world.desk.put(entrapment(world.clock))
    (alarm,) = (await client.get("/api/v1/alarms")).json()
    for name, value in {
        "id": 1,
        "alert": "Entrapment",
        "asset": LIFT,
        "severity": "emergency",
        "state": "unacknowledged",
        "raised_at": "2025-11-24T16:00:00.000Z",
        "observed_at": "2025-11-24T15:59:59.600Z",
        "evidence": "alarm_button",
        "late": False,
        "acknowledged_at": None,
    }.items():
        assert alarm[name] == value
    assert alarm["values"]["message_code"] == ["90"]


async def test_acknowledge_with_note_once(client: httpx.AsyncClient, world: World) -> None:
    world.desk.put(entrapment(world.clock))
    path = "/api/v1/alarms/1/acknowledge"
    answer = await client.post(path, json={"note": " 已派人 "})
    assert answer.status_code == 200
    assert answer.json()["state"] == "acknowledged"
    assert answer.json()["note"] == "已派人"
    assert answer.json()["acknowledged_by"] == "admin"
    again = await client.post(path)
    assert again.status_code == 409
    assert again.json()["type"] == "urn:suyuan:problem:not_acknowledgeable"


@pytest.mark.parametrize("alarm_id", ["2", "0", "-1", "x", "1.0", "9" * 40, "١"])
async def test_acknowledge_unknown_alarm_is_404(client: httpx.AsyncClient, alarm_id: str) -> None:
    answer = await client.post(f"/api/v1/alarms/{alarm_id}/acknowledge")
    assert answer.status_code == 404


@pytest.mark.parametrize("body", [b"[]", b'{"note": 1}', b'{"other": ""}', b"\xff", b"{"])
async def test_acknowledge_bad_body_is_400(
    client: httpx.AsyncClient, world: World, body: bytes
) -> None:
    world.desk.put(entrapment(world.clock))
    answer = await client.post("/api/v1/alarms/1/acknowledge", content=body)
    assert answer.status_code == 400
    assert world.desk.alarms[1].state == "unacknowledged"


@pytest.mark.parametrize("query", ["state=broken", "asset=x", "limit=0", "before=x", "status=open"])
async def test_list_bad_query_is_400(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/api/v1/alarms?{query}")).status_code == 400
