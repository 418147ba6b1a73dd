"""The pages of organisations, sign-up, first steps and leaving."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from cloud.model.organisation import Contact
from cloud.model.principal import EVERYTHING
from cloud.organisations.base import Wanted
from cloud.organisations.signup import ATTEMPTS_MAX, SignUpDesk
from tests.support.firms import (
    DISTRICT,
    OTHER_DISTRICT,
    PASSWORD,
    People,
    client_of,
    credit_code,
    district_details,
    firm_details,
    put,
    with_people,
)
from tests.support.http_services import World

EVIL = '<img src=x onerror="alert(1)">'
FORM = {
    "kind": "enterprise",
    "name": EVIL,
    "credit_code": credit_code(7),
    "district": DISTRICT,
    "category_food": "on",
    "contact_name": "王五",
    "phone": "0432 12345",
    "username": "manager7",
    "password": PASSWORD,
    "again": PASSWORD,
}


@pytest.fixture
async def door(world: World) -> tuple[FastAPI, People]:
    contact = Contact(name="王五", phone="123456")
    await put(world, "firm-a", firm_details(1, name=EVIL, contact=contact))
    await put(world, "firm-b", firm_details(2, districts=(OTHER_DISTRICT,)))
    await put(world, "office", district_details(DISTRICT))
    return with_people(world)


@pytest.fixture
async def guest(door: tuple[FastAPI, People]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(door[0]) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, people: People, role: str, organisation: str) -> None:
    token = people.give(role, organisation)["Authorization"].removeprefix("Bearer ")
    answer = await client.post("/login", data={"token": token})
    assert answer.status_code == 303


@pytest.fixture
async def office(door: tuple[FastAPI, People], guest: httpx.AsyncClient) -> httpx.AsyncClient:
    await sign_in(guest, door[1], "regulator", "office")
    return guest


@pytest.fixture
async def manager(door: tuple[FastAPI, People]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(door[0]) as client:
        await sign_in(client, door[1], "enterprise_manager", "firm-a")
        yield client


async def post(client: httpx.AsyncClient, path: str, page: str, **form: str) -> httpx.Response:
    """Send a form with the token of a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', (await client.get(page)).text)
    assert found
    return await client.post(path, data={"csrf": found[1], **form})


async def test_office_sees_its_firms_only_and_nothing_is_run(office: httpx.AsyncClient) -> None:
    page = await office.get("/organisations")
    assert "firm-a" in page.text
    assert "firm-b" not in page.text
    assert "王五" not in page.text
    assert EVIL not in page.text
    assert "&lt;img src=x" in page.text
    one = await office.get("/organisations/firm-a")
    assert "王五" in one.text
    assert EVIL not in one.text
    for path in ("firm-b", "office", "platform", "nobody", "%00"):
        assert (await office.get(f"/organisations/{path}")).status_code == 404, path
    for query in (
        "after=x",
        "after=1.%00",
        "state=x&kind=%00",
        "text=%25&after=9999999999999999.a",
    ):
        assert (await office.get(f"/organisations?{query}")).status_code == 200, query


async def test_office_decides_on_the_page(office: httpx.AsyncClient, world: World) -> None:
    path, page = "/organisations/firm-a/suspend", "/organisations/firm-a"
    assert (await office.post(path, data={"reason": "x"})).status_code == 403
    answer = await post(office, path, page, reason=" ")
    assert answer.status_code == 400
    assert "请填写原因" in answer.text
    assert (await post(office, path, page, reason="无证")).status_code == 303
    one = world.organisations.peek("firm-a")
    assert one is not None
    assert (one.state, one.reason) == ("suspended", "无证")
    assert (await post(office, path, page, reason="x")).status_code == 409
    for foreign in ("firm-b", "office", "platform"):
        answer = await post(office, f"/organisations/{foreign}/suspend", page, reason="x")
        assert answer.status_code == 404


async def test_manager_sees_the_own_firm_only(manager: httpx.AsyncClient, world: World) -> None:
    answer = await manager.get("/organisations")
    assert answer.headers["location"] == "/organisations/firm-a"
    assert (await manager.get("/organisations/firm-b")).status_code == 404
    page = "/organisations/firm-a"
    answer = await post(manager, f"{page}/contact", page, name="李四", phone="abc")
    assert answer.status_code == 400
    assert "电话只能由数字" in answer.text
    answer = await post(manager, f"{page}/contact", page, name="李四", phone="0432 98765")
    assert answer.status_code == 303
    answer = await post(manager, "/organisations/firm-b/contact", page, name="x", phone="12345")
    assert answer.status_code == 404
    assert (await post(manager, f"{page}/suspend", page, reason="x")).status_code == 403
    one = world.organisations.peek("firm-a")
    assert one is not None
    assert one.contact == Contact(name="李四", phone="0432 98765")


