"""How the desk and the rescuers of a city answer: pure decisions, drawn by chance that comes in."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from simulators.city_story import Desk, Habit

DETOUR = 1.35
"""Streets are longer than the straight line."""
ASKED_AT_LEVEL_MAX = 3
"""So many units of a level refuse or keep silent before the desk asks the next level."""
LEVELS = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What a unit does when it is asked; seconds after the step before."""

    kind: Literal["accept", "refuse", "silence"]
    answer_s: float
    set_out_s: float
    travel_s: float
    work_s: float
    late: bool = False


def answer_of(habit: Habit, distance_km: float, rng: random.Random) -> Answer:
    """Decide how a unit answers that is so far away, as the crow flies."""
    kinds: tuple[Literal["accept", "refuse", "silence"], ...] = ("accept", "refuse", "silence")
    (kind,) = rng.choices(kinds, habit.answers)
    late = rng.random() < habit.late
    travel_s = distance_km * DETOUR / rng.uniform(*habit.speed_km_h) * 3_600
    return Answer(
        kind=kind,
        answer_s=rng.uniform(*habit.answer_s),
        set_out_s=rng.uniform(*habit.set_out_s),
        travel_s=max(60.0, travel_s) * (habit.late_times if late else 1.0),
        work_s=rng.uniform(*habit.work_s),
        late=late,
    )


def verify_after_s(desk: Desk, rng: random.Random) -> float:
    """Decide how long an emergency waits until somebody at the desk has looked."""
    return rng.uniform(*(desk.slow_s if rng.random() < desk.slow else desk.verify_s))


def satisfaction(desk: Desk, rng: random.Random) -> int:
    """Draw what those who were freed say, 1 to 5."""
    return rng.choices((1, 2, 3, 4, 5), desk.satisfaction)[0]


def next_unit(
    levels: Mapping[int, Sequence[Mapping[str, Any]]], asked: Collection[str], level: int
) -> tuple[str, int] | None:
    """Choose whom the desk asks next: the best of the level that was not asked, else of the next.

    Args:
        levels: the units by level, the best first, as the service tells them.
        asked: who was asked before.
        level: the present one.

    Returns:
        the unit and its level; None when there is nobody left.

    """
    for number in range(level, LEVELS + 1):
        units = [one["unit"] for one in levels.get(number, ())]
        fresh = [one for one in units if one not in asked]
        if fresh and len(units) - len(fresh) < ASKED_AT_LEVEL_MAX:
            return fresh[0], number
    return None


def wants_desk(state: str, unit: str | None) -> bool:
    """Tell whether a rescue waits for the desk to ask somebody."""
    return state == "verified" or (state == "dispatched" and unit is None)
