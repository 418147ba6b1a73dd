"""The operator's side of an alarm as one table (ISA-18.2, IEC 62682)."""

from collections.abc import Mapping
from typing import Literal

from cloud.model.alarm import AlarmState
from cloud.model.transition import Change

Verb = Literal[
    "fire",
    "upgrade",
    "resolve",
    "acknowledge",
    "suppress",
    "unsuppress",
    "shelve",
    "unshelve",
    "take_out_of_service",
    "return_to_service",
]

VERBS: Mapping[Change, Verb] = {
    "fired": "fire",
    "upgraded": "upgrade",
    "resolved": "resolve",
    "suppressed": "suppress",
    "unsuppressed": "unsuppress",
}
"""What each change of an alert does to its alarm."""

A: AlarmState = "normal"
B: AlarmState = "unacknowledged"
C: AlarmState = "acknowledged"
D: AlarmState = "return_to_normal_unacknowledged"
E: AlarmState = "shelved"
F: AlarmState = "suppressed_by_design"
G: AlarmState = "out_of_service"

TABLE: Mapping[tuple[AlarmState, Verb], AlarmState] = {
    (A, "fire"): B,
    (A, "upgrade"): B,
    (A, "unsuppress"): B,
    (B, "upgrade"): B,
    (B, "acknowledge"): C,
    (B, "resolve"): D,
    (C, "upgrade"): C,  # somebody is on it already; the feed tells the stronger proof
    (C, "resolve"): A,
    (D, "fire"): B,
    (D, "upgrade"): B,
    (D, "acknowledge"): A,
    (D, "unsuppress"): B,
    **{(state, "suppress"): F for state in (B, C)},
    (F, "unsuppress"): B,
    (F, "resolve"): A,
    **{(state, "shelve"): E for state in (B, C, D)},
    (E, "unshelve"): B,
    (E, "resolve"): A,
    **{(state, "take_out_of_service"): G for state in (A, B, C, D, E, F)},
    (G, "return_to_service"): A,
}
"""Next state by (state, verb); what is not here changes nothing."""


def next_state(state: AlarmState, verb: Verb) -> AlarmState | None:
    """Return the state after `verb`, None when it means nothing in this state."""
    return TABLE.get((state, verb))
