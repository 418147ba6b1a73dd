"""Cylinders over HTTP: how they are asked for, and how refusals are told."""

from typing import Any

import httpx
import pytest

from tests.support.cylinders import CODE
from tests.support.firms import DISTRICT, firm_details, put
from tests.support.http_services import World

BASE = "/api/v1/cylinders"
NUMBER = CODE.partition(":")[2]
FILE: dict[str, Any] = {
    "kind": "lpg_household",
    "gas": "lpg",
    "maker": "吉林钢瓶厂",
    "serial_number": "000000",
    "manufactured_on": "2024-03",
    "filler": "gas-a",
    "district": DISTRICT,
}


@pytest.fixture
async def filled(world: World, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """With two fillers and one cylinder."""
    for number, name in enumerate(("gas-a", "gas-b")):
        details = firm_details(number, kind="filling_station", categories=("special_equipment",))
        await put(world, name, details)
    answer = await client.put(f"{BASE}/{NUMBER}", json=FILE)
    assert answer.status_code == 201, answer.text
    return client


async def test_file_comes_back_as_it_was_written(filled: httpx.AsyncClient) -> None:
    again = await filled.put(f"{BASE}/{NUMBER}", json=FILE)
    assert again.status_code == 200
    one = (await filled.get(f"{BASE}/{NUMBER}")).json()
    assert (one["code"], one["state"], one["district"]) == (NUMBER, "in_use", DISTRICT)
    assert {name: one["file"][name] for name in FILE if name != "district"} == {
        name: value for name, value in FILE.items() if name != "district"
    }
    assert one["registered_at"].endswith("Z")
    asset = (await filled.get(f"/api/v1/assets/{CODE}")).json()
    assert asset["parties"] == {"filler": "gas-a"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("PUT", "/A2", {**FILE}, 409, "no other cylinder of its maker"),
        ("PUT", "/A2", {**FILE, "colour": "red"}, 400, "unknown field `colour`"),
        ("PUT", "/A2", {**FILE, "tare_kg": -1}, 400, "$.tare_kg"),
        ("PUT", "/A2", {**FILE, "manufactured_on": "2024-02-30"}, 400, "found 2024-02-30"),
        ("PUT", "/a%20b", {**FILE}, 400, "scheme:code"),
        ("PUT", f"/{NUMBER}", {**FILE, "filler": "gas-b"}, 409, "until it is transferred"),
        ("POST", f"/{NUMBER}/transfer", {"to": "nobody", "reason": "x"}, 400, "filling_station"),
        ("POST", f"/{NUMBER}/lose", {"reason": ""}, 400, "length >= 1"),
        ("POST", f"/{NUMBER}/find", {"reason": "x"}, 409, "expected lost, found in_use"),
        ("POST", f"/{NUMBER}/blocks/x/lift", {"reason": "x"}, 404, "expected a number"),
        ("GET", "/A2", None, 404, "no cylinder"),
        ("GET", "?state=full", None, 400, "found 'full'"),
        ("GET", "?due_before=soon", None, 400, "YYYY-MM-DD"),
        ("GET", "?colour=red", None, 400, "found 'colour'"),
    ],
)
async def test_refusal_tells_what_was_expected_and_found(
    filled: httpx.AsyncClient, method: str, path: str, body: Any, status: int, detail: str
) -> None:
    answer = await filled.request(method, BASE + path, json=body)
    assert answer.status_code == status, answer.text
    assert detail in answer.json()["detail"]


async def test_list_leads_on_page_by_page(filled: httpx.AsyncClient) -> None:
    for number in (1, 2):
        file = {**FILE, "serial_number": str(number)}
        assert (await filled.put(f"{BASE}/B{number}", json=file)).status_code == 201
    seen, path = [], f"{BASE}?limit=1&filler=gas-a"
    while path:
        answer = await filled.get(path)
        seen += [one["code"] for one in answer.json()]
        path = answer.links.get("next", {}).get("url", "")
    assert sorted(seen) == sorted(["B1", "B2", NUMBER])
    history = await filled.get(f"{BASE}/{NUMBER}/history?limit=1")
    assert [one["what"] for one in history.json()] == ["registered"]


async def test_asset_of_a_cylinder_changes_no_filler_and_stays_one(
    filled: httpx.AsyncClient,
) -> None:
    path = f"/api/v1/assets/{CODE}"
    bodies: list[dict[str, Any]] = [{"parties": {"filler": "gas-b"}}, {"parties": {}}]
    for body in (*bodies, {"kind": "elevator"}):
        answer = await filled.put(path, json=body)
        assert answer.status_code == 409, answer.text
    placed = await filled.put(path, json={"name": "N 1", "attributes": {"district": "龙潭区"}})
    assert placed.status_code == 200
    assert (await filled.get(f"{BASE}/{NUMBER}")).json()["district"] == "龙潭区"


async def test_import_tells_how_far_it_is(world: World, filled: httpx.AsyncClient) -> None:
    table = "code,kind,gas,tare_kg\nC1,lpg_household,lpg,16.5\nC2,lpg_household,lpg,heavy\n"
    path, kind = "/api/v1/cylinder-imports", {"Content-Type": "text/csv; charset=utf-8"}
    answer = await filled.post(path, content=table.encode(), headers=kind)
    assert (answer.status_code, answer.headers["location"]) == (202, f"{path}/1")
    assert (await filled.get(f"{path}/1")).json()["done"] == 0
    await world.services.cylinders.imports.run_waiting()  # type: ignore[attr-defined]
    one = (await filled.get(f"{path}/1")).json()
    assert (one["rows"], one["done"], one["taken"], one["refused"]) == (2, 2, 1, 1)
    assert one["refusals"] == [
        {"line": 3, "field": "tare_kg", "expected": "`float | null`", "found": "'heavy'"}
    ]
    assert [it["id"] for it in (await filled.get(path)).json()] == [1]
    refused = await filled.post(path, content=b"x", headers={"Content-Type": "text/plain"})
    assert refused.status_code == 415
    assert (await filled.get(f"{path}/9")).status_code == 404
