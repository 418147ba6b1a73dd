"""The calls below /api/v1/organisations, and the sign-up."""

import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from cloud.model.organisation import Contact
from cloud.model.people_tables import account, audit
from cloud.organisations.signup import ATTEMPTS_MAX, SignUpDesk
from tests.support.firms import (
    DISTRICT,
    OTHER_DISTRICT,
    People,
    application,
    client_of,
    credit_code,
    district_details,
    firm_details,
    put,
    with_people,
)
from tests.support.http_services import TOKEN, World

ROOT = {"Authorization": f"Bearer {TOKEN}"}
BASE = "/api/v1/organisations"
BODY = {
    "kind": "enterprise",
    "name": "企业 5",
    "credit_code": credit_code(5),
    "districts": [DISTRICT],
    "categories": ["food"],
}


@pytest.fixture
async def door(world: World) -> tuple[FastAPI, People]:
    contact = Contact(name="王五", phone="123456")
    await put(world, "firm-a", firm_details(1, contact=contact))
    await put(world, "firm-b", firm_details(2, districts=(OTHER_DISTRICT,), contact=contact))
    await put(world, "office", district_details(DISTRICT))
    return with_people(world)


@pytest.fixture
def people(door: tuple[FastAPI, People]) -> People:
    return door[1]


