"""Readings as the log hands them on."""

from cloud.model.logged import flattened
from protocols.readings import Value
from protocols.records import Gap
from tests.support.log_groups import NOON_MS, SPOOL, batch, readings

VALUES: dict[str, list[Value]] = {"speed": [1.0, None, 0.5], "codes": [["02"], [], ["90"]]}


def test_values_of_several_moments_come_back_by_point() -> None:
    at = [NOON_MS, NOON_MS + 1, NOON_MS + 2]
    (one,) = batch(readings("elevator:1", at, VALUES)).readings()
    assert one.points == ("speed", "codes")
    assert one.flat == [1.0, None, 0.5, ["02"], [], ["90"]]
    assert one.columns() == VALUES


def test_moments_are_picked_with_their_values_and_qualities() -> None:
    at = [NOON_MS, NOON_MS + 1, NOON_MS + 2]
    record = readings("elevator:1", at, VALUES, {"speed": ["good", "stale", "good"]})
    (one,) = batch(record).readings()
    some = one.rows([2, 1])
    assert some.at == [at[2], at[1]]
    assert some.columns() == {"speed": [0.5, None], "codes": [["90"], []]}
    assert some.quality == {"speed": ["good", "stale"]}
    assert one.rows([]).columns() == {"speed": [], "codes": []}


def test_what_was_decoded_at_ingest_is_what_the_log_gives_back() -> None:
    moment = readings("elevator:1", [5], {"speed": [1.5], "codes": [["02"]]})
    gap = Gap(spool=SPOOL, stream="data", from_seq=1, to_seq=1, reason="test")
    logged = batch(moment, gap, moment, offset_ms=NOON_MS, placing="by_offset", set_aside=[2])
    handed_on = batch(moment, gap, moment, offset_ms=NOON_MS, placing="by_offset", set_aside=[2])
    handed_on.decoded([moment, gap])
    assert handed_on.readings() == logged.readings()
    assert [one.at for one in logged.readings()] == [[NOON_MS + 5]]


def test_sets_of_points_are_shared() -> None:
    first, _ = flattened({"speed": [1.0], "codes": [[]]})
    second, _ = flattened({"speed": [2.0], "codes": [["02"]]})
    assert first is second
