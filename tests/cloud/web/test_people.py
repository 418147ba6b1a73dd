"""Accounts on pages: what is refused, what is shown once, and what leads where."""

import html
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pyotp
import pytest
from fastapi import FastAPI

from cloud.access import passwords
from cloud.access.attempts import FREE_FAILURES
from cloud.access.book import AccessBook
from cloud.access.passwords import hash_password
from cloud.access.second_factor import STEP_S
from cloud.model.account import Account
from cloud.model.organisation import Details
from cloud.model.permissions import administrator
from cloud.model.principal import EVERYTHING, Granted
from cloud.model.session import SESSION_COOKIE
from cloud.web.people_page import SHOWN
from protocols.clock import ManualClock
from tests.support.firms import (
    DISTRICT,
    OTHER_DISTRICT,
    PASSWORD,
    client_of,
    firm_details,
    put,
)
from tests.support.http_services import World
from tests.support.people import HASH, QUICK, unnoted

NEW = {"password": "another long one", "again": "another long one"}
MANAGER, CLERK, STRANGER, OFFICER = range(1, 5)
FORMS = {
    "/accounts": {"username": "new.one", "name": "新人", "role": "enterprise_clerk"},
    f"/accounts/{CLERK}/change": {"name": "新名", "role": "enterprise_clerk"},
    f"/accounts/{CLERK}/disable": {},
    f"/accounts/{CLERK}/enable": {},
    f"/accounts/{CLERK}/reset": {},
    f"/accounts/{MANAGER}/hand-over": {"to": str(CLERK)},
    "/account/password": {"old": PASSWORD, **NEW},
    "/account/second-factor": {},
    "/account/second-factor/confirm": {"sealed": "x", "code": "0", "password": PASSWORD},
    "/account/second-factor/drop": {"password": PASSWORD},
    "/account/sessions/0/end": {},
    "/account/keys": {"name": "k", "days": "90", "call": "assets.read"},
    "/account/keys/1/revoke": {},
    "/account/handhelds/0/revoke": {},
}


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", QUICK)
    monkeypatch.setattr(passwords, "NOBODYS", HASH)


@pytest.fixture
async def app(world: World) -> FastAPI:
    """Two firms and a department, with people in them."""
    for number, firm in enumerate(("firm-a", "firm-b"), 1):
        await put(world, firm, firm_details(number))
    details = Details(kind="department", name="市监局", department="market_supervision")
    await put(world, "bureau", details)
    for username, organisation, role in (
        ("manager", "firm-a", "enterprise_manager"),
        ("clerk", "firm-a", "enterprise_clerk"),
        ("stranger", "firm-b", "enterprise_manager"),
        ("officer", "bureau", "regulator"),
    ):
        account = Account(
            id=0,
            username=username,
            name=f"姓名 {username}",
            organisation=organisation,
            roles=(role,),
            password=hash_password(PASSWORD),
            state="active",
            created_at=1,
            updated_at=1,
        )
        await access(world).accounts.add(account, note=lambda _: lambda _: None)
    return world.app


def access(world: World) -> AccessBook:
    assert isinstance(world.services.access, AccessBook)
    return world.services.access


def account(world: World, number: int) -> Account:
    found = access(world).accounts.get(number)
    assert found is not None
    return found


async def _client(app: FastAPI, world: World, number: int) -> httpx.AsyncClient:
    client = client_of(app)
    opened = await access(world).open_session(number, second_factor=False)
    client.cookies.set(SESSION_COOKIE, opened.cookie)
    return client


