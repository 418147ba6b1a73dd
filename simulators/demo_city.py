"""The lifts of the demonstration: who and where they are, from `demo_city.toml`."""

from pathlib import Path

from msgspec import Struct

from protocols.border import load_toml
from protocols.clock import SystemClock
from simulators.scenario import Group, Play, Scenario
from simulators.serve import known_controllers

FILE = Path(__file__).parent / "demo_city.toml"


class DemoLift(Struct, frozen=True, forbid_unknown_fields=True):
    """What the registry knows of one lift."""

    group: str
    asset: str
    name: str
    district: str
    address: str
    rescue_code: str


class DemoCity(Struct, frozen=True, forbid_unknown_fields=True):
    """The file `demo_city.toml`."""

    groups: tuple[Group, ...]
    lifts: tuple[DemoLift, ...]


def load_city() -> tuple[Play, dict[int, DemoLift]]:
    """Build the demonstration's lifts, and their entries in the registry by index.

    Raises:
        FixConfiguration: a shipped file has faults.

    """
    city = load_toml(FILE, DemoCity)
    scenario = Scenario(
        schema=1,
        id="demo",
        title="Demonstration",
        title_zh="演示",
        duration_s=1,
        groups=city.groups,
        seed=20,
    )
    play = Play(scenario, known_controllers(None), SystemClock())
    entries: dict[int, DemoLift] = {}
    for group, lifts in play.groups.items():
        named = [entry for entry in city.lifts if entry.group == group]
        entries |= {lift.index: entry for lift, entry in zip(lifts, named, strict=True)}
    return play, entries
