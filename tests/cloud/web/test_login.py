import re

import httpx
import pytest

from cloud.access.limiter import FAILURES_MAX
from cloud.access.sessions import SESSION_IDLE_MS
from cloud.model.session import SESSION_COOKIE
from protocols.clock import ManualClock
from tests.support.http_services import LIFT, TOKEN, World, entrapment

PAGES = ["/", "/fleet", "/alarms/1", f"/assets/{LIFT}"]


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


@pytest.mark.parametrize("path", PAGES)
async def test_page_without_session_leads_to_login_and_back(
    visitor: httpx.AsyncClient, path: str
) -> None:
    answer = await visitor.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=/")
    part = await visitor.get(path, headers={"HX-Request": "true"})
    assert part.status_code == 401


async def test_login_sets_a_guarded_cookie_and_leads_on(visitor: httpx.AsyncClient) -> None:
    page = await visitor.get("/login", params={"next": "/fleet"})
    assert page.status_code == 200
    assert "访问令牌" in page.text
    answer = await visitor.post("/login", data={"token": TOKEN, "next": "/fleet"})
    assert answer.headers["location"] == "/fleet"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{SESSION_COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert TOKEN not in cookie
    assert (await visitor.get("/fleet")).status_code == 200


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "", "/a\r\nX: y"],
)
async def test_login_never_leads_away(visitor: httpx.AsyncClient, target: str) -> None:
    answer = await visitor.post("/login", data={"token": TOKEN, "next": target})
    assert answer.headers["location"] == "/"


async def test_login_wrong_token_is_401_then_429(visitor: httpx.AsyncClient) -> None:
    for _ in range(FAILURES_MAX):
        answer = await visitor.post("/login", data={"token": "wrong"})
        assert answer.status_code == 401
        assert "令牌不正确" in answer.text
        assert "set-cookie" not in answer.headers
    answer = await visitor.post("/login", data={"token": TOKEN})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "300"


async def test_login_posted_by_another_site_is_403(visitor: httpx.AsyncClient) -> None:
    for origin, status in [("https://evil.example", 403), ("null", 403), ("http://test", 303)]:
        answer = await visitor.post("/login", data={"token": TOKEN}, headers={"Origin": origin})
        assert answer.status_code == status


@pytest.mark.parametrize("body", [b"\xff=1", b"{}", b"a=1&" * 50])
async def test_login_no_form_is_refused(visitor: httpx.AsyncClient, body: bytes) -> None:
    answer = await visitor.post("/login", content=body)
    assert answer.status_code == 400


async def test_logout_ends_the_session_only_with_csrf_token(operator: httpx.AsyncClient) -> None:
    assert (await operator.post("/logout")).status_code == 403
    page = await operator.get("/")
    answer = await operator.post("/logout", data={"csrf": csrf_of(page.text)})
    assert answer.status_code == 303
    assert (await operator.get("/")).status_code == 303


async def test_open_page_keeps_its_session_alive(operator: httpx.AsyncClient, world: World) -> None:
    assert isinstance(world.clock, ManualClock)
    for _ in range(3):
        world.clock.advance(SESSION_IDLE_MS - 1)
        assert (await operator.get("/parts/alive")).status_code == 200
    world.clock.advance(SESSION_IDLE_MS)
    assert (await operator.get("/parts/alive")).status_code == 303


async def test_acknowledge_needs_csrf_token_and_own_site(
    operator: httpx.AsyncClient, world: World
) -> None:
    world.desk.put(entrapment(world.clock))
    page = await operator.get("/")
    path, csrf = "/alarms/1/acknowledge", csrf_of(page.text)
    assert (await operator.post(path, data={"note": "x"})).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    answer = await operator.post(path, data={"csrf": csrf}, headers=foreign)
    assert answer.status_code == 403
    assert world.desk.alarms[1].state == "unacknowledged"
    answer = await operator.post(path, data={"csrf": csrf, "note": "已派人"})
    assert answer.status_code == 303
    alarm = world.desk.alarms[1]
    assert (alarm.acknowledged_by, alarm.note) == ("王五 (admin)", "已派人")
    again = await operator.post(path, data={"csrf": csrf}, headers={"HX-Request": "true"})
    assert again.status_code == 409


async def test_language_is_chosen_once_and_kept(operator: httpx.AsyncClient) -> None:
    assert "目前没有未处理的告警" in (await operator.get("/")).text
    answer = await operator.get("/language/en", params={"next": "/fleet"})
    assert answer.headers["location"] == "/fleet"
    assert "No open alarms" in (await operator.get("/")).text
    await operator.get("/language/xx")
    assert "No open alarms" in (await operator.get("/")).text
    assert (await operator.get("/language/zh", params={"next": "//evil"})).headers[
        "location"
    ] == "/"
