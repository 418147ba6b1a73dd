"""What is known of an asset does not depend on the order or number of deliveries."""

import random

import pytest

from cloud.model.logged import PlacedReadings, flattened
from cloud.rules.engine import AHEAD_MAX_MS, Engine
from cloud.rules.load import load_rules
from cloud.rules.rule import RuleSet
from cloud.rules.values import POINTS_PER_KIND_MAX
from protocols.readings import Quality, Value

LIFT = "elevator:L1"
T = 1_764_000_000_000
RULES = load_rules()


def _reading(
    at: list[int],
    values: dict[str, list[Value]],
    *,
    asset: str = LIFT,
    seq: int = 1,
    gateway: str = "gw-1",
    quality: dict[str, list[Quality]] | None = None,
    received_at: int = T + 60_000,
) -> PlacedReadings:
    points, flat = flattened(values)
    return PlacedReadings(
        asset=asset,
        gateway=gateway,
        seq=seq,
        received_at=received_at,
        at=[T + one for one in at],
        points=points,
        flat=flat,
        quality=quality or {},
    )


def _random_readings(rng: random.Random) -> list[PlacedReadings]:
    readings: list[PlacedReadings] = []
    moments = rng.sample(range(200), 60)
    pools: dict[str, list[Value]] = {
        "speed": [0.0, 1.5, None],
        "door_status": [True, False, None],
        "message_code": [[], ["02"], ["90", "02"]],
        "own_point": [1, "text", None],
    }
    while moments:
        at = sorted(moments[: rng.randint(1, 5)])
        moments = moments[len(at) :]
        columns: dict[str, list[Value]] = {}
        quality: dict[str, list[Quality]] = {}
        for name, pool in pools.items():
            if rng.random() < 0.7:
                columns[name] = [rng.choice(pool) for _ in at]
                if None in columns[name]:
                    quality[name] = [
                        "unknown_value" if value is None else "good" for value in columns[name]
                    ]
        if columns:
            readings.append(_reading(at, columns, seq=len(readings) + 1, quality=quality))
    return readings


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("silent", [False, True])
def test_latest_is_the_same_in_any_order_and_any_number(seed: int, silent: bool) -> None:
    rng = random.Random(seed)
    readings = _random_readings(rng)
    expected = None
    for _ in range(4):
        engine = Engine(RULES)
        for reading in readings:
            engine.apply(reading, T, silent=silent)
        found = engine.latest(LIFT)
        assert expected in (None, found)
        expected = found
        readings = rng.sample(readings, len(readings)) + rng.choices(readings, k=10)
    assert expected


@pytest.mark.parametrize("seed", range(10))
def test_stored_values_come_back_as_they_were(seed: int) -> None:
    engine, again = Engine(RULES), Engine(RULES)
    for reading in _random_readings(random.Random(seed)):
        engine.apply(reading, T)
    for asset, packed in engine.take_dirty(100):
        again.restore_values(asset, packed)
    assert again.latest(LIFT) == engine.latest(LIFT)
    assert again.assets_of("gw-1") == engine.assets_of("gw-1") == [LIFT]
    assert engine.take_dirty(100) == []


def test_null_keeps_the_last_value_with_its_quality() -> None:
    engine = Engine(RULES)
    quality: dict[str, list[Quality]] = {"door_status": ["good", "no_value"]}
    engine.apply(_reading([0, 1], {"door_status": [True, None]}, quality=quality), T)
    found = engine.latest(LIFT)["door_status"]
    assert (found.value, found.observed_at, found.quality) == (True, T, "no_value")
    engine.apply(_reading([5], {"door_status": [False]}), T)
    assert engine.latest(LIFT)["door_status"].quality == "good"


def test_history_corrects_the_last_value_of_a_point_that_is_not_known_now() -> None:
    engine = Engine(RULES)
    engine.apply(_reading([10], {"speed": [None]}), T)
    engine.apply(_reading([5], {"speed": [1.5]}), T)
    engine.apply(_reading([3], {"speed": [0.5]}), T)
    found = engine.latest(LIFT)["speed"]
    assert (found.value, found.observed_at, found.quality) == (1.5, T + 5, "no_value")


