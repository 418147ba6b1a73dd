"""The pages of receivers: health in words, steps with a reason when they are refused."""

from dataclasses import replace
from typing import cast

import httpx
import msgspec
import pytest

from cloud.access.base import Access
from cloud.api.app import create_app
from cloud.feed.receivers import rows
from cloud.model.session import CSRF_HEADER, SESSION_COOKIE
from cloud.web.pages import mount
from tests.support.firms import People, client_of, firm_details
from tests.support.firms import put as put_organisation
from tests.support.http_services import World

PATH = "/receivers"
FORM = {"name": "区救援中心", "kind": "webhook", "address": "https://p.example.com/hook"}


async def client(world: World, role: str, organisation: str) -> httpx.AsyncClient:
    people = People(world)
    for number, name in enumerate(("firm-a", "firm-b")):
        await put_organisation(world, name, firm_details(number))
    services = replace(world.services, access=cast("Access", people), mounts=(mount,))
    visitor = client_of(create_app(services))
    token = people.give(role, organisation)["Authorization"].removeprefix("Bearer ")
    session = await people.log_in_token(token, person="", address="")
    assert session is not None
    visitor.cookies.set(SESSION_COOKIE, session.cookie)
    visitor.headers[CSRF_HEADER] = session.csrf
    return visitor


@pytest.fixture
async def manager(world: World) -> httpx.AsyncClient:
    return await client(world, "enterprise_manager", "firm-a")


async def test_a_manager_adds_tries_changes_and_deletes_one(manager: httpx.AsyncClient) -> None:
    assert "尚未设置接收方" in (await manager.get(PATH)).text
    form = {**FORM, "severities": "emergency", "alerts": "Entrapment DoorNotClosing"}
    made = await manager.post(PATH, data=form)
    assert made.status_code == 303
    where = made.headers["location"]
    assert where.endswith("/secret")
    once = await manager.get(where)
    assert "whsec_" in once.text
    assert "whsec_" not in (await manager.get(where)).text
    page = where.removesuffix("/secret")
    assert "区救援中心" in (await manager.get(PATH)).text
    shown = (await manager.get(page)).text
    assert "Entrapment DoorNotClosing" in shown
    assert "运行中" in shown
    tested = await manager.post(f"{page}/test")
    assert "测试已被接收" in tested.text
    assert (await manager.post(f"{page}/test")).status_code == 409
    changed = await manager.post(f"{page}/change", data={**form, "name": "新名称"})
    assert changed.headers["location"] == page
    assert "新名称" in (await manager.get(page)).text
    assert (await manager.post(f"{page}/secret")).headers["location"] == where
    assert (await manager.post(f"{page}/pause")).status_code == 303
    assert "已暂停" in (await manager.get(page)).text
    assert (await manager.post(f"{page}/resume", data={"skip": "on"})).status_code == 303
    assert (await manager.post(f"{page}/remove")).headers["location"] == PATH
    assert (await manager.get(page)).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": ""}, "名称为 1 至 100"),
        ({"kind": "fax"}, "不能使用该方式"),
        ({"address": ""}, "地址与方式不符"),
        ({"address": "https://10.0.0.1/"}, "不向该地址推送"),
        ({"severities": "bad"}, "告警名称如"),
        ({"resend_s": "1"}, "重发间隔"),
        ({"password": "x"}, "密码为"),
    ],
)
async def test_what_is_wrong_is_said_and_what_was_given_stays(
    manager: httpx.AsyncClient, wrong: dict[str, str], told: str
) -> None:
    form = {**FORM, **wrong}
    refused = await manager.post(PATH, data=form)
    assert (refused.status_code, told in refused.text) == (400, True), refused.text[:3000]
    assert "区救援中心" in refused.text or not form["name"]


async def test_health_is_shown_in_words(world: World, manager: httpx.AsyncClient) -> None:
    await manager.post(PATH, data=FORM)
    standing = await world.database.read(lambda c: rows.load(c, 1))
    assert standing is not None
    now_ms = world.clock.wall_ms()
    lane = rows.LaneRow(
        offset=0, attempts=4, waiting=7, waiting_more=True, oldest_at=now_ms - 3_600_000
    )
    totals = msgspec.structs.replace(
        standing.totals, last_error_at=now_ms, last_error="answered with status 500", gap_items=3
    )
    done = rows.Progress(
        receiver_id=1, version=1, lanes={"urgent": lane, "rest": lane}, totals=totals
    )
    await world.database.write(lambda c: rows.write_progress(c, [done]))
    for path in (PATH, f"{PATH}/1"):
        text = (await manager.get(path)).text
        assert "answered with status 500" in text
        assert "14+" in text
        assert "1:00:0" in text
    assert "未推送条目" in (await manager.get(f"{PATH}/1")).text
    manager.cookies.set("suyuan_language", "en")
    assert "Items that were never sent" in (await manager.get(f"{PATH}/1")).text


async def test_nobody_else_sees_or_touches_it(world: World, manager: httpx.AsyncClient) -> None:
    await manager.post(PATH, data=FORM)
    stranger = await client(world, "enterprise_manager", "firm-b")
    assert "区救援中心" not in (await stranger.get(PATH)).text
    assert (await stranger.get(f"{PATH}/1")).status_code == 404
    for step in ("test", "pause", "resume", "secret", "remove"):
        assert (await stranger.post(f"{PATH}/1/{step}")).status_code == 404, step
    worker = await client(world, "maintenance_worker", "firm-a")
    assert (await worker.get(PATH)).status_code == 403
    csrf = manager.headers.pop(CSRF_HEADER)
    assert (await manager.post(f"{PATH}/1/remove")).status_code == 403
    manager.headers[CSRF_HEADER] = csrf
