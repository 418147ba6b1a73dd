"""A rescue from the first word to its archive, by alarm and by call, at the desk and by units."""

import json

import pytest

from cloud.incidents.steps import VERBS
from cloud.model.incident import WantedIncidents
from cloud.model.incident_tables import rescue_call
from protocols.errors import RefuseInput
from tests.support.rescues import LIFT, OTHER, Centre, operator, worker

DESK, FIRM = operator(), worker("firm-a")


async def test_a_full_rescue_leaves_a_full_record(centre: Centre) -> None:
    one = await centre.opened()
    assert (one.state, one.source, one.alert) == ("detected", "alarm", "Entrapment")
    assert one.trapped_at == one.detected_at - 20_000
    centre.clock.advance(10_000)
    one = await centre.act(one, "take", DESK)
    one = await centre.act(one, "verify", DESK, people=2)
    one = await centre.act(one, "dispatch", DESK)
    assert (one.state, one.unit, one.level, one.operator) == ("dispatched", "firm-a", 1, "李四")
    centre.clock.advance(30_000)
    one = await centre.act(one, "accept", FIRM, eta_s=600)
    assert one.eta_at == centre.clock.wall_ms() + 600_000
    one = await centre.act(one, "set_out", FIRM)
    centre.clock.advance(600_000)
    one = await centre.act(one, "arrive", FIRM)
    centre.clock.advance(200_000)
    await centre.alarm("resolved")
    assert (await centre.desk.get(one.id)).state == "arrived"
    one = await centre.act(one, "release", FIRM, people=2, injured=0)
    with pytest.raises(RefuseInput, match="before it is closed: cause"):
        await centre.act(one, "close", DESK)
    one = await centre.act(one, "call_back", DESK, satisfaction=5)
    one = await centre.act(one, "file_cause", DESK, cause="door", note="门机皮带断裂")
    one = await centre.act(one, "close", DESK)
    assert (one.state, one.cause, one.narrative) == ("closed", "door", "门机皮带断裂")
    assert one.arrived_at is not None
    assert one.arrived_at - one.detected_at == 640_000
    assert all(item.settled_at is not None and item.fired_at is None for item in one.deadlines)
    assert await centre.words(one) == [
        *("opened", "take", "verify", "dispatch", "accept", "set_out", "arrive", "alarm_ended"),
        *("release", "call_back", "file_cause", "close"),
    ]
    fed = [json.loads(item) for item in centre.feed]
    assert [item["change"] for item in fed] == await centre.words(one)
    assert [item["version"] for item in fed] == list(range(2, 14))
    assert not await centre.open()


async def test_a_call_opens_and_a_second_one_joins(centre: Centre) -> None:
    one = await centre.call(
        DESK, rescue_code="100 001", people=1, caller_name="张三", caller_phone="13800000000"
    )
    assert (one.asset, one.source, one.people) == (LIFT, "call", 1)
    assert one.number.startswith("R2025")
    again = await centre.call(DESK, rescue_code="１００００１", people=3)
    assert (again.id, again.people, again.caller_name) == (one.id, 3, "张三")
    await centre.alarm()
    (joined,) = await centre.open()
    assert joined.alarm is not None
    assert await centre.words(one) == ["opened", "joined", "joined"]
    assert [row.outcome for row in centre.rows(rescue_call)] == ["opened", "joined"]
    assert "张三" not in "".join(centre.feed)


async def test_a_call_for_an_unknown_code_is_kept_and_placed_later(centre: Centre) -> None:
    for code in ("999999", "12345"):
        with pytest.raises(RefuseInput, match="unknown_code"):
            await centre.call(DESK, rescue_code=code, caller_phone="138", people=2)
    first, second = reversed(
        await centre.desk.calls(DESK.scope("incidents.call"), unplaced=True, limit=10)
    )
    assert (first.rescue_code, first.outcome, second.rescue_code) == (
        "999999",
        "unknown_code",
        "12345",
    )
    one = await centre.call(DESK, asset=LIFT, call=first.id)
    assert (one.asset, one.people, one.caller_phone) == (LIFT, 2, "138")
    left = await centre.desk.calls(DESK.scope("incidents.call"), unplaced=True, limit=10)
    assert [call.id for call in left] == [second.id]
    with pytest.raises(RefuseInput, match="not_found"):
        await centre.call(DESK, asset=OTHER, call=first.id)