async def test_first_steps_tell_how_far_a_firm_is(
    manager: httpx.AsyncClient, world: World, office: httpx.AsyncClient
) -> None:
    page = await manager.get("/first-steps")
    for way in ("/accounts#invite", "/account#keys"):
        assert f'href="{way}"' in page.text
    assert page.text.count('class="done"') == 1  # somebody can be called
    path = "/first-steps/thing"
    thing = {"kind": "stall", "code": "A-1", "name": "摊位", "district": DISTRICT, "address": "1"}
    answer = await post(manager, path, "/first-steps", **thing)
    assert answer.headers["location"] == "/assets/stall:A-1"
    assert (await manager.get("/assets/stall:A-1")).status_code == 200
    page = await manager.get("/first-steps")
    assert page.text.count('class="done"') == 2
    for wrong, status, word in [
        ({}, 409, "已经登记过"),
        ({"kind": "gateway"}, 400, "请检查种类"),
        ({"code": "../x"}, 400, "编号只能由"),
        ({"code": "A-2", "name": "x" * 300}, 400, "请检查种类"),
    ]:
        answer = await post(manager, path, "/first-steps", **{**thing, **wrong})
        assert answer.status_code == status, wrong
        assert word in answer.text
    await put(world, "firm-a", firm_details(1, quotas={"assets_max": 1}))
    answer = await post(manager, path, "/first-steps", **{**thing, "code": "A-3"})
    assert answer.status_code == 409
    assert "assets_max" in answer.text
    assert (await office.get("/first-steps")).status_code == 404


async def test_leaving_asks_for_the_credit_code_and_signs_out(
    manager: httpx.AsyncClient, world: World
) -> None:
    answer = await post(manager, "/leave", "/leave", credit_code=credit_code(2))
    assert answer.status_code == 400
    assert "与本单位不一致" in answer.text
    assert (await manager.post("/leave", data={"credit_code": credit_code(1)})).status_code == 403
    answer = await post(manager, "/leave", "/leave", credit_code=credit_code(1))
    assert answer.headers["location"] == "/left"
    assert (await manager.get("/left")).status_code == 200
    assert (await manager.get("/organisations/firm-a")).status_code == 303
    one = world.organisations.peek("firm-a")
    assert one is not None
    assert one.state == "left"


async def test_sign_up_page_is_for_everybody_and_answers_all_alike(
    guest: httpx.AsyncClient, world: World
) -> None:
    page = await guest.get("/signup")
    assert page.status_code == 200
    assert DISTRICT in page.text
    assert OTHER_DISTRICT not in page.text
    same = [FORM, FORM, {**FORM, "credit_code": credit_code(1)}]
    answers = [await guest.post("/signup", data=form) for form in same]
    assert {(one.status_code, one.headers["location"]) for one in answers} == {
        (303, "/signup/received")
    }
    waiting = await world.organisations.find(EVERYTHING, Wanted(states=["applied"]))
    assert [(one.name, one.repeated) for one in waiting] == [(EVIL, 1)]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"credit_code": "91220202MA0TRACE9X"}, "统一社会信用代码不正确"),
        ({"district": OTHER_DISTRICT}, "请选择所在区县"),
        ({"category_food": ""}, "请至少选择一个产品类别"),
        ({"contact_name": ""}, "请填写联系人"),
        ({"username": "A B"}, "登录名应为"),
        ({"again": "another"}, "两次输入的口令不一致"),
        ({"password": "short", "again": "short"}, "口令太弱"),
        ({"kind": "platform"}, "请选择单位类型"),
    ],
)
async def test_sign_up_says_what_is_wrong_and_keeps_all_but_the_password(
    guest: httpx.AsyncClient, wrong: dict[str, str], word: str
) -> None:
    answer = await guest.post("/signup", data={**FORM, **wrong})
    assert answer.status_code == 400
    assert word in answer.text
    assert "&lt;img src=x" in answer.text
    assert EVIL not in answer.text
    assert PASSWORD not in answer.text


async def test_sign_up_from_another_site_or_too_often_is_refused(
    guest: httpx.AsyncClient, world: World
) -> None:
    answer = await guest.post("/signup", data=FORM, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert isinstance(world.services.sign_ups, SignUpDesk)
    world.services.sign_ups._hash = str
    for _ in range(ATTEMPTS_MAX):
        assert (await guest.post("/signup", data=FORM)).status_code == 303
    answer = await guest.post("/signup", data=FORM)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3600"
    assert "3600" in answer.text


async def test_sign_up_is_closed_where_no_district_confirms(
    visitor: httpx.AsyncClient,
) -> None:
    page = await visitor.get("/signup")
    assert "没有区县开放入驻" in page.text
    assert 'name="password"' not in page.text
