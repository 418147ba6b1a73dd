"""The state of one filling place and what moves it. Pure: time comes as an argument.

The gun may be open in the phases `released` and `filling` only, and these are reached only through
a `Commit` of a fill verdict for the very cylinder that is there, answered by `Committed`. Whatever
is not foreseen closes it.
"""

from typing import Literal

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
from protocols.cylinders.limits import Filled
from protocols.records import FillFault, FillStep

Step = tuple[State, list[Act]]
TECHNICIAN = "technician"
"""Role of him who stands before the gateway with its keyboard."""
_BLOCKING: tuple[Literal["overfilled", "lighter_than_before"], ...] = (
    "overfilled",
    "lighter_than_before",
)
"""Of what can be wrong with the masses after a filling, what somebody must look at at once."""


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
        state = _committed(state, event, at_ms, acts)
    elif isinstance(event, Stopping):
        state = _end(place, state, "stopped", at_ms, acts)
        return _leave(place, state, at_ms, acts), acts
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


def interrupted(place: Place, opening: Entry | None, number: int, at_ms: int) -> Step:
    """Begin after the daemon ended while the gun was open; None: nobody knows for whom."""
    acts: list[Act] = []
    state = State(number=number, opening=opening)
    return _block(place, state, "interrupted", "interrupted", at_ms, acts), acts


def clock_checked(state: State, name: str, why: str, at_ms: int) -> tuple[State, Entry]:
    """Write down that a person found the clock right although it shows less than it did."""
    overruled = Overruled(
        name=name, role=TECHNICIAN, why=why, code="", reasons=frozenset({"clock_set_back"})
    )
    made = entry(state, "cleared", at_ms, why="clock_set_back", operator=name)
    made = replace(made, judged=None, overruled=overruled)
    return replace(state, number=made.number), made


# --- what came or went -------------------------------------------------------------------------


def _moved(
    place: Place, state: State, event: Arrived | Left | ReaderLost, at_ms: int, acts: list[Act]
) -> State:
    here, why = _here_after(state.here, event)
    before, now = _names(state.here), _names(here)
    if now == before or (before and now > before and _the_same(place, state, here, at_ms)):
        return replace(state, here=here)
    state = _leave(place, _end(place, state, why, at_ms, acts), at_ms, acts)
    fresh = replace(state, here=here, answers=(), overruled=None, judged=None)
    if not here or state.phase == "blocked":
        return fresh
    return enter(replace(fresh, rest_kg=None), "judged", at_ms)


def _here_after(
    before: tuple[Present, ...], event: Arrived | Left | ReaderLost
) -> tuple[tuple[Present, ...], EndedBy]:
    if isinstance(event, Arrived):
        one = event.one
        rest = tuple(old for old in before if (old.reader, old.key) != (one.reader, one.key))
        if not one.stays:  # a label that is read takes the place of the one read before it
            rest = tuple(old for old in rest if old.stays or old.reader != one.reader)
        return (*rest, one)[-PRESENT_MAX:], "swapped"
    if isinstance(event, Left):
        left = (event.reader, event.key)
        here = tuple(old for old in before if (old.reader, old.key) != left)
    else:
        here = tuple(old for old in before if old.reader != event.reader)
    if any(old.stays for old in before) and not any(one.stays for one in here):
        here = ()  # labels go with the tag beside them
    return here, "taken_off" if isinstance(event, Left) else "reader_lost"


def _the_same(place: Place, state: State, here: tuple[Present, ...], at_ms: int) -> bool:
    """Tell whether what was read in addition names the same cylinder."""
    code = place.judge(question(place, replace(state, here=here), at_ms)).code
    return state.judged is not None and code != "" and code == state.judged.code


def _leave(place: Place, state: State, at_ms: int, acts: list[Act]) -> State:
    """Finish what is still open about a cylinder that leaves."""
    if state.phase == "settling":
        state = _settle(place, state, at_ms, acts, leaves=True)
    return _checked(place, state, at_ms, acts) if state.checks_after else state


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
        state = _leave(place, state, at_ms, acts)
        fresh = replace(state, answers=(), overruled=None, judged=None, rest_kg=None)
        return enter(fresh, "judged", at_ms)
    if isinstance(event, Answered):
        return _answered(place, state, event, at_ms, acts)
    if state.phase != "judged" or state.judged is None:
        return state
    judged = state.judged
    if event.role not in judged.may_overrule:
        return state
    overruled = Overruled(
        name=event.name,
        role=event.role,
        why=event.why,
        code=judged.code,
        reasons=judged.reasons,
    )
    return replace(state, overruled=overruled)


def _answered(place: Place, state: State, event: Answered, at_ms: int, acts: list[Act]) -> State:
    judged = state.judged
    before = state.phase == "judged" and judged is not None and event.check in judged.checks
    after = state.phase == "done" and event.check in state.checks_after
    if not before and not after:
        return state
    others = tuple(one for one in state.answers if one[0] != event.check)
    state = replace(state, answers=(*others, (event.check, event.passed)))
    if before:
        return state
    left = tuple(one for one in state.checks_after if one != event.check)
    state = replace(state, checks_after=left)
    if not event.passed:
        faults = _faults(place, state, failed=(event.check,))
        state = replace(state, checks_after=())
        return _block(place, state, "check_failed", "checked", at_ms, acts, faults)
    return state if left else _checked(place, state, at_ms, acts)


