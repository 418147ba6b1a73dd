from functools import partial
from pathlib import Path

import httpx
import pytest

from cloud.model.asset import LatestValue
from cloud.model.ledger import SpoolLedger
from cloud.model.refusal import Refusal
from cloud.model.remote import Rollout
from cloud.remote.releases import Releases
from cloud.scans.store import insert_scans, rows_of
from cloud.trust.book import add_refusals
from cloud.trust.signing import sign
from cloud.web.console import CARDS_MAX, LINES_MAX
from protocols.messages import State
from protocols.records import Code, Scan
from tests.support.authority import enrol_request, new_key, open_bureau
from tests.support.http_services import LIFT, TOKEN, World, entrapment, open_world
from tests.support.log_groups import NOON_MS, batch
from tests.support.wheels import make_release

NASTY = "<script>alert(1)</script>\"'"


async def test_console_shows_where_who_and_what(operator: httpx.AsyncClient, world: World) -> None:
    await world.registry.put(
        LIFT,
        kind="elevator",
        name="人民广场 3 号梯",
        gateways=[],
        attributes={
            "address": "解放大路 1 号",
            "district": "朝阳区",
            "maintenance_phone": "0431-8888 1234",
            "rescue_code": 310217,
        },
    )
    now = world.clock.wall_ms()
    world.latest[LIFT] = {
        "car_position": LatestValue(value=12, observed_at=now - 2_000),
        "load_percent": LatestValue(value=23, observed_at=now - 9_000, quality="stale"),
    }
    world.desk.put(entrapment(world.clock))
    page = (await operator.get("/")).text
    for text in (
        "人民广场 3 号梯",
        "电梯困人",
        "朝阳区 解放大路 1 号",
        'href="tel:043188881234"',
        "310217",
        "轿厢内报警按钮被按下",
        "<b>12</b>",
        "陈旧",
        "确认告警",
    ):
        assert text in page


async def test_text_from_outside_is_never_markup(operator: httpx.AsyncClient, world: World) -> None:
    await world.registry.put(
        LIFT,
        kind="elevator",
        name=NASTY,
        gateways=[],
        attributes={"address": NASTY, "maintenance_phone": NASTY, NASTY[:30]: NASTY},
    )
    world.latest[LIFT] = {"fault_code": LatestValue(value=NASTY, observed_at=1)}
    world.registry.add_finding(LIFT, "foreign_gateway", NASTY, 1)
    world.gateways.set_state("gw-1", State(online=True, boot_id=NASTY, version=NASTY), 1)
    world.gateways.set_counters("gw-1", {NASTY: 1})
    world.desk.put(
        entrapment(
            world.clock,
            evidence=NASTY,
            note=NASTY,
            acknowledged_by=NASTY,
            acknowledged_at=1,
            values={"fault_code": NASTY},
            annotations={"summary_zh": NASTY, "response": NASTY},
        )
    )
    for path in ("/", "/alarms/1", f"/assets/{LIFT}", "/fleet"):
        answer = await operator.get(path)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "&lt;script&gt;" in answer.text


async def test_flood_shows_the_worst_whole_and_counts_the_rest(
    operator: httpx.AsyncClient, world: World
) -> None:
    count = LINES_MAX + 50
    for number in range(1, count + 1):
        world.desk.put(entrapment(world.clock, number, severity="warning"))
    world.desk.put(entrapment(world.clock, count + 1))
    page = (await operator.get("/parts/open")).text
    assert page.count("<article") == CARDS_MAX
    assert page.index(f'id="alarm-{count + 1}"') < page.index('id="alarm-1"')
    assert page.count("data-row") == LINES_MAX - CARDS_MAX
    assert "还有 51 条" in page


async def test_fleet_shows_offline_first_with_the_account(
    operator: httpx.AsyncClient, world: World
) -> None:
    world.gateways.set_state("gw-a", State(online=True, boot_id="b"), world.clock.wall_ms())
    world.gateways.set_state("gw-b", State(online=False, boot_id="b"), world.clock.wall_ms())
    world.gateways.set_counters("gw-a", {"polls_skipped": 3})
    world.ledgers["gw-a"] = [
        SpoolLedger(
            spool=f"{number:032x}",
            stream="data",
            through=15,
            received=[(17, 20), (22, 22)],
            batches=20,
            records=90,
            duplicates=2,
            declared_lost=1,
            declared_lost_records=4,
            dead_letters=1,
            unknown_tail=True,
            last_at=world.clock.wall_ms(),
        )
        for number in range(12)
    ]
    page = (await operator.get("/fleet")).text
    assert page.index("gw-b") < page.index("gw-a")
    for text in ("17–20 22", "1 个在线，1 个离线", "另有 2 个更早的缓存", "polls_skipped"):
        assert text in page