async def test_a_code_on_two_plates_is_said(centre: Centre) -> None:
    await centre.lift(OTHER, code="100001")
    with pytest.raises(RefuseInput, match="ambiguous_code"):
        await centre.call(DESK, rescue_code="100001")
    await centre.lift(OTHER, code="100002")
    assert (await centre.call(DESK, rescue_code="100001")).asset == LIFT


async def test_an_alarm_that_opens_nothing_opens_nothing(centre: Centre) -> None:
    await centre.alarm(alert="DoorStuck")
    await centre.alarm("suppressed")
    await centre.alarm("fired", asset=OTHER)
    (found,) = await centre.open()
    assert found.asset == OTHER


async def test_an_upgrade_joins_and_an_end_never_closes(centre: Centre) -> None:
    one = await centre.opened()
    await centre.alarm("upgraded", evidence="alarm_button")
    await centre.alarm("resolved")
    await centre.alarm("fired")
    (found,) = await centre.open()
    assert (found.id, found.evidence, found.state) == (one.id, "alarm_button", "detected")
    assert await centre.words(one) == ["opened", "joined", "alarm_ended", "joined"]


async def test_who_acknowledges_the_alarm_has_taken_the_rescue(centre: Centre) -> None:
    one = await centre.opened()
    assert one.alarm is not None
    await centre.alarms.acknowledge(one.alarm, by="李四")
    (found,) = await centre.open()
    assert found.operator == "李四"
    await centre.wait(120)
    assert await centre.words(one) == ["opened", "take"]


async def test_trapped_anew_before_the_desk_closed_is_a_new_rescue(centre: Centre) -> None:
    one = await centre.opened()
    await centre.act(one, "release", DESK, people=1)
    await centre.alarm("resolved")
    await centre.alarm("fired")
    (new,) = await centre.open()
    assert new.id != one.id
    old = await centre.desk.get(one.id)
    assert (old.state, old.cause) == ("closed", None)
    await centre.act(old, "file_cause", DESK, cause="supply")
    assert (await centre.desk.get(one.id)).cause == "supply"


async def test_a_drill_ends_when_it_becomes_real(centre: Centre) -> None:
    drill = await centre.call(DESK, asset=LIFT, drill=True)
    assert (drill.source, drill.drill) == ("drill", True)
    await centre.alarm()
    (real,) = await centre.open()
    assert (real.drill, real.source) == (False, "alarm")
    assert (await centre.desk.get(drill.id)).state == "cancelled"
    with pytest.raises(RefuseInput, match="no drill can begin"):
        await centre.call(DESK, asset=LIFT, drill=True)
    assert [row.outcome for row in centre.rows(rescue_call)] == ["opened", "refused"]


async def test_doing_again_changes_nothing(centre: Centre) -> None:
    one = await centre.opened()
    steps = [
        ("take", DESK, {}),
        ("verify", DESK, {"people": 1}),
        ("dispatch", DESK, {}),
        ("accept", FIRM, {}),
        ("set_out", FIRM, {}),
        ("arrive", FIRM, {}),
        ("release", FIRM, {"people": 1}),
        ("call_back", DESK, {"satisfaction": 4}),
        ("file_cause", DESK, {"cause": "door"}),
        ("note", DESK, {"note": "x"}),
        ("tell", DESK, {"to": "owner"}),
        ("close", DESK, {}),
    ]
    for verb, by, fields in steps:
        assert verb in VERBS
        done = await centre.act(one, verb, by, **fields)  # type: ignore[arg-type]
        again = await centre.act(one, verb, by, **fields)  # type: ignore[arg-type]
        assert again == done, verb
    assert len(await centre.record(one)) == 1 + len(steps)