@pytest.fixture
async def client(door: tuple[FastAPI, People]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(door[0]) as client:
        yield client


@pytest.fixture
async def root(world: World, people: People) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(world.app) as client:
        client.headers.update(ROOT)
        yield client


def entries(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (call, subject, detail) of the audit."""
    query = select(audit.c.call, audit.c.subject, audit.c.detail).order_by(audit.c.seq)
    rows = world.database.read_now(lambda c: c.execute(query).all())
    return [(row.call, row.subject, json.loads(row.detail)) for row in rows]


async def test_administrator_makes_and_changes_one(root: httpx.AsyncClient, world: World) -> None:
    answer = await root.put(f"{BASE}/firm-c", json={**BODY, "contact": {"name": "李四"}})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["state"], made["decided_by"]) == ("active", "token:admin")
    assert made["applied_at"].endswith("Z")
    assert made["quotas"]["keys_max"] == 10
    answer = await root.put(f"{BASE}/firm-c", json={**BODY, "quotas": {"keys_max": 1}})
    assert answer.status_code == 200
    assert answer.json()["contact"] == {"name": "李四", "phone": ""}
    assert answer.json()["quotas"]["keys_max"] == 1
    call, subject, detail = entries(world)[-1]
    assert (call, subject) == ("organisations.write", "organisation:firm-c")
    assert detail == {"kind": "enterprise", "changed": ["quotas"]}


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "state": "active"},
        {**BODY, "id": "other"},
        {**BODY, "decided_by": "me"},
        {**BODY, "quotas": {"lifts_max": 1}},
        {**BODY, "quotas": {"keys_max": -1}},
        {**BODY, "quotas": {"keys_max": 1e99}},
        {**BODY, "contact": {"name": "x", "mail": "y"}},
        {**BODY, "name": "x" * 4_096},
        {**BODY, "name": "a\r\nSet-Cookie: x"},
        {**BODY, "districts": "船营区"},
        {"kind": "enterprise"},
        [],
        None,
    ],
)
async def test_body_with_anything_else_is_refused(root: httpx.AsyncClient, body: Any) -> None:
    answer = await root.put(f"{BASE}/firm-c", json=body)
    assert answer.status_code == 400
    assert (await root.get(f"{BASE}/firm-c")).status_code == 404


@pytest.mark.parametrize("name", ["UPPER", "-a", "a" * 33, "a_b", "a%0Ab", "a%00b", "船"])
async def test_id_that_is_none_is_refused(root: httpx.AsyncClient, name: str) -> None:
    assert (await root.put(f"{BASE}/{name}", json=BODY)).status_code == 400
    assert (await root.get(f"{BASE}/{name}")).status_code == 404


async def test_credit_code_of_another_is_told_to_the_administrator(
    root: httpx.AsyncClient,
) -> None:
    answer = await root.put(f"{BASE}/firm-c", json={**BODY, "credit_code": credit_code(1)})
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("credit_code_taken")


async def test_list_is_paged_narrowed_and_without_personal_data(root: httpx.AsyncClient) -> None:
    seen: list[str] = []
    path: str | None = f"{BASE}?limit=1"
    while path:
        answer = await root.get(path)
        seen += [one["id"] for one in answer.json()]
        assert "王五" not in answer.text
        path = answer.links["next"]["url"] if "next" in answer.links else None
    assert sorted(seen) == ["firm-a", "firm-b", "office", "platform"]
    answer = await root.get(BASE, params={"kind": "enterprise", "text": "企业 2"})
    assert [one["id"] for one in answer.json()] == ["firm-b"]
    for query in ("state=gone", "after=x", "after=1.B", "limit=0", "limit=1001", "sort=name"):
        assert (await root.get(f"{BASE}?{query}")).status_code == 400, query


async def test_look_at_a_contact_is_noted_and_one_that_finds_nothing_is_not(
    client: httpx.AsyncClient, people: People, world: World
) -> None:
    office = people.give("regulator", "office")
    answer = await client.get(f"{BASE}/firm-a", headers=office)
    assert answer.json()["contact"]["name"] == "王五"
    shown = {"shown": ["organisation.contact"]}
    assert entries(world) == [("organisations.read", "organisation:firm-a", shown)]
    foreign = await client.get(f"{BASE}/firm-b", headers=office)
    missing = await client.get(f"{BASE}/firm-x", headers=office)
    assert foreign.status_code == missing.status_code == 404
    assert foreign.text.replace("firm-b", "") == missing.text.replace("firm-x", "")
    assert len(entries(world)) == 1


async def test_nobody_reaches_an_organisation_of_others(
    client: httpx.AsyncClient, people: People
) -> None:
    manager = people.give("enterprise_manager", "firm-a")
    clerk = people.give("enterprise_clerk", "firm-a")
    office = people.give("regulator", "office")
    reason = {"reason": "x"}
    for headers, method, path, body, status in [
        (manager, "GET", "firm-b", None, 404),
        (manager, "PATCH", "firm-b", {"contact": {"name": "x"}}, 404),
        (manager, "GET", "firm-b/export", None, 404),
        (manager, "POST", "firm-b/leave", {"credit_code": credit_code(2)}, 404),
        (manager, "POST", "firm-b/suspend", reason, 403),
        (manager, "POST", "firm-a/suspend", reason, 403),
        (manager, "PUT", "firm-a", BODY, 403),
        (clerk, "PATCH", "firm-a", {"contact": {"name": "x"}}, 403),
        (clerk, "GET", "firm-a/export", None, 403),
        (clerk, "POST", "firm-a/leave", {"credit_code": credit_code(1)}, 403),
        (office, "GET", "office", None, 404),
        (office, "GET", "platform", None, 404),
        (office, "POST", "firm-b/suspend", reason, 404),
        (office, "POST", "office/suspend", reason, 404),
        (office, "POST", "platform/suspend", reason, 404),
        (office, "PUT", "firm-a", BODY, 403),
        (office, "PATCH", "firm-a", {"contact": {"name": "x"}}, 403),
        (office, "GET", "firm-a/export", None, 403),
        (office, "POST", "firm-a/leave", {"credit_code": credit_code(1)}, 403),
    ]:
        answer = await client.request(method, f"{BASE}/{path}", headers=headers, json=body)
        assert answer.status_code == status, (method, path, answer.text)
    listed = [one["id"] for one in (await client.get(BASE, headers=manager)).json()]
    assert listed == ["firm-a"]
    listed = [one["id"] for one in (await client.get(BASE, headers=office)).json()]
    assert listed == ["firm-a"]


async def test_manager_changes_whom_to_call_and_nothing_else(
    client: httpx.AsyncClient, people: People, world: World
) -> None:
    manager = people.give("enterprise_manager", "firm-a")
    answer = await client.patch(
        f"{BASE}/firm-a", json={"contact": {"phone": "0432"}}, headers=manager
    )
    assert answer.status_code == 400
    change = {"contact": {"phone": "0432 12345"}}
    answer = await client.patch(f"{BASE}/firm-a", json=change, headers=manager)
    assert answer.json()["contact"] == {"name": "王五", "phone": "0432 12345"}
    detail = {"changed": ["contact.phone"]}
    assert entries(world)[0] == ("organisations.write", "organisation:firm-a", detail)
    wrong: list[Any] = [
        {"name": "x"},
        {"contact": {}, "quotas": {}},
        {"contact": {"state": "x"}},
        {},
    ]
    for body in wrong:
        answer = await client.patch(f"{BASE}/firm-a", json=body, headers=manager)
        assert answer.status_code == 400, body


async def test_district_decides_with_a_reason(
    client: httpx.AsyncClient, people: People, world: World
) -> None:
    office = people.give("regulator", "office")
    manager = people.give("enterprise_manager", "firm-a")
    assert (await client.post(f"{BASE}/firm-a/suspend", headers=office)).status_code == 400
    reason = {"reason": "无证经营"}
    answer = await client.post(f"{BASE}/firm-a/suspend", json=reason, headers=office)
    assert (answer.json()["state"], answer.json()["reason"]) == ("suspended", "无证经营")
    assert entries(world)[-1][2] == {"step": "suspend"}
    assert (await client.get(f"{BASE}/firm-a", headers=manager)).status_code == 401
    answer = await client.post(f"{BASE}/firm-a/confirm", headers=office)
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("wrong_state")
    assert (await client.post(f"{BASE}/firm-a/resume", headers=office)).status_code == 200
    assert (await client.get(f"{BASE}/firm-a", headers=manager)).status_code == 200


async def sign_up(client: httpx.AsyncClient, number: int, **fields: Any) -> httpx.Response:
    return await client.post("/api/v1/signup", json=application(number, **fields))


async def test_sign_up_answers_all_alike(client: httpx.AsyncClient, world: World) -> None:
    answers = [
        await sign_up(client, 7),
        await sign_up(client, 7, username="other"),  # waits already
        await sign_up(client, 1),  # is a member
        await sign_up(client, 8, username="manager7"),  # a username that is taken
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.text for answer in answers} == {'{"state":"received"}'}
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1
    assert [call for call, *_ in entries(world)] == ["organisations.sign_up"] * 4
    assert "王五" not in str(entries(world))


@pytest.mark.parametrize(
    "extra",
    [
        {"state": "active"},
        {"id": "platform"},
        {"quotas": {"assets_max": 10_000_000}},
        {"roles": ["administrator"]},
        {"organisation": "firm-a"},
        {"department": "health"},
        {"contact": {"name": "x", "phone": "123456", "state": "active"}},
        {"kind": "platform"},
        {"kind": "district"},
        {"districts": [OTHER_DISTRICT]},  # no office there
        {"districts": []},
        {"name": "<b>\u202e"},
        {"name": "x" * 4_096},
        {"password": "short"},
        {"credit_code": "91220202MA0TRACE9X"},
    ],
)
async def test_sign_up_takes_nothing_else(
    client: httpx.AsyncClient, world: World, extra: dict[str, Any]
) -> None:
    answer = await sign_up(client, 7, **extra)
    assert answer.status_code == 400
    rows = world.database.read_now(lambda c: c.execute(select(account)).all())
    assert rows == []


async def test_sign_up_too_often_is_429(client: httpx.AsyncClient, world: World) -> None:
    assert isinstance(world.services.sign_ups, SignUpDesk)
    world.services.sign_ups._hash = str  # so that twenty of them are quick
    for _ in range(ATTEMPTS_MAX):
        assert (await sign_up(client, 7)).status_code == 202
    answer = await sign_up(client, 7)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3600"


async def test_firm_registers_within_its_quota(
    client: httpx.AsyncClient, people: People, world: World
) -> None:
    await put(world, "firm-a", firm_details(1, quotas={"assets_max": 2}))
    manager = people.give("enterprise_manager", "firm-a")
    office = people.give("regulator", "office")
    for number in range(2):
        answer = await client.put(f"/api/v1/assets/stall:{number}", json={}, headers=manager)
        assert answer.status_code == 201
    answer = await client.put("/api/v1/assets/stall:2", json={}, headers=manager)
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("quota_reached")
    assert answer.json()["detail"] == "assets_max: at most 2"
    assert await world.registry.get("stall:2") is None
    answer = await client.put("/api/v1/assets/stall:1", json={"name": "x"}, headers=manager)
    assert answer.status_code == 200  # what is there may be changed
    body = {"attributes": {"district": DISTRICT}, "parties": {"owner": "firm-a"}}
    answer = await client.put("/api/v1/assets/stall:3", json=body, headers=office)
    assert answer.status_code == 201  # an office registers beyond it


async def test_firm_takes_its_data_along_and_leaves(
    client: httpx.AsyncClient, people: People, world: World
) -> None:
    manager = people.give("enterprise_manager", "firm-a")
    await client.put("/api/v1/assets/stall:1", json={"name": "摊位"}, headers=manager)
    answer = await client.get(f"{BASE}/firm-a/export", headers=manager)
    assert answer.headers["content-type"] == "application/zip"
    disposition = 'attachment; filename="suyuan-firm-a.zip"'
    assert answer.headers["content-disposition"] == disposition
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert "摊位" in archive.read("assets.jsonl").decode()
    assert "organisations.export" in archive.read("audit.jsonl").decode()
    for body in ({}, {"credit_code": credit_code(2)}, {"credit_code": "", "state": "left"}):
        answer = await client.post(f"{BASE}/firm-a/leave", json=body, headers=manager)
        assert answer.status_code == 400
    body = {"credit_code": credit_code(1)}
    answer = await client.post(f"{BASE}/firm-a/leave", json=body, headers=manager)
    assert (answer.status_code, answer.json()["state"]) == (200, "left")
    gone = world.organisations.peek("firm-a")
    assert gone is not None
    assert not gone.contact
    assert (await client.get(f"{BASE}/firm-a", headers=manager)).status_code == 401
    asset = await world.registry.get("stall:1")
    assert asset is not None
    assert asset.parties == {"owner": "firm-a"}
    assert (await sign_up(client, 1)).status_code == 202
