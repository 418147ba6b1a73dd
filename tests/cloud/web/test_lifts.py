"""The pages of lifts."""

from dataclasses import replace
from datetime import date
from typing import Any, cast

import httpx
import pytest
from sqlalchemy import text

from cloud.access.base import Access
from cloud.api.app import create_app
from cloud.model.granting import grant
from cloud.model.lift import LiftEntry
from cloud.model.session import CSRF_HEADER, SESSION_COOKIE
from cloud.web.pages import mount
from protocols.clock import ManualClock
from protocols.lifts.base import Contract, PartyPart
from protocols.lifts.records import Draft, Signer
from tests.support.firms import DISTRICT, ROOT, People, client_of, firm_details, put
from tests.support.http_services import World

CODE = "31102202022026010017"
LIFT, PAGE = f"elevator:{CODE}", f"/lifts/{CODE}"
PARTIES: dict[PartyPart, str] = {"owner": "firm-o", "maintainer": "firm-m"}


@pytest.fixture
async def people(world: World) -> People:
    """An owner, a maintenance firm, a stranger, and a lift with a short history, in 2026."""
    assert isinstance(world.clock, ManualClock)
    world.clock.set_wall(1_772_300_000_000)
    for number, name in enumerate(("firm-o", "firm-m", "firm-x")):
        details = firm_details(number, kind="enterprise", categories=("special_equipment",))
        await put(world, name, details)
    lifts = world.services.lifts.lifts
    entry = LiftEntry(
        name="1号楼<b>1</b>号梯",
        registration_code=CODE,
        rescue_code="220001",
        type_code="3110",
        used_since=date(2024, 3, 20),
        certificate="梯11",
        address="吉林大街1号",
        district=DISTRICT,
        floors=18,
        maintenance_phone="13800000000",
        contracts=(Contract(maintainer="firm-m", from_=date(2024, 3, 1)),),
        parties=PARTIES,
    )
    await lifts.put(grant(ROOT, "lifts.write"), LIFT, entry)
    inspector, worker = Signer(role="inspector", name="赵检"), Signer(role="worker", name="张保")
    fields: dict[str, Any] = {"of": "installation", "result": "passed"}
    kind, on = "supervision_inspection", date(2024, 3, 10)
    await write(world, Draft(kind=kind, on=on, fields=fields, signers=(inspector,)))
    fields = {"level": "half_month"}
    made = Draft(kind="maintenance", on=date(2026, 2, 20), fields=fields, signers=(worker,))
    await write(world, made)
    return People(world)


async def write(world: World, draft: Draft) -> None:
    lifts = world.services.lifts.lifts
    granted = grant(ROOT, lifts.kinds[draft.kind].call)
    await lifts.record(granted, LIFT, draft, lambda _kept: lambda _connection: None)


async def client(world: World, people: People, role: str, organisation: str) -> httpx.AsyncClient:
    services = replace(world.services, access=cast("Access", people), mounts=(mount,))
    visitor = client_of(create_app(services))
    token = people.give(role, organisation)["Authorization"].removeprefix("Bearer ")
    session = await people.log_in_token(token, person="", address="")
    assert session is not None
    visitor.cookies.set(SESSION_COOKIE, session.cookie)
    visitor.headers[CSRF_HEADER] = session.csrf
    return visitor


async def test_file_shows_calendar_record_and_plate(world: World, people: People) -> None:
    owner = await client(world, people, "enterprise_manager", "firm-o")
    page = (await owner.get(PAGE)).text
    for told in ("220001", "2025-03-31", "超期", "定期检验", "半月", "张保", "曳引驱动乘客电梯"):
        assert told in page, told
    assert "记录完整" in page
    assert "1号楼&lt;b&gt;1" in page
    assert f"/q/{LIFT}" in page
    assert "<svg" in page
    owner.cookies.set("suyuan_language", "en")
    page = (await owner.get(PAGE)).text
    for told in ("Periodic inspection", "half-month", "record verified", "TSG T5002-2017"):
        assert told in page, told
    listed = (await owner.get("/lifts?overdue=true")).text
    assert (CODE in listed, "days over" in listed) == (True, True)
    assert "BEGIN:VCALENDAR" in (await owner.get("/lift-calendar.ics")).text


