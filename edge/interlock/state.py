"""What is remembered of a filling place, what is asked of it, and what is written down. Pure."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from edge.interlock.base import (
    Act,
    Blocked,
    Entry,
    Judge,
    Judged,
    Lamp,
    Note,
    Output,
    Overruled,
    Present,
    Question,
    Review,
    Trouble,
    Weighed,
)
from protocols.cylinders.base import Id
from protocols.records import FillFault, FillStep

Phase = Literal["idle", "judged", "releasing", "released", "filling", "settling", "done", "blocked"]
"""`releasing`: the record of the opening is on its way to the disk; `settling`: closed, and not
weighed again yet; `done`: recorded, and still here."""
OPEN: frozenset[Phase] = frozenset({"released", "filling"})
UNDER_WAY: frozenset[Phase] = OPEN | {"releasing"}
RETRY_MS = 2_000
"""What could not be made durable is tried again after so long."""
PRESENT_MAX = 32
"""Tags and labels at one place; beyond it the oldest goes, and it cannot decide anyway."""


class Place(Struct, frozen=True, kw_only=True):
    """One filling place: what it can do, and how long and heavy things may be there."""

    judge: Judge
    review: Review
    weighs: bool = True
    """It has a scale."""
    asks_operator: bool = False
    """Nothing is released before somebody said who he is."""
    release_ms: int = 60_000
    """A release that nobody uses ends after so long."""
    fill_ms: int = 600_000
    """A filling ends after so long."""
    settle_ms: int = 2_000
    """A weight that does not say whether it is at rest is when it has not changed for so long; and
    gas in the hose goes on for as long after the gun has closed."""
    reweigh_ms: int = 60_000
    """A cylinder that was not weighed again by then is recorded so."""
    load_kg: float = 1.0
    """With less on it the scale is empty."""
    rise_kg: float = 0.5
    """More than this is gas that came in, or a cylinder that is another."""
    stop_before_kg: float = 0.3
    """The gun is closed so much before the limit: what still comes out of the hose."""
    rest_ms: int = 10_000
    """A filling of which the weight rests for so long has ended: the device stopped by itself."""
    scan_ms: int = 120_000
    """A label that was read and no weight came after it is forgotten after so long."""


class State(Struct, frozen=True, kw_only=True):
    """All that is remembered of a place; times are ms since boot."""

    number: int = 0
    """Of the last record."""
    phase: Phase = "idle"
    since_ms: int = 0
    here: tuple[Present, ...] = ()
    answers: tuple[tuple[Id, bool], ...] = ()
    operator: str = ""
    overruled: Overruled | None = None
    judged: Judged | None = None
    opening: Entry | None = None
    """The record that this filling is or was released by."""
    mass: Weighed = Weighed(None, online=False)
    mass_at_ms: int = 0
    rest_kg: float | None = None
    """Weight at rest of what stands there without gas from here; None: empty, or not known."""
    after_kg: float | None = None
    checks_after: tuple[Id, ...] = ()
    """Questions after filling that are not answered yet; they are asked while it is `done`."""
    blocked: Blocked | None = None
    output: Output = Output(reachable=False)
    retry_at_ms: int = 0
    """Nothing is released before."""


class Wanted(Struct, frozen=True, kw_only=True):
    """How the outputs must be."""

    open: bool
    lamp: Lamp
    buzzer: bool = False
    gross_limit_kg: float | None = None
    net_limit_kg: float | None = None
    """What may still come in."""


def wanted(state: State) -> Wanted:
    """Return how the outputs must be in a state; everything that is not sure is closed."""
    if state.phase in OPEN and state.opening is not None and state.opening.judged is not None:
        gross_kg, before_kg = state.opening.judged.gross_limit_kg, state.opening.before_kg
        net_kg = None if gross_kg is None or before_kg is None else gross_kg - before_kg
        return Wanted(open=True, lamp="green", gross_limit_kg=gross_kg, net_limit_kg=net_kg)
    if state.phase == "blocked":
        return Wanted(open=False, lamp="red", buzzer=True)
    if state.phase in {"idle", "done"} or state.judged is None:
        return Wanted(open=False, lamp="off")
    decision = state.judged.verdict.decision
    return Wanted(
        open=False,
        lamp="red" if decision == "do_not_fill" else "yellow",
        buzzer=decision == "do_not_fill",
    )


def at_rest(place: Place, state: State, at_ms: int) -> float | None:
    """Return the weight that counts; None while it moves, or nobody knows."""
    mass = state.mass
    if mass.kg is None or mass.in_motion or not mass.online:
        return None
    still = mass.in_motion is False or at_ms - state.mass_at_ms >= place.settle_ms
    return mass.kg if still else None


def question(place: Place, state: State, at_ms: int) -> Question:
    """Ask about what is here; while the gun is open, by the weight before it opened."""
    opening = state.opening if state.phase in UNDER_WAY else None
    weighed_kg = state.rest_kg if opening is None else opening.before_kg
    return Question(
        here=state.here,
        answers=state.answers,
        weighed_kg=weighed_kg if place.weighs else None,
        troubles=_troubles(place, state, weighed_kg, at_ms),
        at_boot_ms=at_ms,
    )


def _troubles(
    place: Place, state: State, weighed_kg: float | None, at_ms: int
) -> tuple[Trouble, ...]:
    found: list[Trouble] = []
    if place.asks_operator and not state.operator:
        found.append("operator_unknown")
    if place.weighs and not state.mass.online:
        found.append("scale_silent")
    elif place.weighs and weighed_kg is None:
        found.append("mass_unsettled")
    if not state.output.reachable:
        found.append("output_lost")
    if at_ms < state.retry_at_ms:
        found.append("not_durable")
    return tuple(found)


def enter(state: State, phase: Phase, at_ms: int) -> State:
    """Begin a phase."""
    return replace(state, phase=phase, since_ms=at_ms)


def note(
    state: State,
    told: FillStep,
    at_ms: int,
    acts: list[Act],
    *,
    why: str = "",
    operator: str = "",
    faults: tuple[FillFault, ...] = (),
) -> State:
    """Have something recorded."""
    made = entry(state, told, at_ms, why=why, operator=operator, faults=faults)
    acts.append(Note(made))
    return replace(state, number=made.number)


def entry(
    state: State,
    told: FillStep,
    at_ms: int,
    *,
    why: str = "",
    operator: str = "",
    faults: tuple[FillFault, ...] = (),
) -> Entry:
    """Write down a step; what belongs to an opening tells what that rested on."""
    opening = state.opening if told not in {"decided", "released", "without_verdict"} else None
    judged = state.judged if opening is None else opening.judged
    codes = tuple(dict.fromkeys(code for one in state.here for code in one.codes))
    return Entry(
        step=told,
        number=state.number + 1,
        at_boot_ms=at_ms,
        opening=None if opening is None else opening.number,
        judged=judged,
        codes=codes if opening is None else opening.codes,
        operator=operator or state.operator or ("" if opening is None else opening.operator),
        answers=state.answers,
        overruled=state.overruled if opening is None else opening.overruled,
        before_kg=state.rest_kg if opening is None else opening.before_kg,
        after_kg=state.after_kg,
        why=why,
        faults=faults,
    )
