"""The pages of gas cylinders."""

from dataclasses import replace
from typing import cast
from zoneinfo import ZoneInfo

import httpx
import pytest

from cloud.access.base import Access
from cloud.api.app import create_app
from cloud.cylinders.fills import FillKeeper
from cloud.model.cylinder import FurtherCode
from cloud.model.cylinder_records import InspectionReport, PermitBody
from cloud.model.granting import grant
from cloud.model.session import CSRF_HEADER, SESSION_COOKIE
from cloud.web.pages import mount
from protocols.records import FillReason
from tests.support.cylinders import CODE, code_of, file_of
from tests.support.fills import step, visit
from tests.support.firms import DISTRICT, ROOT, People, client_of, district_details, firm_details
from tests.support.firms import put as put_organisation
from tests.support.http_services import World
from tests.support.log_groups import batch

PAGE = f"/cylinders/{CODE.partition(':')[2]}"
TAG = FurtherCode("tag_uid", "04A1B2C3")


@pytest.fixture
async def people(world: World) -> People:
    """Two fillers, a body and an office; gas-a has a cylinder with a history."""
    for number, name in enumerate(("gas-a", "gas-b")):
        details = firm_details(number, kind="filling_station", categories=("special_equipment",))
        await put_organisation(world, name, details)
    body = firm_details(5, kind="inspection_body", categories=("special_equipment",))
    await put_organisation(world, "body-a", body)
    await put_organisation(world, "office", district_details(DISTRICT))
    desks, write = world.services.cylinders, grant(ROOT, "cylinders.write")
    await desks.cylinders.register(write, CODE, file_of(codes=(TAG,)), DISTRICT)
    await desks.cylinders.register(write, CODE, file_of(codes=(TAG,), tare_kg=16.9))
    await desks.cylinders.register(write, code_of(1), file_of(1, filler="gas-b"))
    approval = PermitBody(
        items=("lpg_household",), valid_from="2024-01-01", valid_until="2099-01-01"
    )
    await desks.permits.put(grant(ROOT, "permits.write"), "body-a", "inspection", "TS-1", approval)
    report = InspectionReport(
        inspected_on="2025-06-15",
        result="passed",
        next_due_on="2025-10",
        note="<b>bold</b>",
    )
    inspect = grant(ROOT, "cylinders.inspect")
    await desks.inspections.record(inspect, CODE, report, "body-a")
    return People(world)


async def client(world: World, people: People, role: str, organisation: str) -> httpx.AsyncClient:
    services = replace(world.services, access=cast("Access", people), mounts=(mount,))
    visitor = client_of(create_app(services))
    token = people.give(role, organisation)["Authorization"].removeprefix("Bearer ")
    session = await people.log_in_token(token, person="", address="")
    assert session is not None
    visitor.cookies.set(SESSION_COOKIE, session.cookie)
    visitor.headers[CSRF_HEADER] = session.csrf
    return visitor


async def test_file_shows_all_dates_and_what_was_before(world: World, people: People) -> None:
    filler = await client(world, people, "enterprise_manager", "gas-a")
    page = (await filler.get(PAGE)).text
    for text in ("2024-03", "2025-06-15", "2025-10", str(TAG), "16.5 → 16.9", "企业 0", "定期检验"):
        assert text in page, text
    assert 'class="loss">2025-10' in page  # due, and over
    assert "&lt;b&gt;bold" in page
    filler.cookies.set("suyuan_language", "en")
    page = (await filler.get(PAGE)).text
    assert "Periodic inspection" in page
    assert "Tell that it is lost" in page
    assert "/block" not in page  # that is an office's


async def test_list_is_the_own_ones_and_is_searched(world: World, people: People) -> None:
    filler = await client(world, people, "enterprise_clerk", "gas-a")
    page = (await filler.get("/cylinders")).text
    assert PAGE in page
    assert code_of(1).partition(":")[2] not in page
    for query, found in ((f"text={TAG.value}", True), ("state=lost", False), ("text=x", False)):
        assert (PAGE in (await filler.get(f"/cylinders?{query}")).text) == found, query
    office = await client(world, people, "regulator", "office")
    assert PAGE in (await office.get(f"/cylinders?district={DISTRICT}&filler=gas-a")).text
    stranger = await client(world, people, "enterprise_manager", "gas-b")
    assert (await stranger.get(PAGE)).status_code == 404
    assert (await stranger.post(f"{PAGE}/lose", data={"reason": "x"})).status_code == 404


async def test_fillings_and_refusals_are_shown_with_their_reasons(
    world: World, people: People
) -> None:
    reasons = [FillReason("inspection_overdue", "do_not_fill", "due 2025-03-31")]
    reasons.append(FillReason("output_lost", "cannot_decide"))
    refused = step("decided", 1, decision="do_not_fill", reasons=reasons)
    unknown = step("decided", 2, asset="", decision="cannot_decide", filler="gas-b")
    zone = ZoneInfo(world.services.time_zone)
    keeper = FillKeeper(world.clock, zone=zone, count=lambda _: None)
    told = batch(refused, unknown, *visit(10))
    world.database.write_now(lambda c: keeper.keep(c, [told]))
    filler = await client(world, people, "enterprise_manager", "gas-a")
    page = (await filler.get("/cylinder-fills")).text
    assert all(text in page for text in (PAGE, "+14.00", "液化石油气", "已充装")), page
    page = (await filler.get("/cylinder-fills?show=refused")).text
    for text in ("超过检验有效期", "due 2025-03-31", "充装枪控制器", "禁止充装"):
        assert text in page, text
    assert "气瓶不明" not in page, "another filler's"
    filler.cookies.set("suyuan_language", "en")
    page = (await filler.get("/cylinder-fills?show=decided")).text
    assert page.count('class="tag good"') == 1
    answer = await filler.get("/api/v1/cylinder-decisions?refused=true")
    (one,) = answer.json()
    assert [each["reason"] for each in one["reasons"]] == ["inspection_overdue", "output_lost"]
    for query in ("before=x", "decision=maybe", "limit=0"):
        assert (await filler.get(f"/api/v1/cylinder-decisions?{query}")).status_code == 400
    other = await client(world, people, "enterprise_manager", "gas-b")
    assert "气瓶不明" in (await other.get("/cylinder-fills?show=refused")).text


