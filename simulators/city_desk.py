"""The people of a city's rescues: callers, operators, rescuers; they hear the feed, use the API."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocols.errors import RetryLater
from simulators.api import Api
from simulators.city_answers import (
    Answer,
    answer_of,
    next_unit,
    satisfaction,
    verify_after_s,
    wants_desk,
)
from simulators.city_facts import Made
from simulators.city_places import City, UnitPlace, distance_km
from simulators.city_story import BRIGADE, Desk, Habit, Story
from simulators.city_world import World
from simulators.feed_watch import Heard

ENDED = frozenset(("closed", "false_alarm", "cancelled", "merged"))
RETRY_S, TRIES = 0.5, 20
FAR_KM = 5.0
"""How far away a unit is of which nobody knows where it stands."""


@dataclass(slots=True)
class Case:
    """One rescue, as the feed told of it last."""

    id: int
    asset: str
    made: Made | None
    rng: random.Random
    alarm: int | None = None
    state: str = ""
    level: int = 1
    unit: str | None = None
    version: int = 0
    asked: list[str] = field(default_factory=list)
    asking: bool = False
    released: bool = False


class People:
    """Everybody who has to do with a rescue.

    Args:
        api: the service.
        story: habits.
        city: lifts and units.
        world: what truly happens.
        pace: so many times as fast as life.
        seed: of all chance; each rescue has its own by its lift and number.

    """

    def __init__(
        self, *, api: Api, story: Story, city: City, world: World, pace: float, seed: int
    ) -> None:
        self._api, self._story, self._city, self._world = api, story, city, world
        self._pace, self._seed = pace, seed
        self._units = {one.unit: one for one in city.units}
        self._lifts = {one.asset: one for one in city.lifts}
        self._open: dict[str, list[Made]] = {}
        self._known = 0
        self.cases: dict[int, Case] = {}
        self.done = Counter[str]()
        """What was done, by verb; calls, and calls with a wrong code."""
        self.refused = Counter[str]()
        """What the service refused, by verb and reason."""
        self.late = 0
        """Units that came late."""
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, heard: Heard) -> None:
        """Take an item of the feed; whoever it concerns begins to act."""
        data = heard.item.data
        if heard.item.event != "incident" or data.get("asset") not in self._lifts:
            return
        case = self.cases.get(data["id"])
        if case is None:
            if data["state"] in ENDED:
                return
            made = self._made_of(data["asset"])
            number = -1 if made is None else made.number
            rng = random.Random(f"rescue {self._seed} {data['asset']} {number}")
            case = self.cases[data["id"]] = Case(data["id"], data["asset"], made, rng)
            self._begin(self._look(case))
        if data["version"] < case.version:
            return
        case.state, case.level = data["state"], data.get("level", 1)
        case.unit, case.version = data.get("unit"), data["version"]
        case.alarm = data.get("alarm")
        self._react(case, str(data.get("change")))

    def phone(self, made: Made) -> None:
        """Let somebody in the car phone the centre."""
        self._begin(self._call(made))

    async def stop(self) -> None:
        """Let nobody do anything more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def open_cases(self) -> list[Case]:
        """Return the rescues that have not ended."""
        return [one for one in self.cases.values() if one.state not in ENDED]

    # --- who is concerned -------------------------------------------------------------------------

    def _made_of(self, asset: str) -> Made | None:
        """Return what truly happens in a lift now."""
        while self._known < len(self._world.made):
            made = self._world.made[self._known]
            self._open.setdefault(made.lift.asset, []).append(made)
            self._known += 1
        found = [one for one in self._open.get(asset, ()) if not one.done]
        self._open[asset] = found
        begun = [one for one in found if one.began_s <= self._world.now_s]
        if begun:
            begun[-1].heard = True
        return begun[-1] if begun else None

    def _react(self, case: Case, change: str) -> None:
        if case.state in ENDED:
            if case.made is not None:
                self._world.finish(case.made)
        elif case.state == "dispatched" and case.unit and change not in ("note", "tell"):
            if case.unit not in case.asked:
                case.asked.append(case.unit)
                self._begin(self._answer(case, case.unit))
        elif case.state == "released" and not case.released:
            case.released = True
            self._begin(self._after_care(case))
        if wants_desk(case.state, case.unit) and change != "verify" and not case.asking:
            case.asking = True
            self._begin(self._ask_again(case))

    # --- callers --------------------------------------------------------------------------------

    async def _call(self, made: Made) -> None:
        told, rng = made.entrapment, random.Random(f"call {self._seed} {made.number}")
        if told is None:
            return
        caller = rng.choice(self._story.callers.names)
        body = {
            "people": told.people,
            "caller_name": caller,
            "caller_phone": f"139{rng.randrange(10**8):08d}",
        }
        if told.again_s is not None:
            wrong = self._city.wrong_code(made.lift.rescue_code, rng)
            status, _ = await self._ask("POST", "/api/v1/calls", {"rescue_code": wrong, **body})
            self.done["wrong_code" if status >= 400 else "wrong_code_taken"] += 1
            await self._pause(told.again_s)
        if made.freed_s is None:
            right = {"rescue_code": made.lift.rescue_code, **body}
            status, answer = await self._ask("POST", "/api/v1/calls", right)
            self._count("call", status, answer)

    # --- the desk ---------------------------------------------------------------------------------

    async def _look(self, case: Case) -> None:
        """See a new rescue, speak to the car, and ask the first unit."""
        desk = self._story.desk
        case.asking = True
        await self._pause(verify_after_s(desk, case.rng))
        if case.alarm is not None:
            path = f"/api/v1/alarms/{case.alarm}/acknowledge"
            self._count("acknowledge", *await self._ask("POST", path, {"note": "正在核实"}))
        if case.made is None or case.made.entrapment is None:
            await self._act(case, "false_alarm", note="无人被困，误按报警按钮")
            return
        await self._act(case, "verify", people=case.made.entrapment.people)
        await self._pause(case.rng.uniform(*desk.dispatch_s))
        case.asking = False
        if case.state in ("detected", "verified") and case.unit is None:
            await self._dispatch(case)

    async def _ask_again(self, case: Case) -> None:
        """Ask the next unit, when the one before refused or kept silent."""
        await self._pause(case.rng.uniform(*self._story.desk.redispatch_s))
        case.asking = False
        if wants_desk(case.state, case.unit):
            await self._dispatch(case)

    async def _dispatch(self, case: Case) -> None:
        levels = {}
        for level in range(case.level, 4):
            _, answer = await self._ask("GET", f"/api/v1/incidents/{case.id}/units?level={level}")
            levels[level] = answer.get("units", []) if isinstance(answer, dict) else []
        chosen = next_unit(levels, case.asked, case.level)
        if chosen is not None:
            await self._act(case, "dispatch", unit=chosen[0], level=chosen[1])

    async def _after_care(self, case: Case) -> None:
        desk: Desk = self._story.desk
        cause = "found_normal"
        if case.made is not None and case.made.entrapment is not None:
            cause = case.made.entrapment.cause
        await self._pause(case.rng.uniform(*desk.call_back_s))
        await self._act(case, "call_back", satisfaction=satisfaction(desk, case.rng))
        await self._act(case, "file_cause", cause=cause)
        await self._pause(case.rng.uniform(*desk.close_s))
        await self._act(case, "close")

    # --- rescuers ---------------------------------------------------------------------------------

    async def _answer(self, case: Case, unit: str) -> None:
        place = self._units.get(unit)
        habit = self._habit(place)
        answer = answer_of(habit, self._distance_km(case, place), case.rng)
        await self._pause(answer.answer_s)
        if answer.kind == "silence":
            self.done["silence"] += 1
        elif answer.kind == "refuse":
            await self._act(case, "refuse", unit=unit, note="正在另一处救援")
        else:
            await self._come(case, unit, answer)

    async def _come(self, case: Case, unit: str, answer: Answer) -> None:
        eta_s = int(answer.set_out_s + answer.travel_s)
        if not await self._act(case, "accept", unit=unit, eta_s=eta_s):
            return
        await self._pause(answer.set_out_s)
        await self._act(case, "set_out", unit=unit)
        await self._pause(answer.travel_s)
        self.late += answer.late
        if case.state in ENDED or case.released:
            return
        await self._act(case, "arrive", unit=unit)
        await self._pause(answer.work_s)
        if case.state in ENDED or case.released:
            return
        people = case.made.entrapment.people if case.made and case.made.entrapment else 0
        if case.made is not None and not self._world.release(case.made):
            people = 0
        note = "" if people else "到场时门已自行打开，人员已离开"
        await self._act(case, "release", unit=unit, people=people, note=note)

    def _habit(self, place: UnitPlace | None) -> Habit:
        return self._story.habit(BRIGADE if place is None else place.habit)

    def _distance_km(self, case: Case, place: UnitPlace | None) -> float:
        lift = self._lifts[case.asset]
        if place is None:
            return FAR_KM
        here = lift.latitude, lift.longitude
        return distance_km(here, (place.latitude, place.longitude))

    # --- what they use ----------------------------------------------------------------------------

    async def _act(self, case: Case, verb: str, **act: object) -> bool:
        body = {name: value for name, value in act.items() if value != ""}
        status, answer = await self._ask("POST", f"/api/v1/incidents/{case.id}/{verb}", body)
        return self._count(verb, status, answer)

    async def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask the service; one that does not answer is asked again for some time."""
        for _ in range(TRIES):
            try:
                status, answer = await self._api.call(method, path, body)
            except RetryLater:
                status, answer = 503, None
            if status not in (429, 503):
                break
            await asyncio.sleep(RETRY_S)
        return status, answer

    def _count(self, verb: str, status: int, answer: Any) -> bool:
        if status < 300:
            self.done[verb] += 1
            return True
        reason = answer.get("type", status) if isinstance(answer, Mapping) else status
        self.refused[f"{verb}: {str(reason).rpartition(':')[2]}"] += 1
        return False

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._pace)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
