"""What may be done with a rescue in which state, as one table; what each verb takes and sets.

Pure. The order of a rescue is that of municipal rescue platforms: known, located, sent, accepted,
on the way, arrived, released, called back, cause filed, closed.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

from cloud.model.incident import ENDED, Act, Incident, IncidentState, Verb
from protocols.clock import iso
from protocols.errors import RefuseInput

STATES: tuple[IncidentState, ...] = get_args(IncidentState)
VERBS: tuple[Verb, ...] = get_args(Verb)
BEFORE_RELEASE: tuple[IncidentState, ...] = STATES[: STATES.index("released")]
OPEN: tuple[IncidentState, ...] = (*BEFORE_RELEASE, "released")
SENT: tuple[IncidentState, ...] = ("dispatched", "accepted", "on_the_way", "arrived")
NUMBER_MAX, MOMENT_MAX_MS = 2**53, 253_370_764_800_000
"""What a number and a moment can be at most, such as the year 9999."""
NOTE_CHARS_MAX, NAME_CHARS_MAX, PEOPLE_MAX = 2_000, 64, 500


def _same(*states: IncidentState) -> dict[IncidentState, IncidentState]:
    return {state: state for state in states}


def _to(end: IncidentState, *states: IncidentState) -> dict[IncidentState, IncidentState]:
    return dict.fromkeys(states, end) | {end: end}


TABLE: Mapping[Verb, Mapping[IncidentState, IncidentState]] = {
    "verify": {"detected": "verified", **_same("verified", *SENT)},
    "dispatch": _to("dispatched", "detected", "verified", *SENT),
    "accept": {"dispatched": "accepted", **_same("accepted", "on_the_way", "arrived")},
    # the unit is out of it; `dispatched` again as soon as the next one is asked
    "refuse": {"dispatched": "verified", "accepted": "verified", "on_the_way": "verified"},
    "set_out": {
        **dict.fromkeys(("dispatched", "accepted"), "on_the_way"),
        **_same("on_the_way", "arrived"),
    },
    "arrive": _to("arrived", "dispatched", "accepted", "on_the_way"),
    "release": _to("released", *BEFORE_RELEASE),
    "call_back": _same("released", "closed"),
    "close": _to("closed", "released"),
    "false_alarm": _to("false_alarm", *BEFORE_RELEASE),
    "cancel": _to("cancelled", *BEFORE_RELEASE),
    "merge": _to("merged", *BEFORE_RELEASE),
    "take": _same(*OPEN),
    "hand_over": _same(*OPEN),
    "tell": _same(*OPEN),
    "file_cause": _same("arrived", "released", "closed"),
    "note": _same(*STATES),
}
"""By verb: the states in which it may be said, and the state after it."""

OF_UNIT: frozenset[Verb] = frozenset(("accept", "refuse", "set_out", "arrive"))
"""Said by a unit, or by the desk on its behalf."""
TAKES_NOTE_OF: frozenset[Verb] = frozenset(("verify", "take", "dispatch", "hand_over"))
"""Verbs by which the desk shows that it has seen the rescue."""

SETS: Mapping[Verb, str] = {
    "verify": "verified_at",
    "dispatch": "dispatched_at",
    "accept": "accepted_at",
    "set_out": "on_the_way_at",
    "arrive": "arrived_at",
    "release": "released_at",
    "call_back": "called_back_at",
}
"""The time that a verb sets."""
_AFTER: Mapping[Verb, tuple[str, ...]] = {
    "accept": ("dispatched_at",),
    "refuse": ("dispatched_at",),
    "set_out": ("dispatched_at", "accepted_at"),
    "arrive": ("dispatched_at", "accepted_at", "on_the_way_at"),
    "release": ("arrived_at",),
    "call_back": ("released_at",),
}
"""Times that cannot be later than what the verb tells."""

_FIELDS: Mapping[Verb, str] = {
    "verify": "people at",
    "dispatch": "unit level at",
    "accept": "unit eta_s at",
    "refuse": "unit at",
    "set_out": "unit eta_s at",
    "arrive": "unit at",
    "release": "unit people injured at",
    "call_back": "satisfaction at",
    "close": "cause at",
    "false_alarm": "at",
    "cancel": "at",
    "merge": "into",
    "take": "",
    "hand_over": "to",
    "file_cause": "cause",
    "note": "unit at",
    "tell": "to at",
}
_TAKES: Mapping[Verb, frozenset[str]] = {
    verb: frozenset(("note", "version", *words.split())) for verb, words in _FIELDS.items()
}
_NEEDS: Mapping[Verb, tuple[str, ...]] = {
    "refuse": ("note",),
    "release": ("people",),
    "false_alarm": ("note",),
    "cancel": ("note",),
    "merge": ("into",),
    "hand_over": ("to",),
    "file_cause": ("cause",),
    "note": ("note",),
    "tell": ("to",),
}
_BOUNDS: Mapping[str, tuple[int, int]] = {
    "people": (0, PEOPLE_MAX),
    "injured": (0, PEOPLE_MAX),
    "satisfaction": (1, 5),
    "level": (1, 3),
    "eta_s": (0, 86_400),
    "into": (1, NUMBER_MAX),
    "at": (0, MOMENT_MAX_MS),
}
_NEXT: Mapping[IncidentState, tuple[Verb, ...]] = {
    "detected": ("verify", "take", "dispatch"),
    "verified": ("dispatch", "take"),
    "dispatched": ("accept", "refuse", "set_out", "dispatch"),
    "accepted": ("set_out", "arrive", "refuse"),
    "on_the_way": ("arrive", "refuse"),
    "arrived": ("release", "file_cause"),
    "released": ("call_back", "file_cause", "close"),
}


def next_state(state: IncidentState, verb: Verb) -> IncidentState | None:
    """Return the state after a verb; None: it cannot be said in this one."""
    return TABLE[verb].get(state)


def possible(incident: Incident) -> list[Verb]:
    """Return what may be done now, the next expected step first."""
    may = [verb for verb in VERBS if incident.state in TABLE[verb]]
    if incident.state in ENDED:  # what is done again there changes nothing
        late: list[Verb] = [] if incident.state != "closed" else ["call_back", "file_cause"]
        done = {"call_back": incident.called_back_at, "file_cause": incident.cause}
        return [*(verb for verb in late if done[verb] is None), "note"]
    done_already = {
        "call_back": incident.called_back_at is not None,
        "file_cause": incident.cause is not None,
        "take": bool(incident.operator),
        "verify": incident.verified_at is not None,
        "accept": incident.state != "dispatched",
        "set_out": incident.state in ("on_the_way", "arrived"),
        "arrive": incident.state == "arrived",
        "release": incident.state == "released",
    }
    expected = [
        verb
        for verb in _NEXT.get(incident.state, ())
        if verb in may and not done_already.get(verb, False)
    ]
    others = [verb for verb in may if verb not in expected and not done_already.get(verb, False)]
    again: list[Verb] = ["take"] if incident.operator else []  # somebody else takes it
    return [*expected, *others, *again]


def check_act(incident: Incident, verb: Verb, act: Act) -> IncidentState:
    """Return the state after it.

    Raises:
        RefuseInput: `wrong_state`, `bad_request`, `changed`.

    """
    after = next_state(incident.state, verb)
    if after is None:
        may = ", ".join(possible(incident))
        raise RefuseInput("wrong_state", f"it is {incident.state}; what may be done: {may}")
    if act.version is not None and act.version != incident.version:
        found = f"it is version {incident.version}, changed by somebody since {act.version}"
        raise RefuseInput("changed", found)
    return after


def check_fields(verb: Verb, act: Act) -> None:
    """Refuse what the verb does not know, what it misses, and what is out of bounds.

    Raises:
        RefuseInput: `bad_request`, naming the field.

    """
    defaults = Act()
    for name in Act.__struct_fields__:
        value = getattr(act, name)
        if value != getattr(defaults, name) and name not in _TAKES[verb]:
            known = ", ".join(sorted(_TAKES[verb]))
            raise RefuseInput("bad_request", f"{name}: {verb} takes {known}")
        if value is not None and name in _BOUNDS:
            low, high = _BOUNDS[name]
            if not low <= value <= high:
                raise RefuseInput("bad_request", f"{name}: expected {low} to {high}, found {value}")
    for name in _NEEDS.get(verb, ()):
        value = getattr(act, name)
        if value is None or value == "" or (isinstance(value, str) and not value.strip()):
            raise RefuseInput("bad_request", f"{name}: {verb} needs it")
    if verb == "release" and act.people == 0 and not act.note.strip():
        raise RefuseInput("bad_request", "note: expected one where nobody was freed")
    check_text("note", act.note, NOTE_CHARS_MAX)
    check_text("to", act.to, NAME_CHARS_MAX)


def check_text(name: str, text: str, most: int) -> None:
    """Refuse a text that is too long; RefuseInput `bad_request`."""
    if len(text) > most:
        raise RefuseInput("bad_request", f"{name}: expected at most {most} characters")


def moment(incident: Incident, verb: Verb, at: int | None, now_ms: int, slack_ms: int) -> int:
    """Return when something happened, as it was said, set right by as much as clocks may differ.

    Clocks of partners are off by hours at times: what they say is refused rather than believed or
    bent. Within the slack it is set to the nearest moment that can be.

    Raises:
        RefuseInput: `bad_request`.

    """
    if at is None:
        return now_ms
    bounds = {"detected_at": incident.detected_at}
    for name in _AFTER.get(verb, ()):
        if (value := getattr(incident, name)) is not None:
            bounds[name] = value
    name, earliest = max(bounds.items(), key=lambda one: one[1])
    if at > now_ms + slack_ms:
        expected = f"expected no later than now, {iso(now_ms)}"
        raise RefuseInput("bad_request", f"at: {expected}, found {iso(at)}: a clock is wrong")
    if at < earliest - slack_ms:
        expected = f"expected no earlier than {name}, {iso(earliest)}"
        raise RefuseInput("bad_request", f"at: {expected}, found {iso(at)}: a clock is wrong")
    return min(max(at, earliest), now_ms)


def lacks(incident: Incident, needs: Sequence[str]) -> list[str]:
    """Return what a rescue must have before it is closed and has not."""
    return [name for name in needs if getattr(incident, name) is None]