@pytest.fixture
async def manager(app: FastAPI, world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with await _client(app, world, MANAGER) as client:
        yield client


@pytest.fixture
async def clerk(app: FastAPI, world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with await _client(app, world, CLERK) as client:
        yield client


@pytest.fixture
async def officer(app: FastAPI, world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with await _client(app, world, OFFICER) as client:
        yield client


async def post(client: httpx.AsyncClient, path: str, form: Any = None) -> httpx.Response:
    found = re.search(r'name="csrf" value="([^"]+)"', (await client.get("/account")).text)
    assert found
    return await client.post(path, data={"csrf": found[1], **(form or {})})


async def shown(client: httpx.AsyncClient, path: str, form: Any = None) -> httpx.Response:
    """Post, and follow to what is shown once: its address tells nothing, nor does its cookie."""
    answer = await post(client, path, form)
    assert answer.status_code == 303, answer.text
    page = await client.get(answer.headers["location"])
    assert page.status_code == 200
    (cookie,) = [one for one in answer.headers.get_list("set-cookie") if "suyuan_once" in one]
    for secret in re.findall(r"shown-once\">([^<]+)<|<li><code>([^<]+)<", page.text):
        for hidden in filter(None, secret):
            assert hidden not in answer.headers["location"] + cookie + answer.text
    assert "HttpOnly" in cookie
    assert 'suyuan_once=""' in page.headers["set-cookie"]
    return page


@pytest.mark.parametrize("path", sorted(FORMS))
async def test_form_of_elsewhere_is_refused(
    manager: httpx.AsyncClient, world: World, path: str
) -> None:
    before = [account(world, number) for number in (MANAGER, CLERK)]
    for data in ({}, {"csrf": "x"}):
        answer = await manager.post(path, data={**FORMS[path], **data})
        assert answer.status_code == 403, path
    found = re.search(r'name="csrf" value="([^"]+)"', (await manager.get("/account")).text)
    assert found
    data, headers = {**FORMS[path], "csrf": found[1]}, {"Origin": "https://evil.example"}
    assert (await manager.post(path, data=data, headers=headers)).status_code == 403
    assert [account(world, number) for number in (MANAGER, CLERK)] == before


async def test_code_is_shown_once_and_redeemed_once(
    manager: httpx.AsyncClient, world: World, app: FastAPI
) -> None:
    answer = await shown(manager, "/accounts", FORMS["/accounts"])
    found = re.search(r"[0-9A-Z]{5}(-[0-9A-Z]{5}){3}", answer.text)
    assert found
    assert answer.headers["cache-control"] == "no-store"
    for path in ("/accounts", "/accounts/5", "/accounts/5/code", "/account"):
        assert found[0] not in (await manager.get(path)).text
    async with client_of(app) as guest:
        headers = {"Origin": "https://evil.example"}
        form = {"code": found[0], **NEW}
        assert (await guest.post("/redeem", data=form, headers=headers)).status_code == 403
        for wrong, status, word in (
            ({"code": "AAAAA"}, 403, "代码不正确"),
            ({"again": "another"}, 400, "两次输入的密码不一致"),
            ({"password": "short", "again": "short"}, 400, "密码太弱"),
            ({"password": "123456789012", "again": "123456789012"}, 400, "密码太弱"),
            ({"password": "new.one new.one x", "again": "new.one new.one x"}, 400, "密码太弱"),
        ):
            answer = await guest.post("/redeem", data={**form, **wrong})
            assert answer.status_code == status, wrong
            assert word in answer.text
            assert wrong.get("password", NEW["password"]) not in answer.text
        assert account(world, 5).state == "invited"
        answer = await guest.post("/redeem", data=form)
        assert answer.headers["location"] == "/redeem/done"
        assert (await guest.get("/redeem/done")).status_code == 200
        assert (await guest.post("/redeem", data=form)).status_code == 403
    assert account(world, 5).state == "active"


async def test_another_organisations_people_do_not_exist(
    manager: httpx.AsyncClient, world: World
) -> None:
    page = await manager.get("/accounts?organisation=firm-b")
    assert "姓名 clerk" in page.text
    assert "姓名 stranger" not in page.text
    for number in (STRANGER, OFFICER, 99, "x", "%00", "9" * 30):
        assert (await manager.get(f"/accounts/{number}")).status_code == 404
        for verb in ("change", "disable", "enable", "reset", "hand-over"):
            answer = await post(manager, f"/accounts/{number}/{verb}", {"to": str(CLERK)})
            assert answer.status_code == 404, (number, verb)
    for to in (STRANGER, "x", 99):
        answer = await post(manager, f"/accounts/{MANAGER}/hand-over", {"to": str(to)})
        assert answer.status_code == 404
    for organisation in ("firm-b", "platform", "nobody"):
        form = {**FORMS["/accounts"], "organisation": organisation}
        assert (await post(manager, "/accounts", form)).status_code == 404
    assert account(world, STRANGER).state == "active"
    assert access(world).accounts.get(5) is None


async def test_only_what_a_form_asks_for_is_taken(manager: httpx.AsyncClient, world: World) -> None:
    for role in ("administrator", "regulator", "filling_worker", "nonsense"):
        form = {**FORMS["/accounts"], "role": role}
        assert (await post(manager, "/accounts", form)).status_code == 403, role
    for name, value, word in (
        ("username", "A B", "用户名应为"),
        ("username", "clerk", "该用户名已被使用"),
        ("name", "", "请填写姓名"),
        ("role", "", "请至少选择一个角色"),
        ("district", "别处", "无权授予"),
    ):
        answer = await post(manager, "/accounts", {**FORMS["/accounts"], name: value})
        assert answer.status_code in (400, 403, 409)
        assert word in answer.text, name
    more = {"state": "active", "password": "x", "second_factor": "x", "id": "1"}
    assert (await post(manager, "/accounts", {**FORMS["/accounts"], **more})).status_code == 303
    made = account(world, 5)
    assert (made.state, made.password, made.second_factor) == ("invited", None, None)
    more = {"roles": "administrator", "organisation": "firm-b", "name": "else"}
    assert (await post(manager, f"/accounts/{CLERK}/disable", more)).status_code == 303
    changed = account(world, CLERK)
    assert (changed.state, changed.name) == ("disabled", "姓名 clerk")
    assert (changed.roles, changed.organisation) == (("enterprise_clerk",), "firm-a")


async def test_name_roles_and_places_are_changed_and_no_more(
    manager: httpx.AsyncClient, world: World
) -> None:
    wide = firm_details(1, districts=(DISTRICT, OTHER_DISTRICT), categories=("food", "farm_inputs"))
    await put(world, "firm-a", wide)
    path = f"/accounts/{CLERK}/change"
    for wrong, status, word in (
        ({"role": ""}, 400, "请至少选择一个角色"),
        ({"name": " "}, 400, "请填写姓名"),
        ({"role": "administrator"}, 403, "无权授予"),
        ({"district": "别处"}, 403, "无权授予"),
        ({"category": "drugs"}, 403, "无权授予"),
    ):
        answer = await post(manager, path, {**FORMS[path], **wrong})
        assert answer.status_code == status, wrong
        assert word in answer.text
    form = {
        "name": " 新  名 ",
        "role": ["enterprise_clerk", "enterprise_manager"],
        "district": DISTRICT,
        "username": "root",
        "organisation": "firm-b",
        "state": "disabled",
        "password": "x",
    }
    before = account(world, CLERK)
    answer = await post(manager, path, form)
    assert answer.headers["location"] == f"/accounts/{CLERK}"
    after = account(world, CLERK)
    roles = ("enterprise_clerk", "enterprise_manager")
    assert (after.name, after.roles, after.districts) == ("新 名", roles, (DISTRICT,))
    same = ("username", "organisation", "state", "password", "categories")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    page = await manager.get(f"/accounts/{CLERK}")
    assert re.findall(r'value="(\S+)" checked', page.text) == [
        *sorted(roles, reverse=True),
        DISTRICT,
    ]
    assert (await post(manager, path, FORMS[path])).status_code == 303
    assert account(world, CLERK).districts is None, "none ticked: as wide as the organisation"


async def test_last_manager_takes_no_role_from_themselves(
    manager: httpx.AsyncClient, world: World
) -> None:
    form = {"name": "姓名", "role": "enterprise_clerk"}
    answer = await post(manager, f"/accounts/{MANAGER}/change", form)
    assert answer.status_code == 409
    assert "请先移交" in answer.text


async def test_long_list_goes_on_by_pages(manager: httpx.AsyncClient, world: World) -> None:
    template = account(world, CLERK)
    for number in range(SHOWN + 1):
        one = msgspec.structs.replace(template, username=f"more.{number:03}", name=f"多 {number}")
        await access(world).accounts.add(one, note=lambda _: lambda _: None)
    seen: list[str] = []
    path: str | None = "/accounts"
    while path:
        page = (await manager.get(path)).text
        shown = re.findall(r"<code>([a-z0-9.]+)</code>", page)
        assert len(shown) <= SHOWN
        seen += shown
        further = re.search(r'href="(/accounts\?[^"]*after=\d+)"', page)
        path = html.unescape(further[1]) if further else None
    assert seen == ["clerk", "manager", *(f"more.{number:03}" for number in range(SHOWN + 1))]
    for nonsense in ("x", "-1", f"{STRANGER}", "9" * 30):  # what is not there is the first page
        assert ">clerk<" in (await manager.get(f"/accounts?after={nonsense}")).text


async def test_last_manager_stays_until_it_is_handed_over(
    manager: httpx.AsyncClient, world: World
) -> None:
    answer = await post(manager, f"/accounts/{MANAGER}/disable")
    assert answer.status_code == 409
    assert "请先移交" in answer.text
    opened = await access(world).open_session(MANAGER, second_factor=False)
    manager.cookies.set(SESSION_COOKIE, opened.cookie)
    answer = await post(manager, f"/accounts/{MANAGER}/hand-over", {"to": str(CLERK)})
    assert answer.status_code == 303
    assert "enterprise_manager" in account(world, CLERK).roles
    assert (await manager.get("/accounts")).headers["location"] == "/account"


async def test_who_looks_after_nobody_sees_only_the_own_account(clerk: httpx.AsyncClient) -> None:
    assert (await clerk.get("/accounts")).headers["location"] == "/account"
    assert (await clerk.get(f"/accounts/{MANAGER}")).status_code == 404
    for path in ("/accounts", f"/accounts/{MANAGER}/disable", "/account/keys"):
        assert (await post(clerk, path, FORMS.get(path))).status_code == 403, path
    page = await clerk.get("/account")
    assert "接口密钥" not in page.text
    assert 'href="/accounts"' not in page.text


async def test_password_is_changed_with_the_present_one(
    clerk: httpx.AsyncClient, world: World
) -> None:
    for wrong, word in (
        ({"old": "x"}, "当前密码不正确"),
        ({"again": "x"}, "两次输入的密码不一致"),
        ({"password": "a" * 20, "again": "a" * 20}, "密码太弱"),
    ):
        form = {"old": PASSWORD, **NEW, **wrong}
        answer = await post(clerk, "/account/password", form)
        assert answer.status_code == 400
        assert word in answer.text
    other = await access(world).open_session(CLERK, second_factor=False)
    foreign = await access(world).open_session(STRANGER, second_factor=False)
    assert (await post(clerk, f"/account/sessions/{foreign.id}/end")).status_code == 404
    answer = await post(clerk, "/account/password", {"old": PASSWORD, **NEW})
    assert answer.headers["location"] == "/account?done=password"
    assert access(world).session(other.cookie) is None
    assert access(world).session(foreign.cookie) is not None
    assert "密码已修改" in (await clerk.get("/account?done=password")).text
    assert (await clerk.get("/account?done=<script>")).status_code == 200


async def test_second_factor_that_a_role_asks_for_comes_first(
    officer: httpx.AsyncClient, world: World
) -> None:
    for path in ("/", "/organisations", "/accounts", "/audit", "/fleet"):
        assert (await officer.get(path)).headers["location"] == "/account", path
        part = await officer.get(path, headers={"HX-Request": "true"})
        assert part.status_code == 403
    assert "请先在此完成设置" in (await officer.get("/account")).text
    assert (await post(officer, "/accounts", FORMS["/accounts"])).status_code == 403
    assert (await officer.get("/api/v1/assets/elevator:1")).status_code == 403
    begun = await shown(officer, "/account/second-factor")
    assert "style=" not in begun.text
    secret = re.search(r'id="secret"[^>]*>([A-Z2-7 ]+)<', begun.text)
    sealed = re.search(r'name="sealed" value="([^"]+)"', begun.text)
    assert secret
    assert sealed
    now_s = world.clock.wall_ms() // 1000
    totp = pyotp.TOTP(secret[1].replace(" ", ""))
    right = {"sealed": sealed[1], "code": totp.at(now_s), "password": PASSWORD}
    for wrong in ({"code": totp.at(now_s + 10 * STEP_S)}, {"password": "x"}, {"sealed": "x"}):
        answer = await post(officer, "/account/second-factor/confirm", {**right, **wrong})
        assert answer.status_code == 400
        assert secret[1] not in answer.text
    again = await officer.get("/account/second-factor")
    assert secret[1] not in again.text
    answer = await shown(officer, "/account/second-factor/confirm", right)
    codes = re.findall(r"<code>([0-9a-f]{8}-[0-9a-f]{8})</code>", answer.text)
    assert len(set(codes)) == 10
    assert codes[0] not in (await officer.get(str(answer.url))).text
    assert (await officer.get("/account")).headers["location"].startswith("/login")
    assert account(world, OFFICER).second_factor is not None
    opened = await access(world).open_session(OFFICER, second_factor=True)
    officer.cookies.set(SESSION_COOKIE, opened.cookie)
    assert codes[0] not in (await officer.get("/account")).text
    answer = await post(officer, "/account/second-factor/drop", {"password": PASSWORD})
    assert answer.status_code == 400
    assert account(world, OFFICER).second_factor is not None


async def test_key_is_shown_once_and_may_no_more_than_ticked(
    manager: httpx.AsyncClient, app: FastAPI
) -> None:
    for wrong, status, word in (
        ({"call": "audit.read"}, 400, "无权授予"),
        ({"call": "account.use"}, 400, "无权授予"),
        ({"call": ""}, 400, "至少选择一项"),
        ({"days": "9999"}, 400, "请选择有效期"),
        ({"name": " "}, 400, "请填写用途"),
    ):
        answer = await post(manager, "/account/keys", {**FORMS["/account/keys"], **wrong})
        assert answer.status_code == status
        assert word in answer.text
    calls = ["accounts.read", "assets.read"]
    answer = await shown(manager, "/account/keys", {"name": "k", "days": "30", "call": calls})
    token = re.search(r"sk_[\w-]{40,}", answer.text)
    assert token
    for path in ("/account", "/account/keys/1"):
        assert token[0] not in (await manager.get(path)).text
    headers = {"Authorization": f"Bearer {token[0]}"}
    body = {"old": PASSWORD, "new": NEW["password"]}
    async with client_of(app) as program:
        program.headers.update(headers)
        assert (await program.get("/api/v1/accounts")).status_code == 200
        assert (await program.get("/api/v1/me")).status_code == 403
        assert (await program.get("/api/v1/alarms")).status_code == 403
        answer = await program.post("/api/v1/me/password", json=body)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:suyuan:problem:forbidden")
        assert (await post(manager, "/account/keys/1/revoke")).status_code == 303
        assert (await program.get("/api/v1/accounts")).status_code == 401


async def test_what_is_shown_once_is_for_its_own_page_and_session(
    manager: httpx.AsyncClient, app: FastAPI, world: World
) -> None:
    async def made() -> tuple[str, str]:
        answer = await post(manager, f"/accounts/{CLERK}/reset")
        return answer.headers["location"], manager.cookies["suyuan_once"]

    code = re.compile(r"[0-9A-Z]{5}(-[0-9A-Z]{5}){3}")
    async with await _client(app, world, MANAGER) as other:  # the same person, elsewhere
        path, cookie = await made()
        other.cookies.set("suyuan_once", cookie)
        assert "只显示一次" in (await other.get(path)).text
        assert not code.search((await other.get(path)).text)
    assert not code.search((await manager.get(f"/accounts/{MANAGER}/code")).text)
    for bent in (cookie[:-8] + "AAAAAAA=", "x", "\udcff", ""):
        sealed = world.services.access.unseal(path, bent, session="")
        assert sealed is None
    assert isinstance(world.clock, ManualClock)
    world.clock.advance(121_000)
    assert not code.search((await manager.get(path)).text)
    path, _ = await made()
    assert code.search((await manager.get(path)).text)


async def test_wrong_present_password_counts_as_a_failed_sign_in(
    clerk: httpx.AsyncClient, world: World, app: FastAPI
) -> None:
    form = {"old": "x", **NEW}
    for _ in range(FREE_FAILURES + 1):
        assert (await post(clerk, "/account/password", form)).status_code == 400
    assert account(world, CLERK).locked_until is not None
    answer = await post(clerk, "/account/password", {**form, "old": PASSWORD})
    assert "当前密码不正确" in answer.text, "locked: no longer told whether it is right"
    async with client_of(app) as stranger:
        answer = await stranger.post("/login", data={"username": "clerk", "password": PASSWORD})
        assert answer.status_code == 401
        while (await post(clerk, "/account/password", form)).status_code == 400:
            pass
        for path in ("/account/second-factor/drop", "/account/second-factor/confirm"):
            answer = await post(clerk, path, FORMS[path])
            assert answer.status_code == 429, "nobody tries on by another form"
            assert int(answer.headers["retry-after"]) > 0
            assert "尝试次数过多" in answer.text
        answer = await stranger.post("/login", data={"username": "clerk", "password": PASSWORD})
        assert answer.status_code == 429


async def test_right_present_password_is_no_failure(clerk: httpx.AsyncClient, world: World) -> None:
    for _ in range(FREE_FAILURES + 1):
        form = {"sealed": "x", "code": "0", "password": PASSWORD}
        answer = await post(clerk, "/account/second-factor/confirm", form)
        assert "验证码不正确" in answer.text
    assert (account(world, CLERK).failures, account(world, CLERK).locked_until) == (0, None)


@pytest.mark.parametrize(
    "path", ["/account/password", "/account/second-factor/confirm", "/account/second-factor/drop"]
)
async def test_too_many_passwords_at_once_are_told_on_a_page(
    clerk: httpx.AsyncClient, world: World, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access(world).verifier, "_waiting", passwords.WAITING_MAX)
    answer = await post(clerk, path, FORMS[path])
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["retry-after"] == "1"
    assert "请稍候再试" in answer.text


async def test_own_handhelds_are_listed_and_a_lost_one_revoked(
    manager: httpx.AsyncClient, clerk: httpx.AsyncClient, world: World, app: FastAPI
) -> None:
    made = {}
    for number, name in ((MANAGER, "PDA-1"), (CLERK, "PDA-2")):
        granted = Granted(
            administrator("token", "token:admin", "admin"), "devices.write", EVERYTHING
        )
        code, _ = await world.services.devices.invite(number, granted, unnoted)
        issued = await world.services.devices.issue(code, name, lambda _: lambda _: None)
        made[number] = issued
    page = await manager.get("/account")
    assert "PDA-1" in page.text
    assert "PDA-2" not in page.text, "the manager's own account, not the firm's"
    for other in (made[CLERK].id, "x", "0" * 16):
        assert (await post(manager, f"/account/handhelds/{other}/revoke")).status_code == 404
    async with client_of(app) as held:
        held.headers["Authorization"] = f"Bearer {made[CLERK].token}"
        assert (await held.get("/api/v1/scans")).status_code == 200
        answer = await post(clerk, f"/account/handhelds/{made[CLERK].id}/revoke")
        assert answer.headers["location"] == "/account?done=handheld"
        assert (await held.get("/api/v1/scans")).status_code == 401
    page = await clerk.get("/account?done=handheld")
    assert "PDA-2" not in page.text
    assert "手持终端已吊销" in page.text
    assert made[MANAGER].id in {one.id for one in access(world).devices.all() if not one.revoked_at}


async def test_administrator_sees_all_and_chooses_the_organisation(
    operator: httpx.AsyncClient, world: World, app: FastAPI
) -> None:
    page = await operator.get("/accounts")
    for name in ("clerk", "stranger", "officer"):
        assert f"姓名 {name}" in page.text
    assert 'id="invite"' not in page.text
    page = await operator.get("/accounts?organisation=bureau")
    assert "姓名 clerk" not in page.text
    assert 'value="regulator"' in page.text
    assert 'value="enterprise_clerk"' not in page.text
    assert (await operator.get("/account")).status_code == 403  # the token is nobody's account


async def test_own_account_by_the_api(app: FastAPI, world: World) -> None:
    opened = await access(world).open_session(CLERK, second_factor=False)
    async with client_of(app) as client:
        client.cookies.set(SESSION_COOKIE, opened.cookie)
        body = {"old": PASSWORD, "new": NEW["password"]}
        assert (await client.post("/api/v1/me/password", json=body)).status_code == 403
        client.headers["x-csrf-token"] = opened.csrf
        found = (await client.get("/api/v1/me")).json()
        assert (found["username"], found["has_second_factor"]) == ("clerk", False)
        assert not {"password", "recovery", "second_factor"} & set(found)
        wrong = {"old": "x", "new": NEW["password"]}
        assert (await client.post("/api/v1/me/password", json=wrong)).status_code == 403
        assert (await client.post("/api/v1/me/password", json=body)).status_code == 204
        made = (await client.post("/api/v1/me/second-factor")).json()
        other = await access(world).open_session(CLERK, second_factor=False)
        listed = (await client.get("/api/v1/me/sessions")).json()
        assert {(one["id"], one["here"]) for one in listed} == {
            (opened.id, True),
            (other.id, False),
        }
        assert (await client.delete(f"/api/v1/me/sessions/{other.id}")).status_code == 204
        assert (await client.delete(f"/api/v1/me/sessions/{other.id}")).status_code == 404
        code = pyotp.TOTP(made["secret"]).at(world.clock.wall_ms() // 1000)
        body = {"sealed": made["sealed"], "code": code, "password": NEW["password"]}
        answer = await client.post("/api/v1/me/second-factor/confirm", json=body)
        assert len(answer.json()["recovery_codes"]) == 10
        assert (await client.get("/api/v1/me")).status_code == 401  # every session ended
