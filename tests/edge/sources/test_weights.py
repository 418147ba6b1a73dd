"""What is told of a scale."""

from edge.sources.base import MovingWeight, Sample, WeightSeen
from edge.sources.weights import PACE_MS, WeightReadings
from protocols.readings import Value

ASSET = "scale:fill-1"


def seen(kg: float | None, *, in_motion: bool = False) -> WeightSeen:
    values: dict[str, Value] = {"gross_kg": kg, "in_motion": in_motion, "controller_online": True}
    return WeightSeen(values=values, quality={} if kg is not None else {"gross_kg": "no_value"})


def told(readings: WeightReadings, one: WeightSeen, at_ms: int) -> list[Sample]:
    return [told for told in readings.handle(one, at_ms) if isinstance(told, Sample)]


def test_changes_are_told_once_and_all_of_it_once_a_minute() -> None:
    readings = WeightReadings(ASSET)
    (first,) = told(readings, seen(30.5), 1000)
    assert (first.asset, first.stream, first.at_boot_ms) == (ASSET, "data", 1000)
    assert first.values == {"gross_kg": 30.5, "in_motion": False}
    assert told(readings, seen(30.5), 1100) == []
    (moves,) = told(readings, seen(None, in_motion=True), 1200)
    assert moves.values == {"gross_kg": None, "in_motion": True}
    assert moves.quality == {"gross_kg": "no_value"}
    assert told(readings, seen(None, in_motion=True), 1300) == []
    (snapshot,) = told(readings, seen(None, in_motion=True), 61_000)
    assert snapshot.values == moves.values


def test_a_weight_that_trembles_is_told_at_a_pace_and_its_last_value_is() -> None:
    readings = WeightReadings(ASSET)
    told(readings, seen(30.5), 1000)
    assert told(readings, seen(30.51), 1100) == []
    assert told(readings, seen(30.5), 1200) == []
    (late,) = told(readings, seen(30.51), 1000 + PACE_MS)
    assert late.values == {"gross_kg": 30.51}


def test_a_silent_scale_loses_its_weights_at_once_and_says_when_it_is_back() -> None:
    readings = WeightReadings(ASSET)
    silent = WeightSeen(values={"controller_online": False})
    told(readings, seen(30.5), 1000)
    alarm, lost = told(readings, silent, 2000)
    assert (alarm.stream, alarm.values) == ("alarm", {"controller_online": False})
    assert lost.values == {"gross_kg": None, "in_motion": None}
    assert set(lost.quality.values()) == {"stale"}
    assert told(readings, silent, 3000) == []
    back, again = told(readings, seen(30.5), 4000)
    assert (back.stream, back.values) == ("alarm", {"controller_online": True})
    assert again.values == {"gross_kg": 30.5, "in_motion": False}


def test_a_moving_weight_is_told_with_every_message_and_in_no_sample() -> None:
    readings = WeightReadings(ASSET)
    moves = WeightSeen(values={"gross_kg": None, "in_motion": True, "moving_kg": 17.42})
    (watched, sample) = readings.handle(moves, 1000)
    assert watched == MovingWeight(ASSET, 1000, 17.42)
    assert isinstance(sample, Sample)
    assert sample.values == {"gross_kg": None, "in_motion": True}
    assert list(readings.handle(moves, 1100)) == [MovingWeight(ASSET, 1100, 17.42)]
