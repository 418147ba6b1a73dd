"""What goes wrong with a city's lifts, and how it develops: decisions alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from simulators.city_places import DAY_S, City, LiftPlace
from simulators.city_story import Callers, Course, Story


@dataclass(frozen=True, slots=True)
class Entrapment:
    """One entrapment as it will develop; seconds after the car stopped."""

    course: str
    at_level: bool
    people: int
    cause: str
    press_s: float | None
    phone_s: float | None
    again_s: float | None
    """They phone again so long after, for the code was read wrong; None: it was right."""
    free_s: float | None
    """When the doors open by themselves; None: only when somebody helps."""

    def known_s(self, inferred_s: float) -> float:
        """Return after how many seconds the centre hears of it, if nobody is free before.

        Args:
            inferred_s: so long a closed car with people in it may stand before that alone counts.

        """
        told_s = None if self.phone_s is None else self.phone_s + (self.again_s or 0)
        return min(one for one in (self.press_s, told_s, inferred_s) if one is not None)

    def becomes_known(self, inferred_s: float, doubt_s: float) -> bool | None:
        """Tell whether the centre must hear of it; None where `doubt_s` more or less decide."""
        if self.free_s is None:
            return True
        ahead_s = self.free_s - self.known_s(inferred_s)
        return None if abs(ahead_s) < doubt_s else ahead_s > 0


@dataclass(frozen=True, slots=True)
class Button:
    """The alarm button is pressed where nobody is trapped."""

    hold_s: float


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that traps nobody, for some time."""

    codes: tuple[str, ...]
    lasts_s: float


Trouble = Entrapment | Button | Fault


class Troubles:
    """What happens next, and to whom.

    Args:
        story: rates and courses.
        city: the lifts.
        times: people are trapped, and press the button for nothing, so many times as often.

    """

    def __init__(self, story: Story, city: City, times: float) -> None:
        self._story, self._lifts = story, city.lifts
        month_s, told = story.month_days * DAY_S, story.troubles
        mean = sum(told.entrapments_month_percent) / 2
        percents = mean * times, told.buttons_month_percent * times, told.faults_month_percent
        self._weights = [one.troubles for one in city.lifts]
        size = sum(self._weights)
        self.rates_s = tuple(size * percent / 100 / month_s for percent in percents)
        """Entrapments, buttons and faults of the whole city in a second."""

    def next(self, rng: random.Random) -> tuple[float, LiftPlace, Trouble]:
        """Return after how many seconds the next one comes, where, and what."""
        after_s = rng.expovariate(sum(self.rates_s))
        kind = rng.choices(("entrapment", "button", "fault"), self.rates_s)[0]
        (lift,) = rng.choices(self._lifts, self._weights)
        if kind == "entrapment":
            return after_s, lift, draw_entrapment(self._story.courses, self._story.callers, rng)
        if kind == "button":
            return after_s, lift, Button(hold_s=rng.uniform(5, 60))
        told = self._story.troubles
        (fault,) = rng.choices(told.faults, [one.share for one in told.faults])
        return after_s, lift, Fault(fault.codes, rng.uniform(*told.fault_s))


def draw_entrapment(courses: Sequence[Course], callers: Callers, rng: random.Random) -> Entrapment:
    """Draw one by the shares of its kind."""
    (course,) = rng.choices(courses, [one.share for one in courses])
    free_s = _maybe(course.frees_itself, course.free_s, rng)
    phone_s = _before(_maybe(course.phones, course.phone_s, rng), free_s)
    again_s = _maybe(callers.wrong_code, callers.again_s, rng)
    causes = course.causes
    return Entrapment(
        course=course.id,
        at_level=course.at_level,
        people=rng.randint(*course.people),
        cause="self_recovered" if free_s else rng.choices([*causes], [*causes.values()])[0],
        press_s=_before(_maybe(course.presses, course.press_s, rng), free_s),
        phone_s=phone_s,
        again_s=None if phone_s is None else again_s,
        free_s=free_s,
    )


def _maybe(share: float, span: tuple[float, float], rng: random.Random) -> float | None:
    after_s = rng.uniform(*span)  # drawn always, so that a share changes nothing behind it
    return after_s if rng.random() < share else None


def _before(after_s: float | None, free_s: float | None) -> float | None:
    """Return it unless those trapped are out by then."""
    return None if after_s is None or (free_s is not None and after_s >= free_s) else after_s
