"""Contradictory, doubled and disordered messages do no harm: the last state counts."""

import random
from pathlib import Path

import pytest

from cloud.model.alarm import Alarm
from protocols.readings import Value
from tests.support.rules_stage import RulesStage

LIFT = "elevator:A"
POOLS: dict[str, list[Value]] = {
    "service_mode": ["normal", "normal", "inspection"],
    "car_status": ["stopped", "stopped", "running"],
    "car_position": [1, 2, 9],
    "speed": [0.0, 1.5, -1.5],
    "passenger_status": [True, True, False],
    "door_status": [True, True, False],
    "door_zone": [True, False],
    "message_code": [[], ["02"], ["90"], ["door_open_running"], ["test_call"]],
}
TRAPPED: dict[str, Value] = {
    "service_mode": "normal",
    "car_status": "stopped",
    "car_position": 5,
    "speed": 0.0,
    "passenger_status": True,
    "door_status": True,
    "door_zone": False,
    "message_code": [],
}
EMPTY: dict[str, Value] = {**TRAPPED, "passenger_status": False, "door_zone": True}
Moment = tuple[float, dict[str, Value]]


def moments(rng: random.Random, last: dict[str, Value]) -> list[Moment]:
    """Make a minute of states that contradict each other, and then one that is plain."""
    wild = [
        (second, {name: rng.choice(pool) for name, pool in POOLS.items()})
        for second in range(1, 61)
    ]
    return [*((float(second), values) for second, values in wild), (61.0, last)]


def disorder(rng: random.Random, told: list[Moment]) -> list[tuple[float, Moment]]:
    """Return (arrival, moment) of messages late by seconds, some of them twice or thrice."""
    arrivals = [
        (one[0] + rng.uniform(0.05, 4.0), one)
        for one in told
        for _ in range(rng.choice([1, 1, 2, 3]))
    ]
    return sorted(arrivals, key=lambda arrival: arrival[0])


async def play(
    folder: Path, arrivals: list[tuple[float, Moment]]
) -> tuple[RulesStage, list[Alarm]]:
    """Let messages arrive, wait two minutes, and return the alarms."""
    stage = RulesStage(f"sqlite:///{folder / 'state.db'}")
    await stage.rules_consumer.start()
    for second, (at, values) in arrivals:
        await stage.pass_to(second)
        stage.say(values, asset=LIFT, at=at)
        await stage.settle()
    for second in range(66, 200, 2):
        await stage.pass_to(second)
    found = await stage.desk.find(limit=1000)
    stage.database.close()
    return stage, found


def standing(alarms: list[Alarm]) -> set[tuple[str, str | None]]:
    """Return what is in alarm."""
    return {(one.alert, one.evidence) for one in alarms if one.active and one.state != "normal"}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("last", "trapped"), [(TRAPPED, True), (EMPTY, False)], ids=["trapped", "empty"]
)
async def test_in_the_end_the_last_state_counts(
    tmp_path: Path, seed: int, last: dict[str, Value], trapped: bool
) -> None:
    rng = random.Random(seed)
    stage, alarms = await play(tmp_path, disorder(rng, moments(rng, last)))
    assert stage.dead == []
    alerts = [alert for alert, _ in standing(alarms)]
    assert len(alerts) == len(set(alerts))
    assert ("Entrapment" in alerts) == trapped
    assert "ContradictoryStates" not in alerts
    assert "CarDoorNotClosing" not in alerts
    open_ones = [one.alert for one in alarms if one.state != "normal"]
    assert len(open_ones) == len(set(open_ones))


async def test_alarm_says_by_which_proofs_and_since_when(tmp_path: Path) -> None:
    stage = RulesStage(f"sqlite:///{tmp_path / 'state.db'}")
    await stage.rules_consumer.start()
    stage.say({**TRAPPED, "message_code": []}, asset=LIFT, at=0.0)
    await stage.pass_to(8)
    stage.say({"message_code": ["90"]}, asset=LIFT, at=8.0, urgent=True)
    await stage.settle()
    (alarm,) = await stage.desk.find()
    button, pending = alarm.reasons[0], alarm.reasons[-1]
    assert (button.evidence, button.counts, button.for_ms) == ("alarm_button", True, 0)
    assert button.since_at == stage.start_ms + 8_000
    assert (pending.evidence, pending.counts, pending.for_ms) == ("off_level", False, 20_000)
    assert pending.since_at == stage.start_ms
    assert "door_zone" in pending.expr
    await stage.pass_to(21)
    (alarm,) = await stage.desk.find()
    assert alarm.evidence == "off_level"
    assert [(one.evidence, one.counts) for one in alarm.reasons] == [
        ("alarm_button", True),
        ("off_level", True),
    ]
    assert alarm.values["door_zone"] is False
    stage.database.close()