async def test_worker_records_and_the_owner_confirms(world: World, people: People) -> None:
    worker = await client(world, people, "maintenance_worker", "firm-m")
    page = (await worker.get(PAGE)).text
    assert f'action="{PAGE}/records"' in page
    assert f'action="{PAGE}/steps"' not in page
    form = {
        "kind": "maintenance",
        "on": "2026-02-28",
        "field.level": "quarterly",
        "field.began_at": "2026-02-28T09:00",
        "field.normal": "yes",
        "role.0": "worker",
        "name.0": "王保",
        "licence.0": "T-9",
        "note": "<i>好</i>",
    }
    answer = await worker.post(f"{PAGE}/records", data=form)
    assert answer.status_code == 303, answer.text
    (kept, *_) = await world.services.lifts.lifts.records(LIFT, ROOT.scope("lifts.read"))
    assert kept.body.fields == {
        "level": "quarterly",
        "began_at": 1_772_240_400_000,
        "normal": True,
    }
    assert kept.body.signers == (Signer(role="worker", name="王保", licence="T-9"),)
    page = (await worker.get(PAGE)).text
    assert "&lt;i&gt;好" in page
    assert "confirm-3" not in page
    owner = await client(world, people, "enterprise_manager", "firm-o")
    assert 'id="confirm-3"' in (await owner.get(PAGE)).text
    agreed = {
        "kind": "confirmation",
        "on": "2026-02-28",
        "about": "3",
        "field.agreed": "yes",
        "role.0": "safety_manager",
        "name.0": "李安",
    }
    assert (await owner.post(f"{PAGE}/confirmations", data=agreed)).status_code == 303
    again = await owner.post(f"{PAGE}/confirmations", data=agreed)
    assert (again.status_code, "confirmed already" in again.text) == (409, True)
    assert "已确认" in (await owner.get(PAGE)).text


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"on": "2030-01-01"}, 400, "日期应在"),
        ({"on": "soon"}, 400, "日期应在"),
        ({"name.0": ""}, 400, "缺少必要的签名人"),
        ({"kind": "song"}, 400, "请选择记录类型"),
        ({"kind": "stop", "field.reason": "x"}, 403, "无权录入"),
    ],
)
async def test_form_that_is_wrong_is_told_in_words(
    world: World, people: People, change: dict[str, str], status: int, told: str
) -> None:
    worker = await client(world, people, "maintenance_worker", "firm-m")
    form = {
        "kind": "maintenance",
        "on": "2026-02-28",
        "field.level": "yearly",
        "role.0": "worker",
        "name.0": "王保",
    }
    answer = await worker.post(f"{PAGE}/records", data={**form, **change})
    assert (answer.status_code, told in answer.text) == (status, True), answer.text[:3000]


async def test_strangers_see_nothing_and_everybody_the_public_part(
    world: World, people: People, visitor: httpx.AsyncClient
) -> None:
    stranger = await client(world, people, "enterprise_manager", "firm-x")
    assert (await stranger.get(PAGE)).status_code == 404
    assert CODE not in (await stranger.get("/lifts")).text
    page = (await visitor.get(f"/q/{LIFT}")).text
    for told in ("2025-03-31", "96333", "220001", "企业 1"):
        assert told in page, told
    for personal in ("13800000000", "张保", "吉林大街"):
        assert personal not in page, personal


async def test_record_that_was_bent_is_shown_as_broken(world: World, people: People) -> None:
    sql = "UPDATE lift_record SET body = replace(body, '2026-02-20', '2026-02-21') WHERE seq = 2"
    world.database.write_now(lambda c: c.execute(text(sql)))
    owner = await client(world, people, "enterprise_manager", "firm-o")
    page = (await owner.get(PAGE)).text
    assert "记录被改动" in page
    assert "位置（序号）：2 (被修改)" in page
