"""How a city's people answer, and the account at the end: pure decisions."""

import random
from typing import Any

import pytest

from protocols.clock import iso
from simulators.city_answers import (
    answer_of,
    next_unit,
    satisfaction,
    verify_after_s,
    wants_desk,
)
from simulators.city_facts import Made
from simulators.city_ledger import account, share_within
from simulators.city_places import build_city
from simulators.city_service import at_pace_policy, at_pace_rule
from simulators.city_story import load_story
from simulators.city_troubles import Entrapment

STORY = load_story()
CITY = build_city(STORY, 4, 1)
START_MS = 1_764_000_000_000


@pytest.mark.parametrize(("habit", "accepts"), [("good", 94), ("usual", 86), ("poor", 66)])
def test_units_answer_as_their_habit_says(habit: str, accepts: int) -> None:
    rng, told = random.Random(habit), STORY.habit(habit)
    drawn = [answer_of(told, 5.0, rng) for _ in range(3_000)]
    share = 100 * sum(one.kind == "accept" for one in drawn) / len(drawn)
    assert share == pytest.approx(accepts, abs=3)
    assert {one.kind for one in drawn} == {"accept", "refuse", "silence"}
    late = [one.travel_s for one in drawn if one.late]
    timely = [one.travel_s for one in drawn if not one.late]
    assert sum(late) / len(late) > 2 * sum(timely) / len(timely)
    assert len(late) / len(drawn) == pytest.approx(told.late, abs=0.03)


def test_who_is_farther_away_comes_later() -> None:
    told = STORY.habit("good")
    near, far = (answer_of(told, km, random.Random(1)).travel_s for km in (2.0, 20.0))
    assert far == pytest.approx(10 * near)
    assert answer_of(told, 0.0, random.Random(1)).travel_s >= 60


def test_the_desk_is_slow_now_and_then() -> None:
    rng = random.Random(1)
    drawn = [verify_after_s(STORY.desk, rng) for _ in range(2_000)]
    assert sum(one > 60 for one in drawn) / 2_000 == pytest.approx(STORY.desk.slow, abs=0.03)
    assert {satisfaction(STORY.desk, rng) for _ in range(2_000)} == {1, 2, 3, 4, 5}


def units(*names: str) -> list[dict[str, str]]:
    return [{"unit": one} for one in names]


def test_who_is_asked_next() -> None:
    levels = {1: units("a", "b"), 2: units("s"), 3: units("fire-119")}
    assert next_unit(levels, [], 1) == ("a", 1)
    assert next_unit(levels, ["a"], 1) == ("b", 1)
    assert next_unit(levels, ["a", "b"], 1) == ("s", 2)
    assert next_unit(levels, ["s"], 2) == ("fire-119", 3)
    assert next_unit(levels, ["a", "b", "s", "fire-119"], 1) is None
    many = {1: units(*"abcdef"), 2: units("s")}
    assert next_unit(many, ["a", "b", "c"], 1) == ("s", 2)
    assert wants_desk("verified", None)
    assert not wants_desk("dispatched", "a")


def made(number: int, lift: int, began_s: float, *, expected: bool | None = True) -> Made:
    told = Entrapment("x", True, 2, "door", None, None, None, None)
    return Made(number, CITY.lifts[lift], began_s, told, expected)


def rescue(number: int, lift: int, at_s: float, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "number": f"R-{number}",
        "asset": CITY.lifts[lift].asset,
        "state": "closed",
        "level": 1,
        "detected_at": iso(START_MS + int(at_s * 100)),
        "released_at": iso(START_MS),
        **fields,
    }


def test_each_rescue_is_matched_with_what_it_is_about() -> None:
    facts = [made(0, 0, 10), made(1, 0, 900), made(2, 1, 5, expected=False), made(3, 2, 50)]
    rows = [rescue(1, 0, 40), rescue(2, 0, 930), rescue(3, 2, 60)]
    told = account(facts, rows, start_ms=START_MS, pace=10)
    assert told.faults() == []
    assert (told.made, told.opened, told.closed, told.unheard) == (4, 3, 3, 1)


def test_what_is_lost_doubled_about_nothing_or_not_ended_is_a_fault() -> None:
    facts = [made(0, 0, 10), made(1, 1, 10)]
    rows = [rescue(1, 1, 40), rescue(2, 1, 60), rescue(3, 3, 60, state="arrived")]
    told = account(facts, rows, start_ms=START_MS, pace=10)
    assert len(told.faults()) == 4
    assert told.lost == [f"{CITY.lifts[0].asset} at 10 s"]
    assert told.doubled == [f"{CITY.lifts[1].asset}: R-1, R-2"]
    assert told.stray == ["R-3"]
    assert told.unended == ["R-3 arrived"]


def test_a_late_deadline_is_a_fault() -> None:
    due = {"kind": "accept", "level": 1, "due_at": iso(START_MS)}
    late = {**due, "fired_at": iso(START_MS + 1_500)}
    rows = [rescue(1, 0, 40, deadlines=[due, late])]
    told = account([made(0, 0, 10)], rows, start_ms=START_MS, pace=10)
    assert told.faults() == ["a deadline fired 1500 ms late"]
    assert told.deadlines == {"accept": 1}


def test_shares() -> None:
    assert share_within([], 1) == 1
    assert share_within([1, 2, 3, 4], 2) == 0.5


def test_deadlines_and_rules_go_at_a_pace() -> None:
    text = "acknowledge_s = 60  # x\nbreach_s = 1800\nahead_max_s = 60\n[[sample]]\nwarn_s = 900\n"
    assert at_pace_policy(text, 30) == "acknowledge_s = 2  # x\nbreach_s = 60\nahead_max_s = 60\n"
    assert at_pace_policy("accept_s = 120", 500) == "accept_s = 1"
    assert at_pace_rule('for = "20s"\nkeep_firing_for = "10s"', 30) == (
        'for = "667ms"\nkeep_firing_for = "333ms"'
    )
