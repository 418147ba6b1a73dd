"""The table of ISA-18.2."""

import random
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from cloud.alarms.alarm_state import (
    CONDITIONS,
    LETTERS,
    TABLE,
    VERBS,
    Circumstances,
    Facts,
    Verb,
    markdown,
    step,
)
from cloud.model.alarm import AlarmState
from cloud.model.transition import Change
from tests.support.alarm_model import PlainAlarm

STATES: tuple[AlarmState, ...] = get_args(AlarmState)
ALL_VERBS: tuple[Verb, ...] = get_args(Verb)
DOCS = Path(__file__).parents[3] / "docs" / "alarms.md"
EPISODE = 60
"""Steps with one alarm, before one of another severity."""
ORDINARY = Circumstances()
EMERGENCY = Circumstances(emergency=True)


@pytest.mark.parametrize(
    ("state", "verb", "expected"),
    [
        ("normal", "fire", "unacknowledged"),
        ("unacknowledged", "acknowledge", "acknowledged"),
        ("unacknowledged", "resolve", "return_to_normal_unacknowledged"),
        ("acknowledged", "resolve", "normal"),
        ("return_to_normal_unacknowledged", "acknowledge", "normal"),
        ("return_to_normal_unacknowledged", "fire", "unacknowledged"),
        ("latched_unacknowledged", "acknowledge", "latched_acknowledged"),
        ("latched_unacknowledged", "reset", "return_to_normal_unacknowledged"),
        ("latched_acknowledged", "reset", "normal"),
        ("latched_acknowledged", "fire", "unacknowledged"),
        ("unacknowledged", "suppress", "suppressed_by_design"),
        ("suppressed_by_design", "unsuppress", "unacknowledged"),
        ("suppressed_by_design", "resolve", "normal"),
        ("acknowledged", "upgrade", "acknowledged"),
        ("shelved", "fire", "shelved"),
        ("shelved", "resolve", "shelved"),
        ("out_of_service", "fire", "out_of_service"),
        ("unacknowledged", "fire", None),
        ("acknowledged", "acknowledge", None),
        ("acknowledged", "reset", None),
        ("normal", "acknowledge", None),
        ("normal", "resolve", None),
        ("shelved", "shelve", None),
        ("suppressed_by_design", "shelve", None),
    ],
)
def test_state_after_a_verb(state: AlarmState, verb: Verb, expected: AlarmState | None) -> None:
    stepped = step(state, Facts(), verb, ORDINARY)
    assert (stepped and stepped[0]) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(active=True), "unacknowledged"),
        (Facts(active=True, suppressed=True), "suppressed_by_design"),
        (Facts(latched=True), "latched_unacknowledged"),
        (Facts(), "normal"),
    ],
)
def test_what_was_held_comes_back_as_the_process_is(facts: Facts, expected: AlarmState) -> None:
    for state, verb in (("shelved", "unshelve"), ("out_of_service", "return_to_service")):
        stepped = step(state, facts, verb, ORDINARY)  # type: ignore[arg-type]
        assert stepped is not None
        assert stepped[0] == expected


def test_nothing_holds_an_emergency() -> None:
    for state, facts in product(STATES, (Facts(), Facts(active=True), Facts(True, True, True))):
        for verb in ("shelve", "suppress", "take_out_of_service"):
            stepped = step(state, facts, verb, EMERGENCY)
            held = ("shelved", "out_of_service")  # only below a hold of before it was one
            assert stepped is None or (state in held and stepped[0] == state)
        stepped = step(state, facts, "fire", EMERGENCY._replace(out=True))
        assert stepped is None or stepped[0] == "unacknowledged"


def test_table_names_only_states_and_verbs_and_leaves_every_state() -> None:
    assert {(row.state, row.verb) for row in TABLE} <= set(product(STATES, ALL_VERBS))
    assert {row.to for row in TABLE} == set(STATES)
    assert {row.state for row in TABLE} == set(STATES)
    assert {row.verb for row in TABLE} == set(ALL_VERBS)
    assert {row.when for row in TABLE} == set(CONDITIONS)
    assert len({(row.state, row.verb, row.when) for row in TABLE}) == len(TABLE)
    assert list(LETTERS) == list(STATES)


def test_every_state_can_come_back_to_normal() -> None:
    reached: set[AlarmState] = {"normal"}
    for _ in STATES:
        reached |= {row.state for row in TABLE if row.to in reached}
    assert reached == set(STATES)


def test_every_change_of_an_alert_is_a_verb() -> None:
    assert set(VERBS) == set(get_args(Change))


def test_the_page_of_the_documentation_shows_this_table() -> None:
    assert markdown() in DOCS.read_text(encoding="utf-8")


def walk(steps: int, seed: int) -> int:
    """Compare the table with the plain model at random; return how many steps meant something."""
    rng, meant = random.Random(seed), 0
    state: AlarmState = "normal"
    facts, around, plain = Facts(), ORDINARY, PlainAlarm()
    for number in range(steps):
        if number % EPISODE == 0:
            emergency, latching = rng.random() < 0.3, rng.random() < 0.5
            state, facts = "normal", Facts()
            around = Circumstances(emergency, latching)
            plain = PlainAlarm(emergency, latching)
        verb, out = rng.choice(ALL_VERBS), rng.random() < 0.2
        before = state
        stepped = step(state, facts, verb, around._replace(out=out))
        if stepped is not None:
            state, facts = stepped
            meant += 1
        expected = plain.do(verb, out)
        told = f"seed {seed}, step {number}: {before} {verb} {facts} {around}"
        assert (stepped is not None) == expected, told
        assert state == plain.word(), told
    return meant


@pytest.mark.parametrize("seed", range(4))
def test_table_against_a_plain_model(seed: int) -> None:
    assert walk(5_000, seed) > 1_000


@pytest.mark.long
def test_table_against_a_plain_model_a_million_steps() -> None:
    meant = walk(1_000_000, 18_2)
    print(f"1,000,000 random steps, {meant} of them meant something, 0 illegal")
