"""A handheld over HTTP: from its code to the day it is lost."""

from typing import cast

import httpx
import pytest
from sqlalchemy import insert

from cloud.access.book import AccessBook
from cloud.model.people_tables import account
from tests.support.firms import firm_details, put
from tests.support.http_services import World

BASE = "/api/v1/devices"


@pytest.fixture
async def clerk(world: World) -> int:
    await put(world, "firm-a", firm_details(1))
    now_ms = world.clock.wall_ms()
    row = {
        "id": 5,
        "username": "zhao",
        "name": "赵六",
        "organisation": "firm-a",
        "roles": '["enterprise_clerk"]',
        "recovery": "[]",
        "state": "active",
        "failures": 0,
        "created_at": now_ms,
        "updated_at": now_ms,
    }
    world.database.write_now(lambda c: c.execute(insert(account).values(**row)))
    await cast("AccessBook", world.services.access).refresh()
    return 5


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_handheld_from_its_code_until_it_is_lost(
    client: httpx.AsyncClient, clerk: int
) -> None:
    code = (await client.post(f"{BASE}/codes", json={"account": clerk})).json()["code"]
    body = {"code": code, "name": " hall  3 "}
    issued = await client.post(BASE, json=body, headers=bearer("nobody's"))
    assert issued.status_code == 201
    told = issued.json()
    assert set(told) == {"id", "token", "expires_at", "renew_at", "offline_grace_s"}
    assert (await client.post(BASE, json=body)).status_code == 403
    held = bearer(told["token"])
    assert (await client.get("/api/v1/scans", headers=held)).status_code == 200
    for method, path in (("GET", BASE), ("GET", "/api/v1/accounts"), ("GET", "/api/v1/audit")):
        assert (await client.request(method, path, headers=held)).status_code == 403
    renewed = await client.post(f"{BASE}/renew", headers=held)
    held = bearer(renewed.json()["token"])
    (listed,) = (await client.get(BASE)).json()
    assert (listed["name"], listed["account"]) == ("hall 3", clerk)
    assert not {"token", "sha256", "previous_sha256"} & set(listed)
    assert (await client.delete(f"{BASE}/{told['id']}")).status_code == 200
    for method, path in (("GET", "/api/v1/scans"), ("POST", f"{BASE}/renew")):
        answer = await client.request(method, path, headers=held)
        assert answer.status_code == 401
        assert answer.json()["type"] == "urn:suyuan:problem:device_revoked"
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (BASE, {"code": "x", "name": "h", "account": 1}, 400),
        (BASE, {"code": "x", "name": ""}, 400),
        (BASE, {"code": "x", "name": "a\r\nb"}, 400),
        (BASE, {"code": "x", "name": "h"}, 403),
        (f"{BASE}/codes", {"account": 1, "organisation": "firm-a"}, 400),
        (f"{BASE}/codes", {"account": 999}, 404),
        (f"{BASE}/codes", {}, 404),  # the administrator's token is no account
        (f"{BASE}/renew", {}, 401),
    ],
)
async def test_what_is_asked_wrongly_is_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, object], status: int
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