async def test_only_the_unit_that_was_asked_answers(centre: Centre) -> None:
    one = await centre.opened()
    await centre.act(one, "dispatch", DESK)
    with pytest.raises(RefuseInput, match="not_found"):  # no party of the lift, and never asked
        await centre.act(one, "accept", worker("firm-b"))
    await centre.lift(parties={"maintainer": "firm-a", "owner": "firm-b"})
    with pytest.raises(RefuseInput, match="forbidden"):
        await centre.act(one, "accept", worker("firm-b"))
    with pytest.raises(RefuseInput, match="forbidden"):
        await centre.act(one, "release", worker("firm-b"), people=1)
    await centre.act(one, "note", worker("firm-b"), note="钥匙在门卫处")
    done = await centre.act(one, "accept", DESK)  # on its behalf
    assert (done.state, done.unit) == ("accepted", "firm-a")


async def test_who_refuses_is_followed_by_the_next_at_once(centre: Centre) -> None:
    await centre.unit("station-far", north_m=5_000)
    await centre.unit("station-near", north_m=900, organisation="firm-s")
    await centre.unit("station-off", north_m=1, on_duty=False)
    one = await centre.opened()
    await centre.act(one, "dispatch", DESK)
    one = await centre.act(one, "refuse", FIRM, note="人手不足")
    assert (one.state, one.unit, one.level) == ("dispatched", "station-near", 2)
    again = await centre.act(one, "refuse", FIRM, note="人手不足")
    assert again == one
    with pytest.raises(RefuseInput, match="wrong_state"):
        await centre.act(one, "accept", FIRM)
    one = await centre.act(one, "refuse", worker("firm-s"), note="x")
    assert one.unit == "station-far"
    one = await centre.act(one, "refuse", DESK, note="x")
    assert (one.unit, one.level) == ("fire-119", 3)
    one = await centre.act(one, "refuse", DESK, note="x")
    assert (one.state, one.unit) == ("verified", None)
    assert (await centre.words(one))[-2:] == ["refuse", "nobody"]
    one = await centre.act(one, "dispatch", DESK, unit="firm-a")
    assert (one.state, one.unit, one.level) == ("dispatched", "firm-a", 1)
    assert (await centre.act(one, "accept", FIRM)).state == "accepted"


async def test_the_first_who_was_asked_comes_after_all(centre: Centre) -> None:
    await centre.unit("station")
    one = await centre.opened()
    await centre.act(one, "dispatch", DESK)
    await centre.act(one, "dispatch", DESK, unit="station")
    await centre.act(one, "accept", DESK)
    late = await centre.act(one, "accept", FIRM)
    assert (late.state, late.unit) == ("accepted", "station")
    there = await centre.act(one, "arrive", FIRM)
    assert (there.state, there.unit, there.level) == ("arrived", "firm-a", 1)
    second = await centre.act(one, "arrive", DESK, unit="station")
    assert (second.unit, second.arrived_at) == ("firm-a", there.arrived_at)


async def test_merging_keeps_both_and_later_alarms_join(centre: Centre) -> None:
    await centre.lift(OTHER)
    one = await centre.opened()
    await centre.alarm(asset=OTHER)
    two = next(item for item in await centre.open() if item.asset == OTHER)
    with pytest.raises(RefuseInput, match="another incident"):
        await centre.act(two, "merge", DESK, into=two.id)
    merged = await centre.act(two, "merge", DESK, into=one.id)
    assert (merged.state, merged.merged_into) == ("merged", one.id)
    await centre.alarm("upgraded", asset=OTHER)
    assert [item.id for item in await centre.open()] == [one.id]
    assert await centre.words(one) == ["opened", "joined", "joined"]
    assert await centre.words(two) == ["opened", "merge"]


async def test_clocks_of_partners_are_refused_or_set_right(centre: Centre) -> None:
    one = await centre.opened()
    centre.clock.advance(600_000)
    now_ms = centre.clock.wall_ms()
    await centre.act(one, "dispatch", DESK, at=one.detected_at + 30_000)
    for wrong in (now_ms + 8 * 3_600_000, one.detected_at - 8 * 3_600_000):
        with pytest.raises(RefuseInput, match="a clock is wrong"):
            await centre.act(one, "accept", FIRM, at=wrong)
    done = await centre.act(one, "accept", FIRM, at=now_ms + 30_000)
    assert done.accepted_at == now_ms
    with pytest.raises(RefuseInput, match="no earlier than accepted_at"):
        await centre.act(one, "arrive", FIRM, at=one.detected_at + 300_000)


