"""The operator's side of an alarm as one table (ISA-18.2, IEC 62682), states A to I.

Beside the state an alarm remembers what lies under a hold: whether the process is in alarm, whether
the rule holds it back by design, and whether it is latched. So it comes back from a shelf in the
state that the process is in by then.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from cloud.model.alarm import AlarmState
from cloud.model.transition import Change

Verb = Literal[
    "fire",
    "upgrade",
    "resolve",
    "suppress",
    "unsuppress",
    "acknowledge",
    "reset",
    "repeat",
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
E: AlarmState = "latched_unacknowledged"
F: AlarmState = "latched_acknowledged"
G: AlarmState = "shelved"
H: AlarmState = "suppressed_by_design"
I: AlarmState = "out_of_service"  # noqa: E741 - the letter of the standard

LETTERS: Mapping[AlarmState, str] = {
    state: letter for letter, state in zip("ABCDEFGHI", (A, B, C, D, E, F, G, H, I), strict=True)
}
HELD: frozenset[AlarmState] = frozenset((G, H, I))
"""Somebody, or the rule, holds it back: what the process does is noted and not told."""

Condition = Literal["", "emergency", "ordinary", "out", "latched", "by_design", "active"]
CONDITIONS: Mapping[Condition, str] = {
    "": "always",
    "emergency": "its severity is emergency",
    "ordinary": "its severity is not emergency",
    "out": "ordinary, and its asset is out of service",
    "latched": "its rule latches, and an operator had it before him",
    "by_design": "ordinary, the process is in alarm, and the rule holds it back",
    "active": "the process is in alarm",
}


class Facts(NamedTuple):
    """What is remembered beside the state."""

    active: bool = False
    suppressed: bool = False
    latched: bool = False


class Circumstances(NamedTuple):
    """What is known from outside when something happens to an alarm."""

    emergency: bool = False
    latching: bool = False
    """Its rule latches."""
    out: bool = False
    """Its asset is out of service."""


class Row(NamedTuple):
    """One line of the table; of those of one state and verb the first whose condition holds."""

    state: AlarmState
    verb: Verb
    to: AlarmState
    when: Condition = ""


def _each(states: Iterable[AlarmState], verbs: Iterable[Verb], to: AlarmState) -> list[Row]:
    verbs = tuple(verbs)
    return [Row(state, verb, to) for state in states for verb in verbs]


def _ways_back(state: AlarmState, verb: Verb) -> list[Row]:
    return [
        Row(state, verb, H, "by_design"),
        Row(state, verb, B, "active"),
        Row(state, verb, E, "latched"),
        Row(state, verb, A),
    ]


_SEEN: tuple[Verb, ...] = ("fire", "upgrade", "unsuppress")
"""The process is in alarm, and nothing holds it back."""
_PROCESS: tuple[Verb, ...] = (*_SEEN, "resolve", "suppress")

TABLE: tuple[Row, ...] = (
    *(Row(A, verb, I, "out") for verb in _SEEN),
    *_each([A], _SEEN, B),
    Row(B, "upgrade", B),
    Row(B, "acknowledge", C),
    Row(B, "repeat", B, "emergency"),
    Row(B, "resolve", E, "latched"),
    Row(B, "resolve", D),
    Row(C, "upgrade", C),  # somebody is on it already; the feed tells the stronger proof
    Row(C, "resolve", F, "latched"),
    Row(C, "resolve", A),
    *_each([D, E, F], _SEEN, B),
    Row(D, "acknowledge", A),
    Row(D, "repeat", D, "emergency"),
    Row(E, "acknowledge", F),
    Row(E, "reset", D),
    Row(F, "reset", A),
    *(Row(state, "suppress", H, "ordinary") for state in (B, C)),
    *(Row(state, "shelve", G, "ordinary") for state in (B, C, D, E, F)),
    *(Row(state, "take_out_of_service", I, "ordinary") for state in (B, C, D, E, F, G, H)),
    *(Row(state, verb, B, "emergency") for state in (G, H, I) for verb in _SEEN),
    *_each([G], _PROCESS, G),
    *_each([I], _PROCESS, I),
    Row(H, "fire", B),
    Row(H, "upgrade", H),
    Row(H, "unsuppress", B),
    Row(H, "resolve", E, "latched"),
    Row(H, "resolve", A),
    *_ways_back(G, "unshelve"),
    *_ways_back(I, "return_to_service"),
)
"""What is not here changes nothing."""


def step(
    state: AlarmState, facts: Facts, verb: Verb, around: Circumstances
) -> tuple[AlarmState, Facts] | None:
    """Return state and facts after `verb`, None when it means nothing in this state."""
    after = _process(facts, verb)
    for row in _ROWS.get((state, verb), ()):
        if _holds(row.when, after, around):
            return row.to, _settle(row.to, verb, after, around)
    return None


_ROWS: Mapping[tuple[AlarmState, Verb], tuple[Row, ...]] = {
    key: tuple(row for row in TABLE if (row.state, row.verb) == key)
    for key in {(row.state, row.verb) for row in TABLE}
}


def _process(facts: Facts, verb: Verb) -> Facts:
    match verb:
        case "fire" | "unsuppress":
            return facts._replace(active=True, suppressed=False)
        case "upgrade":
            return facts._replace(active=True)
        case "suppress":
            return facts._replace(active=True, suppressed=True)
        case "resolve":
            return facts._replace(active=False, suppressed=False)
        case _:
            return facts


def _settle(to: AlarmState, verb: Verb, facts: Facts, around: Circumstances) -> Facts:
    if to == A:
        return Facts()
    if verb == "reset":
        return facts._replace(latched=False)
    if to == B:
        return facts._replace(suppressed=False, latched=around.latching and not around.emergency)
    return facts


def _holds(when: Condition, facts: Facts, around: Circumstances) -> bool:
    match when:
        case "emergency":
            return around.emergency
        case "ordinary":
            return not around.emergency
        case "out":
            return around.out and not around.emergency
        case "latched":
            return facts.latched
        case "by_design":
            return facts.active and facts.suppressed and not around.emergency
        case "active":
            return facts.active
        case _:
            return True


def markdown() -> str:
    """Write the table as docs/alarms.md shows it."""
    lines = ["| In | Happens | Then | When |", "| --- | --- | --- | --- |"]
    for row in TABLE:
        come, go = f"{LETTERS[row.state]} `{row.state}`", f"{LETTERS[row.to]} `{row.to}`"
        lines.append(f"| {come} | {row.verb} | {go} | {CONDITIONS[row.when]} |")
    return "\n".join(lines)