async def test_alarm_page_tells_the_course(operator: httpx.AsyncClient, world: World) -> None:
    now = world.clock.wall_ms()
    world.desk.put(
        entrapment(
            world.clock,
            state="normal",
            acknowledged_by="李四 (admin)",
            acknowledged_at=now,
            note="已到场",
            returned_at=now + 5_000,
            late=True,
        )
    )
    page = (await operator.get("/alarms/1")).text
    for text in ("先与轿厢通话安抚", "李四 (admin)", "已到场", "历史数据补发", "90 报警按钮动作"):
        assert text in page
    assert "确认告警" not in page


@pytest.mark.parametrize("path", ["/alarms/7", "/alarms/x", "/assets/elevator:9", "/assets/none"])
async def test_unknown_page_is_404_in_words(operator: httpx.AsyncClient, path: str) -> None:
    answer = await operator.get(path)
    assert answer.status_code == 404
    assert "没有找到" in answer.text


async def test_asset_only_heard_of_is_shown_as_unregistered(
    operator: httpx.AsyncClient, world: World
) -> None:
    world.registry.admits(LIFT, "gw-1", 1)
    page = (await operator.get(f"/assets/{LIFT}")).text
    assert "未登记" in page
    assert LIFT in page


async def test_static_files_may_be_kept_only_by_their_hash(operator: httpx.AsyncClient) -> None:
    page = (await operator.get("/")).text
    start = page.index("/static/console.css?v=")
    address = page[start : page.index('"', start)]
    assert "immutable" in (await operator.get(address)).headers["cache-control"]
    plain = await operator.get("/static/console.css")
    assert plain.headers["cache-control"] == "no-cache"
    assert (await operator.get("/static/../pages.py")).status_code == 404
    assert (await operator.get("/static/%2e%2e/pages.py")).status_code == 404


async def test_scans_show_codes_and_findings_and_are_found(
    operator: httpx.AsyncClient, world: World
) -> None:
    nasty = Code("raw", NASTY)
    scan = Scan(
        reader="fill-1",
        at=NOON_MS,
        codes=[Code("tag_uid", "04A1"), nasty],
        findings=["incomplete_read"],
    )
    await world.database.write(lambda c: insert_scans(c, rows_of(batch(scan))))
    page = (await operator.get("/scans")).text
    assert NASTY not in page
    assert "04A1" in page
    assert "读取中断" in page
    assert "04A1" in (await operator.get("/parts/scans?code=04A1")).text
    assert "04A1" not in (await operator.get("/parts/scans?code=04A2")).text


async def test_fleet_shows_what_the_broker_refused(tmp_path: Path) -> None:
    bureau = open_bureau(tmp_path)
    code, _ = bureau.desk.invite("gw-a")
    bureau.desk.enrol(enrol_request(code, new_key()), address="a")
    at = bureau.clock.wall_ms()
    refusals = [
        Refusal(kind="publish", who="gw-a", what=NASTY, first_at=at, last_at=at, count=7),
        Refusal(kind="certificate", who="10.0.0.9", what="verify failed", first_at=at, last_at=at),
    ]
    bureau.database.write_now(lambda c: add_refusals(c, refusals))
    world = await open_world(tmp_path, clock=bureau.clock, trust=bureau.desk)
    world.gateways.set_state("gw-a", State(online=True, boot_id="b"), at)
    transport = httpx.ASGITransport(app=world.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.post("/login", data={"token": TOKEN})
        page = (await client.get("/fleet")).text
        await client.get("/language/en")
        english = (await client.get("/fleet")).text
    for text in ("被消息代理拒绝的请求", "写入越权主题", "10.0.0.9", "证书有效至", ">7<"):
        assert text in page
    assert "Refused by the broker" in english
    assert "<script>alert" not in page
    world.database.close()
    bureau.database.close()


async def test_fleet_tells_of_configuration_commands_and_rollouts(
    operator: httpx.AsyncClient, world: World, tmp_path: Path
) -> None:
    releases = Releases(tmp_path / "releases")
    wheels = make_release(tmp_path / "wheels", "1.2.3")
    releases.add(wheels, requires_python=">=3.11", issued_at=1, sign=partial(sign, tmp_path))
    now = world.clock.wall_ms()
    for gateway in ("gw-a", "gw-b"):
        world.gateways.set_state(gateway, State(online=True, boot_id="b"), now)
    remote = world.services.remote
    site = 'schema = 1\ngateway_id = "gw-a"\n'
    await remote.push("gw-a", site=site, overlay={}, not_after=None, by="李四")
    await remote.command("gw-a", op="log_tail", args={}, expires_in_s=60, by="王五")
    plan = Rollout(
        serial=1,
        version="1.2.3",
        url="http://x",
        stages=(1,),
        wait_s=1,
        timeout_s=1,
        failures_max=0,
        by="me",
        created_at=now,
    )
    rollout, _ = await remote.roll_out(plan, ["gw-a", "gw-b"])
    await remote.set_rollout(rollout.id, running=False, reason="先看看")
    page = (await operator.get("/fleet")).text
    for text in (
        "第 1 版：待下发",
        "log_tail",
        "王五",
        "软件 1.2.3：已停止",
        "第 1/2 批",
        "先看看",
    ):
        assert text in page
