"""The state of one filling place and what moves it. Pure: time comes as an argument.

The gun may be open in the phases `released` and `filling` only, and these are reached only through
a `Commit` of a fill verdict for the very cylinder that is there, answered by `Committed`. Whatever
is not foreseen closes it.
"""

from msgspec.structs import replace

from edge.interlock.base import (
    Act,
    Answered,
    Arrived,
    Blocked,
    Cleared,
    Commit,
    Committed,
    EndedBy,
    Entry,
    Event,
    Judged,
    Left,
    Named,
    Output,
    Overrule,
    Overruled,
    Present,
    Pressed,
    ReaderLost,
    Stopping,
    Tick,
    Weighed,
)
from edge.interlock.state import (
    OPEN,
    PRESENT_MAX,
    RETRY_MS,
    UNDER_WAY,
    Place,
    State,
    at_rest,
    enter,
    entry,
    note,
    question,
)
from protocols.records import FillFault, FillStep

Step = tuple[State, list[Act]]


def step(place: Place, state: State, event: Event, at_ms: int) -> Step:
    """Take one event; return the new state and what must be done.

    Args:
        place: what does not change.
        state: what did so far.
        event: what happened.
        at_ms: now, ms since boot; never less than before.

    """
    acts: list[Act] = []
    if isinstance(event, Committed):
        state = _committed(state, event, at_ms)
    elif isinstance(event, Stopping):
        state = _end(place, state, "stopped", at_ms, acts)
    elif isinstance(event, Weighed):
        since_ms = state.mass_at_ms if event == state.mass else at_ms
        state = replace(state, mass=event, mass_at_ms=since_ms)
    elif isinstance(event, Output):
        state = _output(place, state, event, at_ms, acts)
    elif isinstance(event, Arrived | Left | ReaderLost):
        state = _moved(place, state, event, at_ms, acts)
    elif not isinstance(event, Tick):
        state = _told(place, state, event, at_ms, acts)
    state = _weigh(place, state, at_ms, acts)
    return _consider(place, state, at_ms, acts), acts


def interrupted(place: Place, opening: Entry, number: int, at_ms: int) -> Step:
    """Begin after the daemon ended while the gun was, or may have been, open."""
    acts: list[Act] = []
    state = State(number=number, opening=opening)
    return _block(place, state, "interrupted", "interrupted", at_ms, acts), acts


# --- what came or went -------------------------------------------------------------------------


def _moved(
    place: Place, state: State, event: Arrived | Left | ReaderLost, at_ms: int, acts: list[Act]
) -> State:
    before = state.here
    why: EndedBy = "swapped"
    if isinstance(event, Arrived):
        one = event.one
        rest = tuple(old for old in before if (old.reader, old.key) != (one.reader, one.key))
        if not one.stays:  # a label that is read takes the place of the one read before it
            rest = tuple(old for old in rest if old.stays or old.reader != one.reader)
        here = (*rest, one)[-PRESENT_MAX:]
    elif isinstance(event, Left):
        here = tuple(old for old in before if (old.reader, old.key) != (event.reader, event.key))
        why = "taken_off"
    else:
        here = tuple(old for old in before if old.reader != event.reader)
        why = "reader_lost"
    if any(old.stays for old in before) and not any(one.stays for one in here):
        here = ()  # labels go with the tag beside them
    if _names(here) == _names(before):
        return replace(state, here=here)
    state = _end(place, state, why, at_ms, acts)
    if state.phase == "settling":
        state = _settle(place, state, at_ms, acts, leaves=True)
    fresh = replace(state, here=here, answers=(), overruled=None, judged=None)
    if not here or state.phase == "blocked":
        return fresh
    return enter(replace(fresh, rest_kg=None), "judged", at_ms)


def _labels_only(state: State) -> bool:
    return not any(one.stays for one in state.here)


def _names(here: tuple[Present, ...]) -> set[tuple[str, str]]:
    return {(code.scheme, code.value) for one in here for code in one.codes}


# --- what people say ---------------------------------------------------------------------------


def _told(
    place: Place,
    state: State,
    event: Answered | Named | Overrule | Pressed | Cleared,
    at_ms: int,
    acts: list[Act],
) -> State:
    if isinstance(event, Named):
        return replace(state, operator=event.operator)
    if isinstance(event, Cleared):
        return _cleared(state, event, at_ms, acts)
    if isinstance(event, Pressed):
        if event.button == "end":
            return _end(place, state, "operator", at_ms, acts)
        if state.phase != "done":
            return state
        fresh = replace(state, answers=(), overruled=None, judged=None, rest_kg=None)
        return enter(fresh, "judged", at_ms)
    if state.phase != "judged" or state.judged is None:
        return state
    if isinstance(event, Answered):
        others = tuple(one for one in state.answers if one[0] != event.check)
        known = event.check in state.judged.checks
        answers = (*others, (event.check, event.passed)) if known else state.answers
        return replace(state, answers=answers)
    reasons = state.judged.reasons
    if not reasons or not reasons <= state.judged.overridable:
        return state
    overruled = Overruled(name=event.name, why=event.why, code=state.judged.code, reasons=reasons)
    return replace(state, overruled=overruled)


