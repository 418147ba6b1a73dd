"""Scenarios as data: which lifts there are, what happens to them when, and what must be seen.

A file is read into frozen structs; `Play` runs one in any time, virtual or real. The expectations
in the file are its own proof: the tests play every shipped file and check them.
"""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.point_map import Controller
from protocols.clock import Clock
from protocols.errors import Fault as ConfigurationFault
from protocols.errors import FixConfiguration, RefuseInput
from protocols.readings import Value
from simulators.actions import Action, OnLift
from simulators.car import Shaft
from simulators.city import City, ServedLift, lift_rng
from simulators.dialect import Dialect
from simulators.lift import Lift
from simulators.traffic import Pattern, Traffic

Transport = Literal["modbus_tcp", "modbus_rtu", "modbus_rtu_over_tcp"]
Seconds = Annotated[float, Meta(ge=0, le=1_000_000)]

SCENARIOS = Path(__file__).parent / "scenarios"


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Lifts of one kind in one building, on one Modbus port or line."""

    id: Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$")]
    controller: str
    lifts: Annotated[int, Meta(ge=1, le=247)] = 1
    transport: Transport = "modbus_tcp"
    floors: Annotated[int, Meta(ge=2, le=200)] = 12
    bottom_floor: int = 1
    traffic: Pattern = "mixed"
    trips_per_hour: Annotated[float, Meta(ge=0, le=100_000)] = 30.0
    poll_interval_s: Annotated[float, Meta(gt=0, le=3600)] = 1.0


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happens."""

    at_s: Seconds
    group: str
    do: Action
    """What is done to each chosen lift; without its own `lift`."""
    lifts: tuple[int, ...] | None = None
    """Places in the group, counted from 0; None: all."""
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """So much of the chosen lifts, drawn by the seed."""
    spread_s: Seconds = 0.0
    """Each lift's moment lies by chance between `at_s` and so much later."""


class Expect(Struct, frozen=True, forbid_unknown_fields=True):
    """What a lift must show at a moment; of a list of codes, the codes that must be in it."""

    at_s: Seconds
    group: str
    lift: int
    values: dict[str, Value]


class Scenario(Struct, frozen=True, forbid_unknown_fields=True):
    """One scenario file."""

    schema: Literal[1]
    id: str
    title: str
    title_zh: str
    duration_s: Annotated[float, Meta(gt=0, le=1_000_000)]
    groups: tuple[Group, ...]
    seed: int = 1
    steps: tuple[Step, ...] = ()
    expect: tuple[Expect, ...] = ()


