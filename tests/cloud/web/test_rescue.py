"""The pages of the rescue desk, without a browser."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from cloud.api.desk.base import new_link
from cloud.model.asset import LatestValue
from cloud.model.desk import LinkBody
from cloud.model.granting import grant
from cloud.model.incident import Deadline, Incident
from cloud.web.lift_picture import HEIGHT, TOP, draw_lift, floor_number
from cloud.web.rescue_figures import chart, month_of
from cloud.web.rescue_links import AHEAD_MS, pressed_at
from cloud.web.rescue_map import MapPoint, scatter
from cloud.web.rescue_view import asks, is_overdue, most_urgent, next_due, tone_of
from protocols.clock import ManualClock
from tests.support.http_services import TOKEN, ZONE
from tests.support.rescue_desk import ROOT, Centre, open_centre

NOW = 1_700_000_000_000
ACT = grant(ROOT, "incidents.act")


@asynccontextmanager
async def signed_in(centre: Centre) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(centre.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/login", data={"token": TOKEN, "person": "李四"})
        assert answer.status_code == 303
        yield client


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with open_centre(tmp_path, clock=ManualClock(), runs=False) as centre:
        yield centre


@pytest.fixture
async def operator(centre: Centre) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(centre) as client:
        yield client


def csrf_in(page: str) -> str:
    return page.partition('name="csrf" value="')[2].partition('"')[0]


def incident(number: int = 1, **fields: object) -> Incident:
    one = Incident(
        id=number,
        number=f"R20231114-{number:04}",
        asset=f"elevator:{number}",
        state="detected",
        source="alarm",
        detected_at=NOW - 60_000,
        changed_at=NOW,
    )
    return msgspec.structs.replace(one, **fields)


def due(kind: str, in_ms: int, **fields: object) -> Deadline:
    one = Deadline(kind=kind, level=1, due_at=NOW + in_ms)  # type: ignore[arg-type]
    return msgspec.structs.replace(one, **fields)


def test_most_urgent_is_what_nobody_took_up_then_what_is_late() -> None:
    calm = incident(1, state="on_the_way", deadlines=(due("breach", 60_000),))
    late = incident(2, state="dispatched", deadlines=(due("accept", -1, fired_at=NOW),))
    fresh = incident(3, deadlines=(due("acknowledge", 20_000),))
    older = incident(4, deadlines=(due("acknowledge", 5_000),))
    drill = incident(5, drill=True)
    freed = incident(6, state="released", released_at=NOW, deadlines=(due("breach", -5),))
    found = most_urgent([calm, drill, late, freed, fresh, older], NOW)
    assert [one.id for one in found] == [4, 3, 2, 1, 6, 5]
    assert [tone_of(one, NOW) for one in (fresh, late, calm, freed, drill)] == [
        *("emergency", "overdue", "", "", "drill")
    ]
    assert asks(fresh)
    assert not asks(late)


def test_next_deadline_is_the_earliest_that_waits_or_the_last_that_passed() -> None:
    fired, settled = due("warn", -9, fired_at=NOW), due("accept", 1, settled_at=NOW)
    assert next_due(incident(deadlines=(fired, settled, due("breach", 50)))) == due("breach", 50)
    assert next_due(incident(deadlines=(fired, settled))) == fired
    assert next_due(incident()) is None
    assert not is_overdue(incident(deadlines=(fired, settled)), NOW)  # a warning is none


def test_lift_is_drawn_from_its_newest_values() -> None:
    def values(**seen: object) -> dict[str, LatestValue]:
        return {
            name: LatestValue(value=value, observed_at=NOW - 1_000)  # type: ignore[arg-type]
            for name, value in seen.items()
        }

    seen = values(car_position="B2", door_status=False, car_direction="up", passenger_status=True)
    drawn = draw_lift(seen, {"floors": 30, "floors_below": 3}, NOW)
    assert (drawn.floor, drawn.doors, drawn.direction) == ("B2", "open", "up")
    assert drawn.occupied
    assert drawn.in_zone is None
    assert drawn.car_y is not None
    assert TOP + HEIGHT / 2 < drawn.car_y < TOP + HEIGHT
    assert [mark.label for mark in drawn.floors if mark.is_car] == ["B2"]
    assert not drawn.is_old
    assert draw_lift({}, {}, NOW).is_old
    assert draw_lift({}, {}, NOW).car_y is None
    assert draw_lift(seen, {}, NOW + 600_000).is_old
    stale = {"car_position": LatestValue(value=3, observed_at=NOW, quality="stale")}
    assert draw_lift(stale, {}, NOW).quality == "stale"


@pytest.mark.parametrize(
    ("value", "floor"),
    [
        (12, 12),
        ("12", 12),
        ("B1", -1),
        (-2, -2),
        ("G", None),
        (True, None),
        (None, None),
        (1e9, None),
    ],
)
def test_floor_is_a_number_or_unknown(value: object, floor: int | None) -> None:
    assert floor_number(value) == floor


def test_points_without_a_map_keep_their_places() -> None:
    def point(north: float, east: float) -> MapPoint:
        return MapPoint(kind="unit", latitude=43 + north, longitude=126 + east, title="x")

    drawn = scatter([point(0, 0), point(0.1, 0.1), point(0, 0.1)])
    assert drawn is not None
    south_west, north_east, south_east = drawn.dots
    assert south_west.x < north_east.x == south_east.x
    assert north_east.y < south_west.y == south_east.y
    assert scatter([]) is None
    assert scatter([point(0, 0)]) is not None


def test_bars_are_longest_first_and_hours_in_their_order() -> None:
    drawn = chart("firm", {"a": 1, "b": 4, "c": 0})
    assert [(bar.label, bar.width) for bar in drawn.bars] == [("b", 260), ("a", 65), ("c", 0)]
    hours = chart("hour", {"07": 3})
    assert [bar.label for bar in hours.bars][:2] == ["00", "01"]
    assert (len(hours.bars), hours.bars[7].count) == (24, 3)
    assert chart("firm", {}).bars == []


def test_month_is_the_citys() -> None:
    month, start, end, before, after = month_of("2026-12", ZONE, NOW)
    assert (month, before, after) == ("2026-12", "2026-11", "2027-01")
    assert end - start == 31 * 86_400_000
    assert month_of("nonsense", ZONE, NOW)[0] == "2023-11"
    assert month_of("2026-13", ZONE, NOW)[0] == "2023-11"


def test_moment_of_a_kept_button_does_not_hang_on_the_telephones_clock() -> None:
    one = incident(detected_at=NOW - 600_000)
    wrong = NOW + 5 * 3_600_000  # hours ahead
    assert pressed_at(wrong, wrong + 120_000, one, NOW) == NOW - 120_000
    assert pressed_at(wrong, wrong + 700_000, one, NOW) == one.detected_at
    assert pressed_at(None, wrong, one, NOW) is None
    assert pressed_at(wrong, wrong - 1, one, NOW) is None
    assert pressed_at(0, AHEAD_MS + 1, one, NOW) is None


async def test_list_shows_where_who_and_how_long(
    centre: Centre, operator: httpx.AsyncClient
) -> None:
    assert "目前没有困人救援" in (await operator.get("/rescue")).text
    one = await centre.call(centre.lifts[1], people=3)
    page = (await operator.get("/rescue")).text
    for text in ("中心医院 2 号梯", "310002", one.number, 'data-tone="emergency"', ">3<"):
        assert text in page
    await centre.act(one.id, "dispatch", unit="firm-a")
    part = (await operator.get("/parts/rescue-board")).text
    assert "吉安电梯维保" in part
    assert 'data-tone=""' in part


async def test_list_is_bounded_and_counts_the_rest(
    tmp_path: Path,
) -> None:
    async with open_centre(tmp_path, clock=ManualClock(), lifts=103, runs=False) as centre:
        for asset in centre.lifts:
            await centre.trap(asset)
        async with signed_in(centre) as operator:
            page = (await operator.get("/rescue")).text
    assert page.count("data-incident=") == 100
    assert "另有 3 起未显示" in page


async def test_whole_rescue_by_forms(centre: Centre, operator: httpx.AsyncClient) -> None:
    code = (await operator.get("/parts/rescue-code?rescue_code=310001")).text
    assert "万达广场 1 号梯" in code
    token = csrf_in((await operator.get("/rescue/call")).text)
    call = {"csrf": token, "rescue_code": "310001", "people": "2", "caller_phone": "139"}
    answer = await operator.post("/rescue/call", data=call)
    assert answer.status_code == 303
    path = answer.headers["location"]
    number = path.rpartition("/")[2]
    cause = centre.services.desk.causes[0].id
    for verb, fields in (
        ("do/verify", {"people": "2"}),
        ("do/dispatch", {"unit": "firm-a"}),
        ("answer/accept", {"eta_min": "8"}),
        ("answer/set_out", {}),
        ("answer/arrive", {}),
        ("answer/release", {"people": "2", "injured": "0"}),
        ("do/call_back", {"satisfaction": "5"}),
        ("do/file_cause", {"cause": cause}),
        ("do/close", {}),
    ):
        done = await operator.post(f"{path}/{verb}", data={"csrf": token, **fields})
        assert done.status_code == 303, done.text
    page = (await operator.get(path)).text
    assert "已归档" in page
    closed = await centre.incidents.get(int(number))
    assert (closed.state, closed.released_people, closed.cause) == ("closed", 2, cause)
    report = (await operator.get("/rescue/report")).text
    assert "100.00 %" in report


async def test_what_is_refused_is_explained_on_the_page(
    centre: Centre, operator: httpx.AsyncClient
) -> None:
    one = await centre.call(centre.lifts[0])
    token = csrf_in((await operator.get(f"/rescue/{one.id}")).text)
    for path, fields, status, words in (
        ("do/close", {}, 409, "当前状态不能这样操作"),
        ("do/verify", {"people": "many"}, 400, "请填写整数"),
        ("do/merge", {"into": "x"}, 400, "请选择保留的救援"),
        ("answer/accept", {}, 409, "当前状态不能这样操作"),
    ):
        data = {"csrf": token, **fields}
        answer = await operator.post(f"/rescue/{one.id}/{path}", data=data)
        assert (answer.status_code, words in answer.text) == (status, True), path
        part = await operator.post(
            f"/rescue/{one.id}/{path}", data=data, headers={"HX-Request": "true"}
        )
        assert part.status_code == status
        assert "<html" not in part.text
    for path in ("do/accept", "answer/close", "do/nothing"):
        answer = await operator.post(f"/rescue/{one.id}/{path}", data={"csrf": token})
        assert answer.status_code == 404
    assert (await operator.post(f"/rescue/{one.id}/do/take", data={})).status_code == 403


async def test_call_for_an_unknown_code_keeps_what_was_typed(
    centre: Centre, operator: httpx.AsyncClient
) -> None:
    token = csrf_in((await operator.get("/rescue/call")).text)
    data = {"csrf": token, "rescue_code": "999999", "caller_name": "王女士", "people": "4"}
    answer = await operator.post("/rescue/call", data=data)
    assert answer.status_code == 400
    for text in ("没有电梯使用该救援码", "王女士", 'value="4"', "999999"):
        assert text in answer.text
    found = (await operator.get("/parts/rescue-search?text=吉林大街")).text
    assert "万达广场 1 号梯" in found
    assert 'name="call" value="1"' in answer.text  # it was kept
    chosen = (await operator.get(f"/rescue/call?asset={centre.lifts[0]}&call=1")).text
    assert centre.lifts[0] in chosen
    assert 'name="call" value="1"' in chosen
    data = {"csrf": token, "asset": centre.lifts[0], "call": "1"}
    answer = await operator.post("/rescue/call", data=data)
    assert answer.status_code == 303
    placed = await centre.incidents.get(1)
    assert (placed.caller_name, placed.people) == ("王女士", 4)


async def test_further_call_joins_and_says_so_before(
    centre: Centre, operator: httpx.AsyncClient
) -> None:
    one = await centre.call(centre.lifts[0])
    assert one.number in (await operator.get("/parts/rescue-code?rescue_code=310001")).text
    token = csrf_in((await operator.get("/rescue/call")).text)
    answer = await operator.post(
        "/rescue/call", data={"csrf": token, "rescue_code": "310001", "people": "2"}
    )
    assert answer.headers["location"] == f"/rescue/{one.id}"


async def test_unit_answers_by_its_link(centre: Centre) -> None:
    one = await centre.call(centre.lifts[0], people=2, caller_phone="13900001111")
    await centre.act(one.id, "dispatch", unit="firm-a")
    _, path = await new_link(centre.services, ACT, one.id, LinkBody(kind="unit"))
    transport = httpx.ASGITransport(centre.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as phone:
        page = await phone.get(path, headers={"Accept-Language": "en-GB,zh;q=0.5"})
        assert page.status_code == 200
        assert "We accept" in page.text
        assert "13900001111" not in page.text
        now = centre.clock.wall_ms()
        for verb, said in (
            ("accept", {"eta_s": 600, "key": "one"}),
            (
                "accept",
                {"eta_s": 600, "key": "one"},
            ),  # sent twice: the answer to the first was lost
            ("set_out", {"at": now - 3_600_000, "sent_at": now - 3_600_000}),
            ("arrive", {}),
            ("release", {"people": 2}),
        ):
            done = await phone.post(f"{path}/{verb}", content=json.dumps(said))
            assert done.status_code == 200, (verb, done.text)
        assert (await phone.post(f"{path}/close", content=b"{}")).status_code == 404
        wrong = await phone.post(f"{path}/refuse", content=b'{"note": "x"}')
        assert wrong.status_code == 409
    freed = await centre.incidents.get(one.id)
    assert (freed.state, freed.released_people) == ("released", 2)
    record = await centre.incidents.record(one.id)
    assert [entry.what for entry in record if "link" in entry.by] == [
        *("accept", "set_out", "arrive", "release")
    ]


async def test_unit_without_an_organisation_answers_by_its_link_too(centre: Centre) -> None:
    one = await centre.call(centre.lifts[0])
    await centre.act(one.id, "dispatch", unit="station-1")
    _, path = await new_link(centre.services, ACT, one.id, LinkBody(kind="unit"))
    transport = httpx.ASGITransport(centre.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as phone:
        done = await phone.post(f"{path}/accept", content=b"{}")
        assert done.status_code == 200, done.headers["x-refused"]
        await centre.act(one.id, "dispatch", unit="station-2")
        assert "已改派其他单位" in (await phone.get(path)).text


async def test_progress_tells_nothing_of_people(centre: Centre) -> None:
    one = await centre.call(
        centre.lifts[0], people=2, caller_name="王女士", caller_phone="13900001111"
    )
    await centre.act(one.id, "note", note="胸闷")
    link, path = await new_link(centre.services, ACT, one.id, LinkBody(kind="progress"))
    transport = httpx.ASGITransport(centre.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as phone:
        page = await phone.get(path)
        assert page.status_code == 200
        assert "正在核实电梯位置" in page.text
        for secret in ("王女士", "13900001111", "胸闷", "admin", "0432"):
            assert secret not in page.text
        other = path.replace("/r/", "/u/")
        missing = [await phone.get(one) for one in ("/r/nothing", "/u/nothing", other)]
        await centre.services.desk.links.revoke(one.id, link.id, by="x")
        missing += [await phone.get(path), await phone.get(f"{path}/now")]
        assert {answer.status_code for answer in missing} == {404}
        assert len({answer.text for answer in missing}) == 1


async def test_handover_is_written_and_printed(centre: Centre, operator: httpx.AsyncClient) -> None:
    one = await centre.call(centre.lifts[0])
    page = (await operator.get("/rescue/handover")).text
    assert one.number in page
    data = {"csrf": csrf_in(page), "to": "赵六", "note": "1 号梯家属情绪激动"}
    answer = await operator.post("/rescue/handover", data=data)
    assert answer.status_code == 303
    sheet = (await operator.get(answer.headers["location"])).text
    for text in ("赵六", "1 号梯家属情绪激动", one.number):
        assert text in sheet
    refused = await operator.post("/rescue/handover", data={**data, "to": ""})
    assert refused.status_code == 400
    assert (await operator.get("/rescue/handover/99")).status_code == 404


async def test_text_from_outside_is_never_markup(
    centre: Centre, operator: httpx.AsyncClient
) -> None:
    nasty = "<script>alert(1)</script>\"'"
    asset = await centre.lift(40, address=nasty, building=nasty, owner_name=nasty, brand=nasty)
    one = await centre.call(asset, caller_name=nasty, caller_phone=nasty, note=nasty)
    await centre.act(one.id, "tell", to=nasty, note=nasty)
    for path in ("/rescue", f"/rescue/{one.id}", "/rescue/wall", "/rescue/figures"):
        page = (await operator.get(path)).text
        assert "<script>alert" not in page, path
    search = (await operator.get("/parts/rescue-search", params={"text": nasty})).text
    assert "<script>alert" not in search