def _cleared(state: State, event: Cleared, at_ms: int, acts: list[Act]) -> State:
    if state.phase != "blocked":
        return state
    state = replace(state, operator=state.operator or event.name)
    state = note(state, "cleared", at_ms, acts, why=state.blocked or "", operator=event.name)
    fresh = replace(state, blocked=None, opening=None, answers=(), overruled=None, judged=None)
    return enter(replace(fresh, rest_kg=None, after_kg=None), "judged", at_ms)


# --- mass --------------------------------------------------------------------------------------


def _weigh(place: Place, state: State, at_ms: int, acts: list[Act]) -> State:
    if not place.weighs:
        return state
    if state.phase in OPEN:
        return _weigh_open(place, state, at_ms, acts)
    kg = at_rest(place, state, at_ms)
    if state.phase == "settling" or kg is None:
        return state
    if kg < place.load_kg:
        return _emptied(state, at_ms)
    rest_kg = state.rest_kg
    if rest_kg is None or kg < rest_kg - place.rise_kg:
        return replace(state, rest_kg=kg)
    if kg > rest_kg + place.rise_kg and state.phase != "blocked":
        state = _end(place, state, "withdrawn", at_ms, acts)
        state = replace(state, after_kg=kg)
        return _block(place, state, "without_verdict", "without_verdict", at_ms, acts)
    return state


def _emptied(state: State, at_ms: int) -> State:
    """Forget labels, of which no reader says that they left, once a weight has left the scale."""
    if state.rest_kg is None:
        return state
    state = replace(state, rest_kg=None)
    here = tuple(one for one in state.here if one.stays)
    if here == state.here:
        return state
    state = replace(state, here=here, answers=(), overruled=None, judged=None)
    return state if here else enter(state, "idle", at_ms)


def _weigh_open(place: Place, state: State, at_ms: int, acts: list[Act]) -> State:
    """Look at the scale while gas comes in; it is not at rest then."""
    mass, opening = state.mass, state.opening
    if not mass.online:
        return _end(place, state, "scale_lost", at_ms, acts)
    if mass.kg is None or opening is None or opening.before_kg is None:
        return state
    limit_kg = opening.judged.gross_limit_kg if opening.judged is not None else None
    if mass.kg < opening.before_kg - place.load_kg:
        return _end(place, state, "taken_off", at_ms, acts)
    if limit_kg is not None and mass.kg >= limit_kg - place.stop_before_kg:
        return _end(place, state, "full", at_ms, acts)
    if state.phase == "released" and mass.kg > opening.before_kg + place.rise_kg:
        return enter(state, "filling", at_ms)
    rests = not mass.in_motion and at_ms - state.mass_at_ms >= place.rest_ms
    if state.phase == "filling" and rests:
        return _end(place, state, "at_rest", at_ms, acts)
    return state


# --- the output --------------------------------------------------------------------------------


def _output(place: Place, state: State, event: Output, at_ms: int, acts: list[Act]) -> State:
    state = replace(state, output=event)
    if not event.reachable:
        return _end(place, state, "output_lost", at_ms, acts)
    if event.open and state.phase not in OPEN and state.phase != "blocked":
        return _block(place, state, "output_stuck", "stuck", at_ms, acts)
    return state


# --- what follows ------------------------------------------------------------------------------


def _consider(place: Place, state: State, at_ms: int, acts: list[Act]) -> State:
    """Judge what is here, and let time do its part."""
    if state.phase == "settling":
        return _settle(place, state, at_ms, acts)
    if state.phase == "blocked":
        return state
    if not state.here:
        return state if state.phase == "idle" else enter(state, "idle", at_ms)
    if state.phase == "done":
        return state
    if state.phase in UNDER_WAY:
        return _watch(place, state, at_ms, acts)
    return _judge(place, state, at_ms, acts)


def _judge(place: Place, state: State, at_ms: int, acts: list[Act]) -> State:
    unweighed = place.weighs and state.rest_kg is None and state.phase == "judged"
    if unweighed and _labels_only(state) and at_ms - state.since_ms >= place.scan_ms:
        return enter(replace(state, here=(), judged=None), "idle", at_ms)
    judged = place.judge(question(place, state, at_ms))
    told = state.judged is None or _gist(judged) != _gist(state.judged)
    if state.overruled is not None and not _holds(state.overruled, judged):
        state = replace(state, overruled=None)
    phase = state.phase
    state = replace(state, judged=judged)
    state = state if phase == "judged" else enter(state, "judged", at_ms)
    if told:
        state = note(state, "decided", at_ms, acts)
    if not _may_fill(state.overruled, judged) or at_ms < state.retry_at_ms:
        return state
    opening = entry(state, "released", at_ms)
    acts.append(Commit(opening))
    state = replace(state, number=opening.number, opening=opening, after_kg=None)
    return enter(state, "releasing", at_ms)


