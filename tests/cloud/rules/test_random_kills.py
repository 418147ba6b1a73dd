"""Random lifts, disorder and kills by seed: a killed process tells what a living one tells."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from protocols.readings import Value
from tests.support.rules_stage import Killed, RulesStage

EVENTS = 60
LIFTS = ("elevator:A", "elevator:B")
POOLS: dict[str, list[Value]] = {
    "service_mode": ["normal", "normal", "normal", "inspection", None],
    "car_status": ["stopped", "stopped", "running", None],
    "passenger_status": [True, True, False, None],
    "door_status": [True, True, False],
    "door_zone": [True, False, None],
    "safety_circuit": [True, True, False],
    "controller_online": [True, True, True, False],
    "power_status": ["mains", "mains", "outage"],
}
CODES: list[Value] = [[], [], ["90"], ["02"], ["01", "90"], ["entrapment"], None]

Act = tuple[float, Callable[[RulesStage], None]]


def _script(rng: random.Random) -> list[Act]:
    """Make up what is logged when; a third of it was observed earlier, some of it long before."""
    acts: list[Act] = []
    second = 1.0
    for _ in range(EVENTS):
        second += rng.choice([0.3, 1.0, 2.5, 7.0, 19.0, 31.0])
        acts.append((round(second, 3), _say(rng, second)))
    return acts


def _say(rng: random.Random, second: float) -> Callable[[RulesStage], None]:
    values: dict[str, Value]
    asset, urgent, gateway = rng.choice(LIFTS), False, "gw-1"
    at = second - (rng.choice([0.5, 5.0, 25.0, 200.0]) if rng.random() < 0.35 else 0.0)
    dice = rng.random()
    if dice < 0.1:
        asset, values, urgent, at = "gateway:gw-1", {"online": rng.random() < 0.6}, True, second
    elif dice < 0.4:
        values, urgent = {"message_code": rng.choice(CODES)}, True
    else:
        names = rng.sample(sorted(POOLS), rng.randint(1, 5))
        values = {name: rng.choice(POOLS[name]) for name in names}
    return lambda stage: stage.say(values, asset=asset, at=at, urgent=urgent, gateway=gateway)


async def _play(folder: Path, script: list[Act], kills: random.Random | None) -> object:
    folder.mkdir()
    stage = RulesStage(f"sqlite:///{folder / 'state.db'}")
    killed = 0

    def arm() -> None:
        stage.database.writes = 0
        stage.database.kill_before = stage.database.kill_after = None
        if kills is not None:
            name = kills.choice(["kill_before", "kill_after"])
            setattr(stage.database, name, kills.randint(2 if name == "kill_before" else 1, 6))

    async def survive(second: float) -> None:
        nonlocal killed
        starting = False
        while True:
            try:
                if starting:
                    await stage.rules_consumer.start()
                await stage.pass_to(second)
                return
            except Killed:
                killed += 1
                arm()
                stage.restart()
                starting = True

    arm()
    await stage.rules_consumer.start()
    for second, act in script:
        await survive(second - 0.001)
        stage.clock.advance(1)
        act(stage)
        await survive(second)
    stage.database.kill_before = stage.database.kill_after = None
    await survive(script[-1][0] + 300)
    told = await stage.told("alert", "asset", "change", "state", "evidence", "late", "stale")
    stage.database.close()
    assert (killed > 3) == (kills is not None)
    return told


@pytest.mark.parametrize("seed", range(16))
async def test_random_kills_change_nothing_that_is_told(tmp_path: Path, seed: int) -> None:
    script = _script(random.Random(seed))
    expected = await _play(tmp_path / "alive", script, None)
    assert expected
    assert await _play(tmp_path / "killed", script, random.Random(seed + 1000)) == expected
