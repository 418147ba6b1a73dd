"""The table of ISA-18.2."""

from itertools import product
from typing import get_args

import pytest

from cloud.alarms.alarm_state import TABLE, VERBS, Verb, next_state
from cloud.model.alarm import AlarmState
from cloud.model.transition import Change

STATES: tuple[AlarmState, ...] = get_args(AlarmState)
ALL_VERBS: tuple[Verb, ...] = get_args(Verb)


@pytest.mark.parametrize(
    ("state", "verb", "expected"),
    [
        ("normal", "fire", "unacknowledged"),
        ("unacknowledged", "acknowledge", "acknowledged"),
        ("unacknowledged", "resolve", "return_to_normal_unacknowledged"),
        ("acknowledged", "resolve", "normal"),
        ("return_to_normal_unacknowledged", "acknowledge", "normal"),
        ("return_to_normal_unacknowledged", "fire", "unacknowledged"),
        ("unacknowledged", "suppress", "suppressed_by_design"),
        ("suppressed_by_design", "unsuppress", "unacknowledged"),
        ("suppressed_by_design", "resolve", "normal"),
        ("acknowledged", "upgrade", "acknowledged"),
        ("unacknowledged", "fire", None),
        ("acknowledged", "acknowledge", None),
        ("normal", "acknowledge", None),
        ("normal", "resolve", None),
        ("shelved", "fire", None),
        ("out_of_service", "fire", None),
    ],
)
def test_state_after_a_verb(state: AlarmState, verb: Verb, expected: AlarmState | None) -> None:
    assert next_state(state, verb) == expected


def test_table_names_only_states_and_verbs_and_leaves_every_state() -> None:
    assert set(TABLE) <= set(product(STATES, ALL_VERBS))
    assert set(TABLE.values()) <= set(STATES)
    assert {state for state, _ in TABLE} == set(STATES)
    assert {verb for _, verb in TABLE} == set(ALL_VERBS)


def test_every_state_can_come_back_to_normal() -> None:
    reached: set[AlarmState] = {"normal"}
    for _ in STATES:
        reached |= {state for (state, _), after in TABLE.items() if after in reached}
    assert reached == set(STATES)


def test_every_change_of_an_alert_is_a_verb() -> None:
    assert set(VERBS) == set(get_args(Change))