def _watch(place: Place, state: State, at_ms: int, acts: list[Act]) -> State:
    """See that what was released still may be, and end what takes too long."""
    opening = state.opening
    if opening is None or opening.judged is None:
        return _end(place, state, "withdrawn", at_ms, acts)
    judged = place.judge(question(place, state, at_ms))
    same = judged.code == opening.judged.code
    if not same or not _may_fill(opening.overruled, judged):
        return _end(place, replace(state, judged=judged), "withdrawn", at_ms, acts)
    bound_ms = {"released": place.release_ms, "filling": place.fill_ms}.get(state.phase)
    if state.phase == "released" and not place.weighs:
        bound_ms = place.fill_ms  # without a scale nobody sees when it begins
    if bound_ms is not None and at_ms - state.since_ms >= bound_ms:
        return _end(place, state, "timed_out", at_ms, acts)
    return state


def _committed(state: State, event: Committed, at_ms: int) -> State:
    opening = state.opening
    if state.phase != "releasing" or opening is None or opening.number != event.number:
        return state  # the cylinder left meanwhile: its record says `ended`
    if event.durable:
        return enter(state, "released", at_ms)
    state = replace(state, opening=None, retry_at_ms=at_ms + RETRY_MS)
    return enter(state, "judged", at_ms)


def _settle(
    place: Place, state: State, at_ms: int, acts: list[Act], *, leaves: bool = False
) -> State:
    """Weigh the cylinder again, or record that it was not; at the latest when it leaves."""
    opening, waited_ms = state.opening, at_ms - state.since_ms
    kg = at_rest(place, state, at_ms) if waited_ms >= place.settle_ms else None
    if opening is None or (kg is None and waited_ms < place.reweigh_ms and not leaves):
        return state
    faults: tuple[FillFault, ...] = ()
    if kg is None or opening.before_kg is None or kg < opening.before_kg - place.load_kg:
        kg, faults = None, ("not_reweighed",)
    limit_kg = opening.judged.gross_limit_kg if opening.judged is not None else None
    if kg is not None and limit_kg is not None and kg > limit_kg:
        faults = ("overfilled",)
    state = replace(state, after_kg=kg, rest_kg=kg)
    if "overfilled" in faults:
        return _block(place, state, "overfilled", "weighed", at_ms, acts, faults)
    state = note(state, "weighed", at_ms, acts, faults=faults)
    return enter(replace(state, opening=None), "done" if state.here else "idle", at_ms)


# --- helpers -----------------------------------------------------------------------------------


def _holds(overruled: Overruled, judged: Judged) -> bool:
    """Tell whether a person's decision covers all that speaks against it now."""
    covers = judged.reasons <= overruled.reasons and judged.reasons <= judged.overridable
    return covers and overruled.code == judged.code


def _may_fill(overruled: Overruled | None, judged: Judged) -> bool:
    if judged.verdict.decision == "fill":
        return bool(judged.code)
    return overruled is not None and bool(judged.code) and _holds(overruled, judged)


def _gist(judged: Judged) -> tuple[object, ...]:
    """Return what makes a decision another one: not that one more check was answered."""
    return judged.verdict.decision, judged.code, judged.reasons, judged.verdict.rules_version


def _end(place: Place, state: State, why: EndedBy, at_ms: int, acts: list[Act]) -> State:
    """Close the gun, if it is open or about to be."""
    if state.phase not in UNDER_WAY:
        return state
    state = note(state, "ended", at_ms, acts, why=why)
    if state.phase == "releasing":  # it never was open
        state = replace(state, opening=None)
        return enter(state, "done" if why == "operator" else "judged", at_ms)
    if place.weighs:
        return enter(state, "settling", at_ms)
    state = note(state, "weighed", at_ms, acts, faults=("mass_unknown",))
    return enter(replace(state, opening=None), "done", at_ms)


def _block(
    place: Place,
    state: State,
    why: Blocked,
    told: FillStep,
    at_ms: int,
    acts: list[Act],
    faults: tuple[FillFault, ...] = (),
) -> State:
    state = _end(place, state, "withdrawn", at_ms, acts)
    state = note(state, told, at_ms, acts, why=why, faults=faults)
    return enter(replace(state, blocked=why), "blocked", at_ms)