def _checked(place: Place, state: State, at_ms: int, acts: list[Act]) -> State:
    """Close the questions after filling, answered or not."""
    state = note(state, "checked", at_ms, acts, faults=_faults(place, state))
    return replace(state, checks_after=(), opening=None)


def _cleared(state: State, event: Cleared, at_ms: int, acts: list[Act]) -> State:
    if state.phase != "blocked":
        return state
    state = replace(state, operator=state.operator or event.name)
    state = note(state, "cleared", at_ms, acts, why=state.blocked or "", operator=event.name)
    fresh = replace(state, blocked=None, opening=None, answers=(), overruled=None, judged=None)
    fresh = replace(fresh, checks_after=())
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
        return _emptied(place, state, at_ms, acts)
    rest_kg = state.rest_kg
    if rest_kg is None or kg < rest_kg - place.rise_kg:
        return replace(state, rest_kg=kg)
    if kg > rest_kg + place.rise_kg and state.phase != "blocked":
        state = _end(place, state, "withdrawn", at_ms, acts)
        faults = _unasked(place, state, kg)
        state = replace(state, after_kg=kg)
        return _block(place, state, "without_verdict", "without_verdict", at_ms, acts, faults)
    return state


def _emptied(place: Place, state: State, at_ms: int, acts: list[Act]) -> State:
    """Forget labels, of which no reader says that they left, once a weight has left the scale."""
    if state.rest_kg is None:
        return state
    state = _leave(place, _end(place, state, "taken_off", at_ms, acts), at_ms, acts)
    state = replace(state, rest_kg=None)
    here = tuple(one for one in state.here if one.stays)
    if here == state.here:
        return state
    state = replace(state, here=here, answers=(), overruled=None, judged=None)
    return state if here or state.phase == "blocked" else enter(state, "idle", at_ms)


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


def _committed(state: State, event: Committed, at_ms: int, acts: list[Act]) -> State:
    opening = state.opening
    if state.phase != "releasing" or opening is None or opening.number != event.number:
        return state  # the cylinder left meanwhile: its record says `ended`
    if event.durable:
        return enter(state, "released", at_ms)
    state = note(state, "ended", at_ms, acts, why="not_durable")
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
    before_kg, rest_kg = opening.before_kg, kg
    if kg is None or before_kg is None or kg < before_kg - place.load_kg:
        kg, rest_kg = None, None if kg is None else before_kg
    return _weighed(place, replace(state, after_kg=kg, rest_kg=rest_kg), at_ms, acts)


def _weighed(place: Place, state: State, at_ms: int, acts: list[Act]) -> State:
    """Record the end of a filling, and ask what is to be asked after it if gas came in."""
    opening, after_kg = state.opening, state.after_kg
    judged = opening.judged if opening is not None else None
    before_kg = opening.before_kg if opening is not None else None
    net_kg = None if before_kg is None or after_kg is None else after_kg - before_kg
    unchanged = net_kg is not None and abs(net_kg) <= place.rise_kg
    faults = () if unchanged else _faults(place, state)
    for why in _BLOCKING:
        if why in faults:
            return _block(place, state, why, "weighed", at_ms, acts, faults)
    state = note(state, "weighed", at_ms, acts, faults=faults)
    asked = () if judged is None or unchanged else judged.after_checks
    state = replace(state, checks_after=asked, opening=opening if asked else None)
    return enter(state, "done" if state.here else "idle", at_ms)


def _faults(place: Place, state: State, failed: tuple[str, ...] = ()) -> tuple[FillFault, ...]:
    """Tell what the rules find wrong with the filling that is over.

    Questions count as open when they were asked and nobody will answer any more.
    """
    opening = state.opening
    judged = None if opening is None else opening.judged
    filled = Filled(
        decision=None if judged is None else judged.verdict.decision,
        overridden=opening is not None and opening.overruled is not None,
        before_kg=None if opening is None else opening.before_kg,
        after_kg=state.after_kg,
        checks_failed=failed,
        checks_open=() if failed else state.checks_after,
    )
    return tuple(dict.fromkeys(one.finding for one in place.review(judged, filled)))


def _unasked(place: Place, state: State, after_kg: float) -> tuple[FillFault, ...]:
    """Tell the same of gas that came in although nothing was released."""
    filled = Filled(decision=None, before_kg=state.rest_kg, after_kg=after_kg)
    return tuple(dict.fromkeys(one.finding for one in place.review(state.judged, filled)))


# --- helpers -----------------------------------------------------------------------------------


def _holds(overruled: Overruled, judged: Judged) -> bool:
    """Tell whether a person's decision covers all that speaks against it now."""
    may = not judged.reasons or overruled.role in judged.may_overrule
    return may and judged.reasons <= overruled.reasons and overruled.code == judged.code


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
    return _weighed(place, state, at_ms, acts)


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
