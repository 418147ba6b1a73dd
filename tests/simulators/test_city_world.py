"""A city of lifts in its own time: places, trips, troubles; by seed, without network."""

import random
import re
from collections import Counter, defaultdict

import pytest

from protocols.catalog.points import load_points
from protocols.codes.checks import CHECKS
from simulators.city_cars import Riders, factor, poisson
from simulators.city_facts import Change, Made
from simulators.city_places import City, build_city, credit_code, distance_km
from simulators.city_story import load_story
from simulators.city_troubles import Entrapment, draw_entrapment
from simulators.city_world import World

STORY = load_story()
CITY = build_city(STORY, 400, 1)


def lived(
    hours: float = 2.0, *, times: float = 400.0, seed: int = 1, step_s: float = 3.0
) -> tuple[World, list[Change]]:
    """Let hours pass with rescuers who come after a quarter of an hour."""
    world, changes = World(STORY, CITY, random.Random(seed), times=times), list[Change]()
    for number in range(1, int(hours * 3_600 / step_s)):
        changes += world.advance(number * step_s)
        for made in world.made:
            if not made.done and made.began_s + 900 < world.now_s:
                world.release(made)
                world.finish(made)
    return world, changes


def test_a_city_is_made_by_its_seed_alone() -> None:
    assert build_city(STORY, 100, 1) == build_city(STORY, 100, 1)
    assert build_city(STORY, 100, 1) != build_city(STORY, 100, 2)
    assert len({one.asset for one in CITY.lifts}) == len(CITY.lifts) == 400
    assert len({one.rescue_code for one in CITY.lifts}) == 400
    assert {one.level for one in CITY.units} == {1, 2}
    assert Counter(one.gateway for one in CITY.lifts).most_common(1)[0][1] == 20
    with pytest.raises(ValueError, match="rescue codes"):
        build_city(STORY, 600_000, 1)


def test_a_wrong_code_is_nobodys() -> None:
    rng, codes = random.Random(1), {one.rescue_code for one in CITY.lifts}
    wrong = {CITY.wrong_code("012345", rng) for _ in range(50)}
    assert not wrong & codes
    assert {len(one) for one in wrong} == {6}


def test_credit_codes_are_valid() -> None:
    found = [re.fullmatch(r".*", credit_code(number)) for number in (0, 7, 710_003)]
    assert all(one is not None and CHECKS["credit_code"](one) for one in found)


def test_distance() -> None:
    assert distance_km((43.8, 126.5), (43.8, 126.5)) == 0
    assert distance_km((43.8, 126.5), (43.9, 126.5)) == pytest.approx(11.12, abs=0.01)


def test_traffic_follows_the_day() -> None:
    riders, rng = Riders(CITY.lifts, STORY.curves), random.Random(1)
    night, morning = (
        sum(len([*riders.begin(hour * 3_600, 60, rng)]) for _ in range(30)) for hour in (3, 7.5)
    )
    assert morning > 5 * night
    day = sum(len([*riders.begin(hour * 3_600, 3_600, rng)]) for hour in range(24))
    assert day == pytest.approx(sum(one.trips_day for one in CITY.lifts), rel=0.05)
    assert factor([1.0, 3.0, *[1.0] * 22], 0.5) == 2.0
    draws = [poisson(mean, rng) for mean in (3.0, 200.0) for _ in range(400)]
    assert sum(draws[:400]) / 400 == pytest.approx(3, abs=0.4)
    assert sum(draws[400:]) / 400 == pytest.approx(200, rel=0.02)


def test_what_lifts_show_is_canonical_and_in_order() -> None:
    _, changes = lived(0.5)
    points, last = load_points("elevator"), defaultdict[int, float](float)
    for one in changes:
        assert one.values.keys() <= points.keys()
        assert one.values
        assert one.at_s >= last[one.lift]
        last[one.lift] = one.at_s
    assert all(one.at_s - last[one.lift] <= 0 for one in changes[-10:])
    assert len(last) == len(CITY.lifts)  # each minute all of them


def test_nobody_stands_shut_in_but_the_trapped() -> None:
    """The rule infers an entrapment from a closed, standing car with people in it."""
    world, changes = lived(1.0, times=2_000)
    shown: dict[int, dict[str, object]] = defaultdict(dict)
    shut: set[int] = set()
    for one in changes:
        values = shown[one.lift]
        values |= one.values
        shut_in = values.get("passenger_status") and values.get("door_status")
        if shut_in and values.get("car_status") == "stopped":
            shut.add(one.lift)
    assert shut <= {one.lift.index for one in world.made if one.entrapment}
    assert shut


def test_troubles_come_as_often_as_the_story_says() -> None:
    world, _ = lived(4.0, times=3_000, step_s=30.0)
    made = [one for one in world.made if one.entrapment is not None]
    month = 30 * 24 / 4 / 3_000
    percent = 100 * len(made) * month / len(CITY.lifts)
    assert 0.5 < percent < 1.3
    assert {one.entrapment.course for one in made if one.entrapment} == {
        one.id for one in STORY.courses
    }
    freed = [one for one in made if one.freed_by == "itself"]
    assert 0 < len(freed) < len(made) / 3


def test_the_same_seed_gives_the_same_city_day() -> None:
    (_, one), (_, other), (_, third) = lived(0.2), lived(0.2), lived(0.2, seed=2)
    assert one == other
    assert one != third


def entrapment(**fields: float | None) -> Entrapment:
    told = {"press_s": None, "phone_s": None, "again_s": None, "free_s": None, **fields}
    return Entrapment(course="x", at_level=True, people=2, cause="door", **told)


def test_what_the_centre_must_hear_of() -> None:
    assert entrapment().becomes_known(20, 5)
    assert entrapment(free_s=10).becomes_known(20, 5) is False
    assert entrapment(free_s=18).becomes_known(20, 5) is None
    assert entrapment(free_s=18, press_s=3).becomes_known(20, 5)
    assert entrapment(free_s=90, phone_s=40).becomes_known(600, 5)
    assert entrapment(free_s=90, phone_s=40, again_s=60).becomes_known(600, 5) is False


def test_whoever_is_free_neither_presses_nor_phones() -> None:
    rng = random.Random(3)
    drawn = [draw_entrapment(STORY.courses, STORY.callers, rng) for _ in range(2_000)]
    for one in drawn:
        if one.free_s is not None:
            assert one.cause == "self_recovered"
            assert all(at is None or at < one.free_s for at in (one.press_s, one.phone_s))
    assert any(one.again_s is not None for one in drawn)


def cut(world: World, city: City) -> list[Made]:
    return world.power_cut([one.index for one in city.lifts[:100]], over_s=60, trapped=7)


def test_a_power_cut_traps_some_and_stops_all() -> None:
    world = World(STORY, CITY, random.Random(5), times=1)
    world.advance(60.0)
    trapped = cut(world, CITY)
    changes = [change for number in range(61, 400) for change in world.advance(float(number))]
    dark = {one.lift for one in changes if "41" in (one.values.get("message_code") or [])}  # type: ignore[operator]
    assert dark >= set(range(100))
    assert len(trapped) == 7
    assert all(one.entrapment for one in trapped)
    pressed = [one.lift for one in changes if one.urgent and "90" in one.values["message_code"]]  # type: ignore[operator]
    assert set(pressed) <= {one.lift.index for one in trapped}
    urgent = Counter(one.lift for one in changes if one.urgent)
    assert set(range(100)) <= set(urgent)
