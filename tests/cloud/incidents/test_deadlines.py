"""What falls due when nobody acts: each once, at its moment, with all that follows from it."""

import json

from msgspec.structs import replace

from cloud.model.incident import Incident
from cloud.model.incident_tables import incident_deadline, incident_entry
from cloud.model.rescue_policy import RescueRules, load_rescue
from tests.support.rescues import LIFT, OTHER, Centre, open_centre, operator, worker
from tests.support.state_database import open_state

DESK, FIRM = operator(), worker("firm-a")
RULES = load_rescue()


def with_policy(**fields: object) -> RescueRules:
    """Return the shipped rules, the city's policy with other figures."""
    *others, city = RULES.policies.policy
    changed = replace(city, **fields)
    policies = replace(RULES.policies, policy=(*others, changed))
    return RescueRules(policies, RULES.levels, RULES.causes)


async def told(centre: Centre, one: Incident) -> list[tuple[str, str, int]]:
    """Return what was recorded, with unit or addressee, and after how many seconds."""
    return [
        (entry.what, entry.unit or entry.to, (entry.at - one.detected_at) // 1_000)
        for entry in await centre.record(one)
    ]


async def test_nobody_does_anything(centre: Centre) -> None:
    """The contracted firm, then the nearest station, then the fire brigade; each is told."""
    await centre.unit("far", north_m=4_000)
    await centre.unit("near", north_m=1_000)
    one = await centre.opened()
    await centre.wait(3_600)
    assert await told(centre, one) == [
        ("opened", "", 0),
        ("due_acknowledge", "", 60),
        ("tell", "centre_lead", 60),
        ("dispatch", "firm-a", 60),
        ("due_accept", "firm-a", 180),
        ("nobody", "", 180),
        ("dispatch", "near", 180),
        ("due_accept", "near", 300),
        ("dispatch", "far", 300),
        ("due_accept", "far", 420),
        ("nobody", "", 420),
        ("dispatch", "fire-119", 420),
        ("due_accept", "fire-119", 540),
        ("nobody", "", 540),
        ("due_warn", "", 900),
        ("tell", "firm-a", 900),
        ("due_breach", "", 1_800),
        ("tell", "supervision", 1_800),
    ]
    found = await centre.desk.get(one.id)
    assert (found.state, found.level, found.unit) == ("dispatched", 3, "fire-119")
    assert len(centre.feed) == len(await centre.record(one))
    tells = [json.loads(item) for item in centre.feed if '"change":"tell"' in item]
    assert [(one["to"], one["note"]) for one in tells] == [
        ("centre_lead", "due_acknowledge"),
        ("firm-a", "due_warn"),
        ("supervision", "due_breach"),
    ]
    details = [detail for _, _, detail in centre.found]
    assert len(details) == 3
    assert details[0].endswith("level 1: every unit was asked")


async def test_an_answer_in_time_settles_and_a_late_arrival_breaches(centre: Centre) -> None:
    await centre.unit("station", organisation="firm-s")
    one = await centre.opened()
    await centre.wait(30)
    await centre.act(one, "dispatch", DESK)
    await centre.wait(119)
    await centre.act(one, "accept", FIRM)
    await centre.wait(2_000)
    lines = await told(centre, one)
    assert [line for line in lines if line[0].startswith("due")] == [
        ("due_warn", "", 900),
        ("due_next_level", "", 1_500),
        ("due_accept", "station", 1_620),
        ("due_accept", "fire-119", 1_740),
        ("due_breach", "", 1_800),
    ]
    assert ("dispatch", "station", 1_500) in lines
    one = await centre.act(one, "arrive", FIRM)
    assert (one.unit, one.level) == ("firm-a", 1)
    assert {item.kind for item in one.deadlines if item.settled_at is None} == set()
    await centre.wait(10_000)
    assert not [line for line in await told(centre, one) if line[2] > 2_200]


async def test_what_was_taken_is_not_asked_without_the_desk(centre: Centre) -> None:
    one = await centre.opened()
    await centre.wait(59)
    await centre.act(one, "take", DESK)
    await centre.wait(800)
    assert await centre.words(one) == ["opened", "take"]


async def test_escalation_to_nobody_is_said_and_the_next_level_is_tried(centre: Centre) -> None:
    await centre.lift(OTHER, parties={})
    await centre.alarm(asset=OTHER)
    (one,) = await centre.open()
    await centre.wait(61)
    assert await told(centre, one) == [
        ("opened", "", 0),
        ("due_acknowledge", "", 60),
        ("tell", "centre_lead", 60),
        ("nobody", "", 60),
        ("nobody", "", 60),
        ("dispatch", "fire-119", 60),
    ]
    levels = [entry.level for entry in await centre.record(one) if entry.what == "nobody"]
    assert levels == [1, 2]
    assert [(asset, reason) for asset, reason, _ in centre.found] == [(OTHER, "rescue_nobody")] * 2
    assert sum('"change":"nobody"' in item for item in centre.feed) == 2
    await centre.wait(900)
    assert (await told(centre, one))[-2:] == [("due_warn", "", 900), ("nobody", "", 900)]


async def test_an_empty_list_is_said(database_url: str) -> None:
    rules = with_policy(tell={"breach": ()}, unacknowledged_asks=False)
    centre = await open_centre(open_state(database_url), rules=rules)
    await centre.lift()
    one = await centre.opened()
    await centre.act(one, "take", DESK)
    await centre.act(one, "dispatch", DESK)
    await centre.act(one, "accept", FIRM)
    await centre.wait(1_801)
    last = (await centre.record(one))[-1]
    assert (last.what, last.note) == ("nobody", "nobody to be told of breach: an empty list")
    assert centre.found[-1][:2] == (LIFT, "rescue_nobody")
    centre.database.close()


async def test_a_drill_never_asks_the_fire_brigade_by_itself(centre: Centre) -> None:
    await centre.unit("station")
    drill = await centre.call(DESK, asset=LIFT, drill=True)
    await centre.act(drill, "dispatch", DESK)
    await centre.wait(7_200)
    found = await centre.desk.get(drill.id)
    assert (found.level, found.unit) == (2, "station")
    assert centre.found == []
    assert all('"drill":true' in item for item in centre.feed)


async def test_a_county_has_an_hour(centre: Centre) -> None:
    await centre.lift(district="yongji")
    one = await centre.opened()
    await centre.act(one, "dispatch", DESK)
    await centre.act(one, "accept", FIRM)
    await centre.wait(3_599)
    assert "due_breach" not in await centre.words(one)
    await centre.wait(1)
    assert "due_breach" in await centre.words(one)


async def test_after_a_standstill_each_fires_once(centre: Centre) -> None:
    one = await centre.opened()
    centre.clock.advance(100_000_000)
    again = await open_centre(centre.database, centre.clock)
    assert await again.runner.look() == 1
    assert await again.runner.look() == 0
    due = [row for row in centre.rows(incident_entry) if row.what.startswith("due_")]
    kinds = [row.what for row in due]
    assert kinds == ["due_acknowledge", "due_warn", "due_next_level", "due_breach"]
    assert all(row.recorded_at == centre.clock.wall_ms() for row in due)
    assert [row.at - one.detected_at for row in due] == [60_000, 900_000, 1_500_000, 1_800_000]
    fired = [row for row in centre.rows(incident_deadline) if row.fired_at is not None]
    assert len(fired) == 4
    centre.clock.advance(130_000)  # whoever was asked meanwhile must answer in time
    assert await again.runner.look() == 1
    assert (await centre.words(one)).count("due_accept") == 1


async def test_what_ended_waits_for_nothing(centre: Centre) -> None:
    one = await centre.opened()
    await centre.act(one, "false_alarm", DESK, note="误触")
    assert await centre.desk.next_due() is None
    await centre.wait(10_000)
    assert await centre.words(one) == ["opened", "false_alarm"]


async def test_a_list_is_gone_through_until_somebody_takes_it(database_url: str) -> None:
    who = ("centre_lead", "supervision", "owner")
    rules = with_policy(acknowledge_times=4, tell={"acknowledge": who}, unacknowledged_asks=False)
    centre = await open_centre(open_state(database_url), rules=rules)
    await centre.lift(parties={"maintainer": "firm-a", "owner": "firm-o"})
    one = await centre.opened()
    await centre.wait(185)
    tells = [line for line in await told(centre, one) if line[0] == "tell"]
    assert tells == [
        ("tell", "centre_lead", 60),
        *(("tell", name, 120) for name in ("centre_lead", "supervision")),
        *(("tell", name, 180) for name in ("centre_lead", "supervision", "firm-o")),
    ]
    await centre.act(one, "take", DESK)
    await centre.wait(300)
    assert (await centre.words(one)).count("due_acknowledge") == 3
    centre.database.close()