def test_value_that_the_gateway_calls_stale_is_not_known_to_rules() -> None:
    engine = Engine(RULES)
    quality: dict[str, list[Quality]] = {"message_code": ["stale"]}
    engine.apply(_reading([0], {"message_code": [["90"]]}, quality=quality), T)
    assert engine.judge.transitions == []
    assert engine.latest(LIFT)["message_code"].quality == "stale"


def test_rows_of_one_record_are_judged_one_by_one() -> None:
    engine = Engine(RULES)
    codes: list[Value] = [[], ["90"], []]
    engine.apply(_reading([0, 1000, 2000], {"message_code": codes}), T)
    assert [(one.change, one.observed_at) for one in engine.judge.transitions] == [
        ("fired", T + 1000)
    ]
    engine.judge.fire_due(T + 12_000, T)
    assert [one.change for one in engine.judge.transitions] == ["fired", "resolved"]


def test_rows_out_of_order_are_sorted() -> None:
    engine = Engine(RULES)
    codes: list[Value] = [[], ["02"], []]
    engine.apply(_reading([2000, 1000, 0], {"message_code": codes}), T)
    assert [one.change for one in engine.judge.transitions] == ["fired", "resolved"]
    assert engine.latest(LIFT)["message_code"].observed_at == T + 2000


def test_clock_that_runs_ahead_does_not_silence_what_comes_after() -> None:
    engine, hour = Engine(RULES), 3_600_000
    engine.apply(_reading([hour], {"message_code": [[]]}, received_at=T), T)
    assert engine.latest(LIFT)["message_code"].observed_at == T
    engine.apply(_reading([1000], {"message_code": [["90"]]}, received_at=T + 1000), T)
    assert [one.change for one in engine.judge.transitions] == ["fired"]
    slightly = AHEAD_MAX_MS - 1
    engine.apply(_reading([slightly], {"speed": [1.0]}, received_at=T), T)
    assert engine.latest(LIFT)["speed"].observed_at == T + slightly


def test_same_time_is_decided_by_seq() -> None:
    engine = Engine(RULES)
    engine.apply(_reading([0], {"speed": [2.0]}, seq=8), T)
    engine.apply(_reading([0], {"speed": [1.0]}, seq=7), T)
    assert engine.latest(LIFT)["speed"].value == 2.0


def test_gateway_of_an_asset_is_the_one_that_reported_newest() -> None:
    engine = Engine(RULES)
    engine.apply(_reading([10], {"speed": [2.0]}, gateway="gw-2"), T)
    engine.apply(_reading([5], {"speed": [2.0]}, gateway="gw-1"), T)
    assert (engine.assets_of("gw-1"), engine.assets_of("gw-2")) == ([], [LIFT])
    engine.apply(_reading([20], {"speed": [2.0]}, gateway="gw-1"), T)
    assert (engine.assets_of("gw-1"), engine.assets_of("gw-2")) == ([LIFT], [])


def test_kinds_without_rules_are_kept_and_bounded() -> None:
    engine = Engine(RuleSet(()))
    names = [f"point_{index}" for index in range(POINTS_PER_KIND_MAX + 50)]
    engine.apply(_reading([0], {name: [1] for name in names}, asset="cylinder:C1"), T)
    assert len(engine.latest("cylinder:C1")) == POINTS_PER_KIND_MAX
    for index in range(400):
        engine.apply(_reading([0], {"speed": [1]}, asset=f"kind_{index}:C1"), T)
    known = [index for index in range(400) if engine.latest(f"kind_{index}:C1")]
    assert 0 < len(known) < 400


def test_asset_nobody_knows_has_no_latest() -> None:
    assert Engine(RULES).latest("elevator:NONE") == {}