@pytest.mark.parametrize(
    ("verb", "fields", "told"),
    [
        ("verify", {"people": -1}, "people: expected 0 to 500"),
        ("verify", {"unit": "x"}, "unit: verify takes"),
        ("dispatch", {"unit": "nobody"}, "unit: no unit"),
        ("dispatch", {"level": 4}, "level: expected 1 to 3"),
        ("dispatch", {"level": 2}, "nobody of level 2"),
        ("accept", {}, "nobody is asked"),
        ("release", {}, "people: release needs it"),
        ("release", {"people": 0}, "note: expected one"),
        ("cancel", {"note": " "}, "note: cancel needs it"),
        ("merge", {"into": 99}, "not_found"),
        ("hand_over", {"to": "x" * 65}, "to: expected at most"),
        ("file_cause", {"cause": "door"}, "wrong_state"),
        ("close", {}, "wrong_state: it is detected; what may be done: verify"),
        ("tell", {}, "to: tell needs it"),
        ("note", {"note": "x" * 2_001}, "note: expected at most"),
        ("verify", {"version": 7}, "changed"),
    ],
)
async def test_bad_acts_are_refused_and_change_nothing(
    centre: Centre, verb: str, fields: dict[str, object], told: str
) -> None:
    one = await centre.opened()
    with pytest.raises(RefuseInput, match=told):
        await centre.act(one, verb, DESK, **fields)  # type: ignore[arg-type]
    assert await centre.desk.get(one.id) == one
    assert await centre.words(one) == ["opened"]


async def test_lists_are_filtered_and_sorted_by_urgency(centre: Centre) -> None:
    for number in range(4):
        await centre.lift(f"elevator:{number}")
        await centre.call(DESK, asset=f"elevator:{number}", drill=number == 0)
        centre.clock.advance(5_000)
    wanted = WantedIncidents(open=True, urgent=True)
    assert [one.asset[-1] for one in await centre.desk.find(wanted)] == ["1", "2", "3", "0"]
    first = (await centre.desk.find(wanted))[0]
    await centre.act(first, "dispatch", DESK)
    await centre.act(first, "arrive", DESK)
    assert [one.asset[-1] for one in await centre.desk.find(wanted)] == ["2", "3", "1", "0"]
    for some, expected in (
        (WantedIncidents(drill=True), ["0"]),
        (WantedIncidents(states=("arrived",)), ["1"]),
        (WantedIncidents(unit="firm-a"), ["1"]),
        (WantedIncidents(asset="elevator:2"), ["2"]),
        (WantedIncidents(limit=2), ["3", "2"]),
        (WantedIncidents(before_id=first.id), ["0"]),
        (WantedIncidents(open=False), []),
    ):
        assert [one.asset[-1] for one in await centre.desk.find(some)] == expected


async def test_a_station_sees_what_it_was_asked_for_and_no_more(centre: Centre) -> None:
    await centre.unit("station", organisation="firm-s")
    one, station = await centre.opened(), worker("firm-s")
    scope = station.scope("incidents.read")
    assert await centre.desk.find(WantedIncidents(), scope) == []
    await centre.act(one, "dispatch", DESK, unit="station")
    assert [item.id for item in await centre.desk.find(WantedIncidents(), scope)] == [one.id]
    assert (await centre.act(one, "accept", station)).state == "accepted"


async def test_the_desk_of_another_district_sees_nothing(centre: Centre) -> None:
    one = await centre.opened()
    other = operator("赵六", frozenset({"longtan"}))
    with pytest.raises(RefuseInput, match="not_found"):
        await centre.act(one, "verify", other)
    with pytest.raises(RefuseInput, match="unknown_code"):
        await centre.call(other, rescue_code="100001")
    with pytest.raises(RefuseInput, match="not_found"):
        await centre.call(other, asset=LIFT)
