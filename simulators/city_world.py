"""A city of lifts in its own time: trips, faults, entrapments. It knows no clock and no network."""

import heapq
import random
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

from simulators.city_cars import Car, Riders
from simulators.city_facts import Change, Freed, Made
from simulators.city_places import DAY_S, City, LiftPlace
from simulators.city_story import Story
from simulators.city_troubles import (
    Button,
    Entrapment,
    Fault,
    Trouble,
    Troubles,
    draw_entrapment,
)

DOORS_S, FLOOR_S, START_S = 6.0, 2.0, 4.0
HOME = 0.5
"""So many trips end on the lowest floor."""
FORGET_S = 300.0
"""After an entrapment of which nobody heard the lift is left alone so long."""


class World:
    """All lifts; `advance` lets time pass.

    Args:
        story: habits and rates.
        city: the lifts.
        rng: all chance.
        starts_s: the time of day at the beginning, seconds.
        times: people are trapped so many times as often.
        inferred_s: a closed car that stands so long with people in it is known by that alone.
        doubt_s: so much either way nobody can say which came first.

    """

    def __init__(
        self,
        story: Story,
        city: City,
        rng: random.Random,
        *,
        starts_s: float = 7 * 3_600,
        times: float = 1.0,
        inferred_s: float = 20.0,
        doubt_s: float = 10.0,
    ) -> None:
        self._story, self._city, self._rng = story, city, rng
        self._starts_s, self._inferred_s, self._doubt_s = starts_s, inferred_s, doubt_s
        self._riders = Riders(city.lifts, story.curves)
        self._troubles = Troubles(story, city, times)
        self.cars = [Car(floor=rng.randint(1, one.floors)) for one in city.lifts]
        for car in self.cars:
            car.told = car.values()
        self.now_s, self._snapshot = 0.0, 0.0
        self._agenda: list[tuple[float, int, int, int, Callable[[float], None]]] = []
        self._order = count()
        self._changes: list[Change] = []
        self.made: list[Made] = []
        self.calls: list[Made] = []
        """Who phones now; whoever takes the calls empties it."""
        self.trips = self.faults = self.missed = 0
        self.troubled = True
        """False: nothing new goes wrong."""
        self._plan_trouble()

    def advance(self, now_s: float) -> list[Change]:
        """Let time pass until `now_s`; return what changed, in order, and the snapshots due."""
        began_s, self._changes = self.now_s, []
        for lift in self._riders.begin(
            (self._starts_s + began_s) % DAY_S, now_s - began_s, self._rng
        ):
            self._at(self._rng.uniform(began_s, now_s), lift, partial(self._trip, lift))
        while self._agenda and self._agenda[0][0] <= now_s:
            at_s, _, lift, plan, act = heapq.heappop(self._agenda)
            self.now_s = at_s
            if plan in (-1, self.cars[lift].plans):
                act(at_s)
        self.now_s = now_s
        self._changes.extend(self._snapshots(now_s - began_s))
        return self._changes

    def release(self, made: Made) -> bool:
        """Let rescuers free people; False when they were free before."""
        if made.freed_s is not None:
            return False
        self._free(made, "rescuers", self.now_s)
        return True

    def power_cut(self, lifts: list[int], *, over_s: float, trapped: int) -> list[Made]:
        """Take the mains from these lifts within `over_s`; in some of them somebody is trapped.

        Returns:
            the entrapments, which begin when their lift loses its mains and develop as others do.

        """
        inside = set(self._rng.sample(lifts, trapped))
        found = []
        for lift in lifts:
            at_s = self.now_s + self._rng.uniform(0, over_s)
            self.cars[lift].plans += 1
            self.cars[lift].stuck = True
            if lift in inside:
                drawn = draw_entrapment(self._story.courses, self._story.callers, self._rng)
                made = self._make(self._city.lifts[lift], at_s, drawn)
                found.append(made)
            self._at(at_s, lift, partial(self._lose_mains, lift, made if lift in inside else None))
        return found

    # --- trips ----------------------------------------------------------------------------------

    def _trip(self, lift: int, at_s: float) -> None:
        car, floors = self.cars[lift], self._city.lifts[lift].floors
        if car.busy or car.stuck or floors < 2:
            self.missed += 1
            return
        car.busy, self.trips = True, self.trips + 1
        car.plans += 1
        goal = 1 if self._rng.random() < HOME else self._rng.randint(1, floors)
        goal = goal if goal != car.floor else goal % floors + 1
        travel_s = START_S + FLOOR_S * abs(goal - car.floor)
        self._show(lift, at_s, closed=False, occupied=True)
        plan = partial(self._at, lift=lift, plan=car.plans)
        direction = "up" if goal > car.floor else "down"
        leaves_s = at_s + DOORS_S
        plan(leaves_s, act=partial(self._leave, lift, direction))
        plan(leaves_s + travel_s, act=partial(self._reach, lift, goal))
        plan(leaves_s + travel_s + DOORS_S, act=partial(self._rest, lift))

    def _leave(self, lift: int, direction: str, at_s: float) -> None:
        self._show(lift, at_s, closed=True, running=True, direction=direction)

    def _reach(self, lift: int, goal: int, at_s: float) -> None:
        trips = self.cars[lift].trips + 1
        self._show(
            lift,
            at_s,
            running=False,
            direction="none",
            floor=goal,
            closed=False,
            occupied=False,
            trips=trips,
        )

    def _rest(self, lift: int, at_s: float) -> None:
        self.cars[lift].busy = False
        self._show(lift, at_s, closed=True)

    # --- troubles -------------------------------------------------------------------------------

    def _plan_trouble(self) -> None:
        after_s, lift, trouble = self._troubles.next(self._rng)
        self._at(self.now_s + after_s, lift.index, partial(self._befall, lift, trouble))

    def _befall(self, lift: LiftPlace, trouble: Trouble, at_s: float) -> None:
        if not self.troubled:
            return
        self._plan_trouble()
        car = self.cars[lift.index]
        if car.stuck:
            return
        car.stuck, car.busy, car.plans = True, False, car.plans + 1
        match trouble:
            case Entrapment():
                self._trap(self._make(lift, at_s, trouble), at_s)
            case Button(hold_s=hold_s):
                made = self._make(lift, at_s, None)
                self._codes(lift.index, at_s, "90")
                self._at(at_s + hold_s, lift.index, partial(self._let_go, made))
            case Fault(codes=codes, lasts_s=lasts_s):
                self.faults += 1
                self._show(lift.index, at_s, running=False, direction="none", occupied=False)
                self._codes(lift.index, at_s, *codes)
                self._at(at_s + lasts_s, lift.index, partial(self._repair, lift.index, codes))

    def _make(self, lift: LiftPlace, at_s: float, entrapment: Entrapment | None) -> Made:
        known = (
            True
            if entrapment is None
            else entrapment.becomes_known(self._inferred_s, self._doubt_s)
        )
        made = Made(len(self.made), lift, at_s, entrapment, known)
        self.made.append(made)
        return made

    def _trap(self, made: Made, at_s: float) -> None:
        lift, told = made.lift.index, made.entrapment
        if told is None:
            return
        self._show(
            lift,
            at_s,
            running=False,
            direction="none",
            closed=True,
            occupied=True,
            in_zone=told.at_level,
        )
        if told.press_s is not None:
            self._at(at_s + told.press_s, lift, partial(self._press, made))
        if told.phone_s is not None:
            self._at(at_s + told.phone_s, lift, partial(self._phone, made))
        if told.free_s is not None:
            self._at(at_s + told.free_s, lift, partial(self._free, made, "itself"))

    def _lose_mains(self, lift: int, made: Made | None, at_s: float) -> None:
        self.cars[lift].mains = False
        self._show(lift, at_s, running=False, direction="none", occupied=False, mains=False)
        self._codes(lift, at_s, "41")
        if made is not None:
            self._trap(made, at_s)

    def _press(self, made: Made, at_s: float) -> None:
        if made.freed_s is None:
            self._codes(made.lift.index, at_s, "90")

    def _phone(self, made: Made, _at_s: float) -> None:
        if made.freed_s is None:
            self.calls.append(made)

    def _let_go(self, made: Made, at_s: float) -> None:
        self.cars[made.lift.index].without_codes("90")
        self._show(made.lift.index, at_s)

    def _free(self, made: Made, by: Freed, at_s: float) -> None:
        if made.freed_s is not None:
            return
        made.freed_s, made.freed_by = at_s, by
        lift = made.lift.index
        self.cars[lift].without_codes("90")
        self._show(lift, at_s, closed=False, occupied=False, in_zone=True)
        self._at(at_s + DOORS_S, lift, partial(self._rest, lift))
        if made.expected is not True:
            self._at(at_s + FORGET_S, lift, partial(self._forget, made))

    def _forget(self, made: Made, _at_s: float) -> None:
        if not made.heard:
            self.finish(made)

    def finish(self, made: Made) -> None:
        """Say that the desk has ended it: the lift runs again, and may fail again."""
        made.done = True
        self.cars[made.lift.index].stuck = not self.cars[made.lift.index].mains

    def _repair(self, lift: int, codes: tuple[str, ...], at_s: float) -> None:
        self.cars[lift].without_codes(*codes)
        self.cars[lift].stuck = False
        self._show(lift, at_s, closed=True, in_zone=True)

    # --- what shows -----------------------------------------------------------------------------

    def _at(self, at_s: float, lift: int, act: Callable[[float], None], plan: int = -1) -> None:
        heapq.heappush(self._agenda, (at_s, next(self._order), lift, plan, act))

    def _codes(self, lift: int, at_s: float, *codes: str) -> None:
        self.cars[lift].with_codes(*codes)
        self._show(lift, at_s)

    def _show(self, lift: int, at_s: float, **fields: bool | str | int) -> None:
        """Set fields of a car; what it shows otherwise than was last told is a change."""
        car = self.cars[lift]
        for name, value in fields.items():
            setattr(car, name, value)
        values = car.values()
        told = car.told
        changed = {name: value for name, value in values.items() if told[name] != value}
        if changed:
            car.told = values
            self._changes.append(Change(lift, at_s, changed, "message_code" in changed))

    def _snapshots(self, lasts_s: float) -> Iterator[Change]:
        """Return all of the lifts whose minute is up, in turn."""
        size = len(self.cars)
        end = self._snapshot + size * min(1.0, lasts_s / self._story.snapshot_s)
        for number in range(int(self._snapshot), int(end)):
            lift = number % size
            self.cars[lift].told = values = self.cars[lift].values()
            yield Change(lift, self.now_s, values)
        self._snapshot = end % size