async def test_a_manager_says_who_is_told_and_tries_it(world: World, people: People) -> None:
    path, mail = "/cylinder-notices", {"channel": "mail", "address": "boss@gas-a.test"}
    manager = await client(world, people, "enterprise_manager", "gas-a")
    assert "还没有接收地址" in (await manager.get(path)).text
    for given, told in (
        ({**mail, "address": "nobody", "language": "zh"}, "请填写有效的邮箱或网址"),
        ({**mail, "language": "fr"}, "请选择语言"),
        ({**mail, "language": "zh", "secret": "short"}, "密钥须为"),
    ):
        refused = await manager.post(path, data=given)
        assert (refused.status_code, told in refused.text) == (400, True), given
        assert given["address"] in refused.text, "what was given stays"
    csrf = manager.headers.pop(CSRF_HEADER)
    assert (await manager.post(path, data={**mail, "language": "zh"})).status_code == 403
    manager.headers[CSRF_HEADER] = csrf
    assert (await manager.post(path, data={**mail, "language": "zh"})).status_code == 303
    (one,) = (await manager.get(f"/api/v1{path}")).json()
    assert (await manager.post(f"{path}/{one['id']}/test")).status_code == 303
    assert "待发送" in (await manager.get(path)).text
    assert (await manager.post(f"{path}/{one['id']}/test")).status_code == 409
    assert (await manager.post(f"/api/v1{path}/{one['id']}/test")).status_code == 409
    stranger = await client(world, people, "enterprise_manager", "gas-b")
    for way in ("test", "remove"):
        assert (await stranger.post(f"{path}/{one['id']}/{way}")).status_code == 404
        assert (await stranger.post(f"{path}/x/{way}")).status_code == 404
    clerk = await client(world, people, "enterprise_clerk", "gas-a")
    assert (await clerk.get(path)).status_code == 403
    assert path not in (await clerk.get("/cylinder-cases")).text
    assert f'href="{path}"' in (await manager.get("/cylinder-cases")).text
    assert (await manager.post(f"{path}/{one['id']}/remove")).status_code == 303
    assert "还没有接收地址" in (await manager.get(path)).text


async def test_lost_and_found_need_a_reason(world: World, people: People) -> None:
    filler = await client(world, people, "enterprise_manager", "gas-a")
    refused = await filler.post(f"{PAGE}/lose", data={"reason": " "})
    assert (refused.status_code, "请填写理由" in refused.text) == (400, True)
    done = await filler.post(f"{PAGE}/lose", data={"reason": "not on the shelf"})
    assert (done.status_code, done.headers["location"]) == (303, PAGE)
    page = (await filler.get(PAGE)).text
    assert "not on the shelf" in page
    assert f"{PAGE}/find" in page
    again = await filler.post(f"{PAGE}/lose", data={"reason": "still not"})
    assert (again.status_code, "当前状态不允许" in again.text) == (409, True)


async def test_office_blocks_and_lifts_and_the_filler_does_not(
    world: World, people: People
) -> None:
    office = await client(world, people, "regulator", "office")
    filler = await client(world, people, "enterprise_manager", "gas-a")
    assert (await filler.post(f"{PAGE}/block", data={"reason": "x"})).status_code == 403
    assert (await office.post(f"{PAGE}/block", data={"reason": "recall"})).status_code == 303
    page = (await filler.get(PAGE)).text
    assert "监管部门锁定" in page
    assert '/lift"' not in page
    refused = await filler.post(f"{PAGE}/blocks/1/lift", data={"reason": "x"})
    assert refused.status_code == 403
    assert f"{PAGE}/blocks/1/lift" in (await office.get(PAGE)).text
    lifted = await office.post(f"{PAGE}/blocks/1/lift", data={"reason": "new valve"})
    assert lifted.status_code == 303
    assert "new valve" in (await filler.get(PAGE)).text
    nothing = await office.post(f"{PAGE}/blocks/x/lift", data={"reason": "x"})
    assert nothing.status_code == 404


async def test_scrapped_shows_how_and_offers_nothing(world: World, people: People) -> None:
    scrap = grant(ROOT, "cylinders.scrap")
    desk = world.services.cylinders.cylinders
    await desk.scrap(scrap, CODE, "cut", "2025-11-01", "王五", "burnt")
    office = await client(world, people, "regulator", "office")
    page = (await office.get(PAGE)).text
    assert "解体" in page
    assert "王五" in page
    assert 'method="post" action="/cylinders' not in page