class Event(Struct, frozen=True):
    """One thing that has happened to one lift."""

    at_s: float
    group: str
    lift: int
    """Place in the group."""
    action: Action
    refused: str = ""


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        FixConfiguration: with all faults: syntax, unknown keys, groups and lifts that are not
            there, an id that is not the file's name.

    """
    scenario = load_toml(path, Scenario)
    faults = [
        ConfigurationFault(str(path), key, expected, found)
        for key, expected, found in _faults(scenario, path.stem)
    ]
    if faults:
        raise FixConfiguration(faults)
    return scenario


def scenario_files() -> dict[str, Path]:
    """List the shipped scenarios by id."""
    return {path.stem: path for path in sorted(SCENARIOS.glob("*.toml"))}


def _faults(scenario: Scenario, stem: str) -> Iterator[tuple[str, str, str]]:
    if scenario.id != stem:
        yield "id", f"the file's name, {stem!r}", repr(scenario.id)
    groups = {group.id: group for group in scenario.groups}
    if not groups or len(groups) < len(scenario.groups):
        yield "groups", "groups with different ids", repr([g.id for g in scenario.groups])
    for index, step in enumerate(scenario.steps):
        key = f"steps[{index}]"
        if not isinstance(step.do, OnLift) or step.do.lift is not None:
            yield f"{key}.do", "an action without a lift of its own", repr(step.do)
        yield from _place_faults(groups, key, step.group, step.lifts or ())
    for index, expect in enumerate(scenario.expect):
        yield from _place_faults(groups, f"expect[{index}]", expect.group, (expect.lift,))


def _place_faults(
    groups: Mapping[str, Group], key: str, group: str, lifts: tuple[int, ...]
) -> Iterator[tuple[str, str, str]]:
    if group not in groups:
        yield f"{key}.group", f"one of {', '.join(groups)}", repr(group)
        return
    for lift in lifts:
        if not 0 <= lift < groups[group].lifts:
            yield f"{key}.lifts", f"0 to {groups[group].lifts - 1}", str(lift)


class Play:
    """A scenario being played; time passes only by `advance`.

    Args:
        scenario: what to play.
        controllers: controller files by id.
        clock: says when a register changed.

    Raises:
        FixConfiguration: a controller is missing.

    """

    def __init__(
        self, scenario: Scenario, controllers: Mapping[str, Controller], clock: Clock
    ) -> None:
        self.scenario, self.now_s = scenario, 0.0
        self.groups: dict[str, list[ServedLift]] = {}
        rng = random.Random(scenario.seed)
        lifts: list[ServedLift] = []
        for group in scenario.groups:
            dialect = Dialect(_controller(controllers, scenario.id, group))
            made = [
                build_lift(dialect, group, len(lifts) + place, place + 1, scenario.seed)
                for place in range(group.lifts)
            ]
            self.groups[group.id] = made
            lifts += made
        self.city = City(lifts, clock)
        self._due = sorted(self._plan(rng), key=lambda event: event.at_s)

    def advance(self, dt_s: float) -> list[Event]:
        """Let time pass, and do what falls due; return what was done.

        In virtual time use steps of 0.5 s or less: actions take place at the beginning of a step.
        """
        done: list[Event] = []
        self.now_s += dt_s
        while self._due and self._due[0].at_s <= self.now_s:
            done.append(self._do(self._due.pop(0)))
        self.city.step(dt_s)
        return done

    @property
    def over(self) -> bool:
        """True when the scenario's time is up."""
        return self.now_s >= self.scenario.duration_s

    def unmet(self, expect: Expect) -> dict[str, Value]:
        """Return what the lift shows instead of what is expected; empty when all is well."""
        shown = self.groups[expect.group][expect.lift].shown
        return {
            name: shown[name].value if name in shown else None
            for name, wanted in expect.values.items()
            if name not in shown or not _meets(shown[name].value, wanted)
        }

    def _plan(self, rng: random.Random) -> Iterator[Event]:
        for step in self.scenario.steps:
            count = len(self.groups[step.group])
            chosen = list(range(count) if step.lifts is None else step.lifts)
            chosen = sorted(rng.sample(chosen, max(1, round(len(chosen) * step.share))))
            for place in chosen:
                at_s = step.at_s + rng.uniform(0, step.spread_s)
                yield Event(at_s, step.group, place, step.do)

    def _do(self, event: Event) -> Event:
        index = self.groups[event.group][event.lift].index
        try:
            self.city.apply_to(event.action, index)
        except RefuseInput as error:
            return Event(event.at_s, event.group, event.lift, event.action, str(error))
        return event


def build_lift(dialect: Dialect, group: Group, index: int, unit_id: int, seed: int) -> ServedLift:
    """Build one lift of a group with its own chance, standing at a floor of its own."""
    rng = lift_rng(seed, index)
    shaft = Shaft(floors=group.floors, bottom_floor=group.bottom_floor)
    lift = Lift(shaft, rng, floor=rng.randrange(group.floors))
    lift.trips, lift.running_s = rng.randrange(200_000), rng.uniform(0, 3_000 * 3600)
    traffic = Traffic(rng, group.traffic, group.trips_per_hour)
    return ServedLift(index, unit_id, dialect, lift, traffic)


def _controller(controllers: Mapping[str, Controller], scenario: str, group: Group) -> Controller:
    found = controllers.get(group.controller)
    if found is None:
        known = ", ".join(sorted(controllers)) or "none"
        fault = ConfigurationFault(
            f"scenario {scenario}",
            f"groups.{group.id}.controller",
            f"one of {known}",
            group.controller,
        )
        raise FixConfiguration([fault])
    return found


def _meets(shown: Value, wanted: Value) -> bool:
    if isinstance(shown, list) and isinstance(wanted, list):
        return set(wanted) <= set(shown) if wanted else not shown
    return shown == wanted
