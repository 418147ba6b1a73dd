"""What every telemetry store must do, whatever engine holds it.

An engine joins by a line in `ENGINES` and a server in conftest.py. What an engine cannot keep
is told by a trait of its own there, not by a weaker test here.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud.model.logged import LogGroup
from cloud.telemetry.base import Aggregate, RefuseRecord, Series, TelemetryStore
from cloud.telemetry.duckdb import DuckDbStore
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from protocols.readings import Value
from tests.support.log_groups import DAY_MS, NOON_MS, batch, group, readings, single
from tests.support.telemetry_engines import EngineServer
from tests.support.telemetry_load import PARTITIONS, expected, feed, open_at, stored

LIFT = "elevator:1"
MIDNIGHT_MS = NOON_MS + DAY_MS // 2
Opener = Callable[[], TelemetryStore]


@dataclass(frozen=True)
class Traits:
    """What an engine is known not to keep; its tests expect just that, and no less."""

    float_digits: int = 17
    """Significant digits of a float that come back; 17: every float exactly."""
    text_bytes_max: int = 1_000_000
    """A longer text is refused, and told."""
    settles_late: bool = False
    """A kill of the engine loses its last seconds: after a kill of the service too, positions
    are those of a minute ago, and the log is read again from there."""


ENGINES: dict[str, Traits] = {
    "duckdb": Traits(),
    "influxdb": Traits(text_bytes_max=60_000),
    "victoriametrics": Traits(float_digits=12, text_bytes_max=1_000, settles_late=True),
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON_MS)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def traits(engine: str) -> Traits:
    return ENGINES[engine]


@pytest.fixture
def url(request: pytest.FixtureRequest, engine: str) -> str:
    """A place of the test's own."""
    if engine == "duckdb":
        return ""
    server: EngineServer = request.getfixturevalue(f"{engine}_server")
    return server.new_url()


@pytest.fixture
def open_store(url: str, tmp_path: Path, clock: ManualClock) -> Iterator[Opener]:
    """Opens the store of one place; closing the one before is the test's affair."""
    opened: list[TelemetryStore] = []

    def open_one() -> TelemetryStore:
        opened.append(open_at(url, tmp_path / "telemetry", clock))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def store(open_store: Opener) -> TelemetryStore:
    return open_store()


def raw(store: TelemetryStore, *points: str, asset: str = LIFT, limit: int = 10_000) -> Series:
    return store.readings(asset, points, NOON_MS - 40 * DAY_MS, NOON_MS + 40 * DAY_MS, limit)


def steps(
    store: TelemetryStore, how: Aggregate, step_ms: int, length_ms: int, point: str = "speed"
) -> list[tuple[int, Value]]:
    """Ask for one point from noon on; times in the answer count from noon."""
    series = store.aggregate(LIFT, [point], NOON_MS, NOON_MS + length_ms, step_ms, how)
    assert series.next is None
    return [(at - NOON_MS, value) for at, value in series.points.get(point, [])]


# --- appending, positions ---------------------------------------------------------------------


def test_append_makes_readings_visible_at_once(store: TelemetryStore) -> None:
    store.append([single(1, LIFT, NOON_MS, speed=1.75)])
    assert raw(store).points == {"speed": [(NOON_MS, 1.75)]}
    assert store.positions() == {"all/data": 1}


def test_append_keeps_readings_of_many_shapes_apart(store: TelemetryStore) -> None:
    """Each record names other points; every third first moment has a null."""
    names = ("speed", "load_percent", "motor_current", "energy_meter", "door_zone", "car_position")
    kinds = dict(zip(names, (float, float, float, float, bool, int), strict=True))
    expected: dict[str, list[tuple[int, Value]]] = {name: [] for name in names}
    records = []
    for number in range(1, 2 ** len(names)):
        chosen = [name for bit, name in enumerate(names) if number >> bit & 1]
        if number % 2:
            chosen.reverse()
        at = [NOON_MS + 2 * number, NOON_MS + 2 * number + 1]
        columns: dict[str, list[Value]] = {}
        for name in chosen:
            columns[name] = [kinds[name](number + 0.5), kinds[name](number % 2)]
            if number % 3 == 0:
                columns[name][0] = None
            pairs = zip(at, columns[name], strict=True)
            expected[name] += [(moment, value) for moment, value in pairs if value is not None]
        records.append(readings(LIFT, at, columns))
    store.append([group(1, batch(*records))])
    assert raw(store).points == expected


def test_append_of_the_same_group_again_changes_nothing(store: TelemetryStore) -> None:
    first, second = (single(n, LIFT, NOON_MS + n, speed=float(n)) for n in (1, 2))
    store.append([first, second])
    store.append([first])
    store.append([first, second])
    assert raw(store).points == {"speed": [(NOON_MS + 1, 1.0), (NOON_MS + 2, 2.0)]}
    assert store.positions() == {"all/data": 2}


def test_append_keeps_partitions_apart(store: TelemetryStore) -> None:
    store.append([single(7, LIFT, NOON_MS, fault_code="E01", partition="all/alarm")])
    store.append([single(3, LIFT, NOON_MS, speed=1.0, partition="all/data")])
    assert store.positions() == {"all/alarm": 7, "all/data": 3}
    assert raw(store).points == {"fault_code": [(NOON_MS, "E01")], "speed": [(NOON_MS, 1.0)]}


def test_append_of_groups_without_readings_moves_positions(store: TelemetryStore) -> None:
    store.append([group(1), group(2)])
    assert store.positions() == {"all/data": 2}


def test_append_leaves_out_what_the_ingester_set_aside(store: TelemetryStore) -> None:
    records = [readings(LIFT, [NOON_MS + n], {"speed": [float(n)]}) for n in range(3)]
    store.append([group(1, batch(*records, set_aside=[1]))])
    assert raw(store).points == {"speed": [(NOON_MS, 0.0), (NOON_MS + 2, 2.0)]}


def test_append_of_a_batch_over_midnight_keeps_both_sides(open_store: Opener) -> None:
    store = open_store()
    at = [MIDNIGHT_MS - 1, MIDNIGHT_MS, MIDNIGHT_MS + 1]
    over = group(1, batch(readings(LIFT, at, {"speed": [1.0, 2.0, 3.0]})))
    store.append([over])
    store.close()
    store = open_store()
    store.append([over])
    assert raw(store).points == {"speed": pairs(at, [1.0, 2.0, 3.0])}


def test_append_of_late_history_goes_to_its_own_day(store: TelemetryStore) -> None:
    store.append([single(1, LIFT, NOON_MS, speed=3.0)])
    late = [NOON_MS - 9 * DAY_MS, NOON_MS - 3 * DAY_MS, NOON_MS - 1]
    store.append([group(2, batch(readings(LIFT, late, {"speed": [0.0, 1.0, 2.0]})))])
    assert raw(store).points == {"speed": pairs([*late, NOON_MS], [0.0, 1.0, 2.0, 3.0])}


def test_append_reports_what_is_older_than_retention(store: TelemetryStore) -> None:
    at = [NOON_MS - 31 * DAY_MS, NOON_MS]
    old = group(
        1,
        batch(
            readings(LIFT, [NOON_MS], {"speed": [1.0]}),
            readings(LIFT, at, {"load_percent": [5.0, 6.0]}),
        ),
    )
    refused = store.append([old])
    assert [(one.group.position, one.index) for one in refused] == [(1, 1)]
    assert refused[0].reason == "older_than_retention"
    assert raw(store).points == {"speed": [(NOON_MS, 1.0)], "load_percent": [(NOON_MS, 6.0)]}
    assert not store.append([old]), "reported once"


def test_time_unknown_is_placed_where_the_ingester_said(store: TelemetryStore) -> None:
    record = readings(LIFT, [5_000, 6_000], {"speed": [1.0, 2.0]})
    placed = batch(record, offset_ms=NOON_MS - 6_000, placing="unknown")
    store.append([group(1, placed)])
    assert raw(store).points == {"speed": [(NOON_MS - 1_000, 1.0), (NOON_MS, 2.0)]}


def test_positions_survive_close_and_open(open_store: Opener) -> None:
    store = open_store()
    feed(store, 20)
    store.close()
    store = open_store()
    assert store.positions() == dict.fromkeys(PARTITIONS, 20)
    assert stored(store) == expected(20)


def test_rewind_forgets_what_the_log_forgot(open_store: Opener) -> None:
    store = open_store()
    store.append([single(n, LIFT, NOON_MS + n, speed=float(n)) for n in (1, 2, 3)])
    store.rewind({"all/data": 2})
    assert store.positions() == {"all/data": 2}
    store.append([single(3, LIFT, NOON_MS + 10, speed=9.0)])
    store.close()
    store = open_store()
    assert store.positions() == {"all/data": 3}
    assert [at - NOON_MS for at, _ in raw(store).points["speed"]] == [1, 2, 10]


def test_rewind_and_the_same_reading_again_shows_it_once(open_store: Opener) -> None:
    store = open_store()
    store.append([single(n, LIFT, NOON_MS + n, speed=float(n), odd=n) for n in (1, 2, 3)])
    store.rewind({"all/data": 1})
    store.append([single(2, LIFT, NOON_MS + 3, speed=3.0), single(3, LIFT, NOON_MS + 4, odd=4)])
    store.rewind({"all/data": 2})
    store.append([single(3, LIFT, NOON_MS + 2, speed=2.0)])
    for _ in range(2):
        series = raw(store)
        assert series.points["speed"] == [(NOON_MS + n, float(n)) for n in (1, 2, 3)]
        assert series.points["odd"] == [(NOON_MS + 1, 1)]
        store.close()
        store = open_store()


def test_rewind_finds_what_a_killed_service_left(open_store: Opener) -> None:
    killed = open_store()
    killed.append([single(n, LIFT, NOON_MS + n, speed=float(n)) for n in (1, 2, 3)])
    if isinstance(killed, DuckDbStore):
        killed.close()  # its files belong to one process; it writes nothing in the end
    store = open_store()
    store.rewind({"all/data": 2})
    reached = store.positions()["all/data"]
    assert reached <= 2
    again = [single(n, LIFT, NOON_MS + n, speed=float(n)) for n in (1, 2)]
    store.append([*again[reached:], single(3, LIFT, NOON_MS + 10, speed=9.0)])
    assert [at - NOON_MS for at, _ in raw(store).points["speed"]] == [1, 2, 10]


def test_rewind_to_an_unknown_log_keeps_everything(store: TelemetryStore) -> None:
    store.append([single(1, LIFT, NOON_MS, speed=1.0)])
    store.rewind({})
    store.append([single(1, LIFT, NOON_MS + 1, speed=2.0)])
    assert raw(store).points == {"speed": [(NOON_MS, 1.0), (NOON_MS + 1, 2.0)]}


# --- values -----------------------------------------------------------------------------------

VALUES: list[tuple[str, Value]] = [
    ("service_mode", "inspection"),
    ("service_mode", "a word nobody knows"),
    ("service_mode", 3),
    ("door_zone", True),
    ("door_zone", 1),
    ("door_zone", "open"),
    ("car_position", -2),
    ("car_position", "B1"),
    ("car_position", 2**63 - 1),
    ("car_position", -(2**63)),
    ("car_position", 2**63),
    ("car_position", True),
    ("car_position", 3.0),
    ("present_counter_value", 2**53 + 1),
    ("speed", 1.75),
    ("speed", 2),
    ("speed", 2.0),
    ("speed", -0.0),
    ("speed", 0.1 + 0.2),
    ("speed", 5e-324),
    ("speed", 2**53 + 1),
    ("speed", -(2**53)),
    ("speed", False),
    ("message_code", ["01", "90"]),
    ("message_code", []),
    ("message_code", ["entrapment"]),
    ("message_code", "90"),
    ("fault_code", "E1'; DROP TABLE mark; --"),
    ("fault_code", 'quote " back \\ nul \x00 电梯 🛗'),
    ("fault_code", ""),
    ("fault_code", 12),
    ("unheard_of", 10**60),
    ("unheard_of", 1e300),
    ("unheard_of", ["a"]),
    ("unheard_of", "null"),
    ("unheard_of", "true"),
]


@pytest.mark.parametrize("asset", [LIFT, "mystery:x.y-z_1"])
def test_values_come_back_exactly(store: TelemetryStore, traits: Traits, asset: str) -> None:
    records = [
        readings(asset, [NOON_MS + n], {name: [value]}) for n, (name, value) in enumerate(VALUES)
    ]
    store.append([group(1, batch(*records))])
    series = raw(store, asset=asset).points
    found = sorted((at, name, value) for name, column in series.items() for at, value in column)
    got = [(name, value, type(value)) for _, name, value in found]
    sent = [(name, rounded(value, traits.float_digits), type(value)) for name, value in VALUES]
    assert got == sent
    assert repr(got) == repr(sent), "also the sign of zero"


def rounded(value: Value, digits: int) -> Value:
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


@pytest.mark.parametrize("size", [300, 5_000, 100_000])
def test_a_text_is_kept_or_its_record_is_named(
    store: TelemetryStore, traits: Traits, size: int
) -> None:
    texts = ["E01", "电梯" + "x" * size]
    records = [readings(LIFT, [NOON_MS + n], {"code": [text]}) for n, text in enumerate(texts)]
    logged = batch(*records)
    if size < traits.text_bytes_max:
        store.append([group(1, logged)])
        assert raw(store).points["code"] == [(NOON_MS + n, text) for n, text in enumerate(texts)]
        return
    with pytest.raises(RefuseRecord) as caught:
        store.append([group(1, logged)])
    assert (caught.value.batch, caught.value.index) == (logged, 1)
    assert raw(store).points == {}


def test_null_and_left_out_are_both_left_out_of_readings(store: TelemetryStore) -> None:
    at = [NOON_MS, NOON_MS + 1]
    record = readings(
        LIFT,
        at,
        {"speed": [None, 1.0], "unheard_of": [2, None], "load_percent": [None, None]},
        {"speed": ["no_value", "good"]},
    )
    store.append([group(1, batch(record, readings(LIFT, [NOON_MS + 2], {"speed": [2.0]})))])
    assert raw(store).points == {
        "speed": [(NOON_MS + 1, 1.0), (NOON_MS + 2, 2.0)],
        "unheard_of": [(NOON_MS, 2)],
    }


def test_readings_of_one_time_in_two_streams_are_joined(store: TelemetryStore) -> None:
    store.append(
        [
            single(1, LIFT, NOON_MS, speed=1.0),
            single(1, LIFT, NOON_MS, fault_code="E01", partition="all/alarm"),
        ]
    )
    assert raw(store).points == {"speed": [(NOON_MS, 1.0)], "fault_code": [(NOON_MS, "E01")]}


# --- questions --------------------------------------------------------------------------------


def test_readings_bounds_are_from_included_to_excluded(store: TelemetryStore) -> None:
    store.append([single(n + 1, LIFT, NOON_MS + n, speed=float(n)) for n in range(4)])
    series = store.readings(LIFT, ["speed"], NOON_MS + 1, NOON_MS + 3, 10)
    assert series.points == {"speed": [(NOON_MS + 1, 1.0), (NOON_MS + 2, 2.0)]}
    assert store.readings(LIFT, ["speed"], NOON_MS + 3, NOON_MS + 3, 10).points == {}
    assert store.readings(LIFT, ["speed"], NOON_MS + 3, NOON_MS, 10).points == {}


def test_readings_of_chosen_points_leave_out_the_others(store: TelemetryStore) -> None:
    store.append([single(1, LIFT, NOON_MS, speed=1.0, load_percent=2.0, odd=3, even=4)])
    assert raw(store, "speed", "odd", "absent").points == {
        "speed": [(NOON_MS, 1.0)],
        "odd": [(NOON_MS, 3)],
    }


def test_readings_of_an_unknown_asset_are_empty(store: TelemetryStore) -> None:
    store.append([single(1, LIFT, NOON_MS, speed=1.0)])
    assert raw(store, asset="elevator:2") == Series(points={})
    assert raw(store, asset="nothing:2") == Series(points={})


def pairs(at: Sequence[int], values: Sequence[Value]) -> list[tuple[int, Value]]:
    return list(zip(at, values, strict=True))


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_cut_answers_go_on_with_next(store: TelemetryStore, limit: int) -> None:
    at = [MIDNIGHT_MS + 1_000 * n for n in range(-5, 5)]
    columns: dict[str, list[Value]] = {
        "speed": [float(n) for n in at],
        "door_zone": [True] * 10,
        "odd": list(at),
    }
    store.append([group(1, batch(readings(LIFT, at, columns)))])
    found: dict[str, list[tuple[int, Value]]] = {}
    start: int | None = at[0]
    while start is not None:
        series = store.readings(LIFT, [], start, at[-1] + 1, limit)
        taken = sum(map(len, series.points.values()))
        assert 0 < taken <= max(limit, 3) or series.next is None
        for name, column in series.points.items():
            found.setdefault(name, []).extend(column)
        assert series.next is None or series.next > start
        start = series.next
    assert found == {name: pairs(at, col) for name, col in columns.items()}


@pytest.mark.parametrize(
    "text",
    ["speed' OR '1'='1", 'speed" FROM x; --', "speed,_asset", "_asset", "%", "elevator:1' --"],
)
def test_names_are_never_part_of_a_query(store: TelemetryStore, text: str) -> None:
    store.append([single(1, LIFT, NOON_MS, speed=1.0)])
    assert raw(store, text).points == {}
    assert raw(store, asset=text).points == {}
    for how in ("mean", "last"):
        assert store.aggregate(LIFT, [text], NOON_MS, NOON_MS + 10, 5, how).points == {}
        assert store.aggregate(text, ["speed"], NOON_MS, NOON_MS + 10, 5, how).points == {}
    assert raw(store).points == {"speed": [(NOON_MS, 1.0)]}


def test_mean_is_weighted_by_time(store: TelemetryStore) -> None:
    at = [NOON_MS, NOON_MS + 9_000]
    store.append([group(1, batch(readings(LIFT, at, {"speed": [1.0, 3.0]})))])
    assert steps(store, "mean", 10_000, 10_000) == [(0, 1.2)]
    assert steps(store, "mean", 5_000, 15_000) == [(0, 1.0), (5_000, 1.4), (10_000, 3.0)]


def test_mean_carries_the_value_before_in(store: TelemetryStore) -> None:
    at = [NOON_MS - 60_000, NOON_MS + 5_000]
    store.append([group(1, batch(readings(LIFT, at, {"speed": [1.0, 3.0]})))])
    assert steps(store, "mean", 10_000, 10_000) == [(0, 2.0)]
    assert steps(store, "mean", 2_000, 6_000) == [(0, 1.0), (2_000, 1.0), (4_000, 2.0)]


def test_mean_holds_over_days_without_readings(store: TelemetryStore) -> None:
    at = [NOON_MS - 2 * DAY_MS, NOON_MS + 3 * DAY_MS]
    store.append([group(1, batch(readings(LIFT, at, {"speed": [2.0, 4.0]})))])
    found = steps(store, "mean", 2 * DAY_MS, 6 * DAY_MS)
    assert found == [(0, 2.0), (2 * DAY_MS, 3.0), (4 * DAY_MS, 4.0)]
    assert store.aggregate(
        LIFT, ["speed"], NOON_MS + DAY_MS, NOON_MS + DAY_MS + 10, 10, "mean"
    ).points == {"speed": [(NOON_MS + DAY_MS, 2.0)]}


def test_mean_has_no_value_before_the_first_one(store: TelemetryStore) -> None:
    store.append([single(1, LIFT, NOON_MS + 15_000, speed=3.0)])
    assert steps(store, "mean", 10_000, 30_000) == [(10_000, 3.0), (20_000, 3.0)]


def test_mean_across_midnight_joins_both_days(store: TelemetryStore) -> None:
    at = [MIDNIGHT_MS - 5_000, MIDNIGHT_MS + 5_000]
    store.append([group(1, batch(readings(LIFT, at, {"speed": [1.0, 2.0]})))])
    series = store.aggregate(LIFT, [], MIDNIGHT_MS - 5_000, MIDNIGHT_MS + 15_000, 20_000, "mean")
    assert series.points == {"speed": [(MIDNIGHT_MS - 5_000, 1.5)]}


def test_mean_of_booleans_is_the_share_of_true(store: TelemetryStore) -> None:
    at = [NOON_MS, NOON_MS + 2_500]
    store.append([group(1, batch(readings(LIFT, at, {"door_zone": [True, False]})))])
    assert steps(store, "mean", 10_000, 10_000, "door_zone") == [(0, 0.25)]


def test_mean_ends_at_a_value_that_is_no_number(store: TelemetryStore) -> None:
    at = [NOON_MS, NOON_MS + 1_000, NOON_MS + 4_000]
    store.append([group(1, batch(readings(LIFT, at, {"car_position": [2, "B1", 8]})))])
    found = steps(store, "mean", 5_000, 15_000, "car_position")
    assert found == [(0, 5.0), (5_000, 8.0), (10_000, 8.0)]


def test_min_max_last_and_count_by_step(store: TelemetryStore) -> None:
    at = [NOON_MS + n for n in (0, 1_000, 9_999, 10_000, 35_000)]
    column: list[Value] = [5, 1.5, 3, 7, 2]
    store.append([group(1, batch(readings(LIFT, at, {"speed": column})))])
    assert steps(store, "min", 10_000, 40_000) == [(0, 1.5), (10_000, 7), (30_000, 2)]
    assert steps(store, "max", 10_000, 40_000) == [(0, 5), (10_000, 7), (30_000, 2)]
    assert steps(store, "last", 10_000, 40_000) == [(0, 3), (10_000, 7), (30_000, 2)]
    assert steps(store, "count", 10_000, 40_000) == [(0, 3), (10_000, 1), (30_000, 1)]


def test_last_and_count_of_words_and_of_mixed_types(store: TelemetryStore) -> None:
    at = [NOON_MS, NOON_MS + 1_000, NOON_MS + 2_000]
    columns: dict[str, list[Value]] = {
        "service_mode": ["normal", "inspection", 4],
        "car_position": ["B1", 12, 3],
        "message_code": [[], ["90"], ["90", "01"]],
    }
    store.append([group(1, batch(readings(LIFT, at, columns)))])
    for name, column in columns.items():
        assert steps(store, "last", 5_000, 5_000, name) == [(0, column[-1])]
        assert steps(store, "count", 5_000, 5_000, name) == [(0, 3)]
    assert steps(store, "max", 5_000, 5_000, "car_position") == [(0, 12)]
    assert steps(store, "min", 5_000, 5_000, "car_position") == [(0, 3)]
    assert steps(store, "max", 5_000, 5_000, "message_code") == []


def test_aggregates_join_several_days_in_one_step(store: TelemetryStore) -> None:
    at = [NOON_MS + n * DAY_MS for n in range(4)]
    store.append([group(1, batch(readings(LIFT, at, {"speed": [3.0, 9.0, 1.0, 4.0]})))])
    week = 7 * DAY_MS
    assert steps(store, "min", week, week) == [(0, 1.0)]
    assert steps(store, "max", week, week) == [(0, 9.0)]
    assert steps(store, "last", week, week) == [(0, 4.0)]
    assert steps(store, "count", week, week) == [(0, 4)]


def test_aggregate_of_all_points_names_those_with_values(store: TelemetryStore) -> None:
    store.append([single(1, LIFT, NOON_MS, speed=1.0, service_mode="normal", odd=5)])
    series = store.aggregate(LIFT, [], NOON_MS, NOON_MS + 10, 10, "count")
    assert series.points == {name: [(NOON_MS, 1)] for name in ("speed", "service_mode", "odd")}


def test_aggregate_refuses_a_step_of_nothing(store: TelemetryStore) -> None:
    with pytest.raises(RefuseInput):
        store.aggregate(LIFT, [], NOON_MS, NOON_MS + 10, 0, "mean")


# --- retention --------------------------------------------------------------------------------


def test_drop_before_forgets_whole_days_only(open_store: Opener) -> None:
    store = open_store()
    store.append(
        [single(n + 1, LIFT, NOON_MS - (3 - n) * DAY_MS, speed=float(n)) for n in range(4)]
    )
    store.drop_before(NOON_MS - DAY_MS)
    assert [value for _, value in raw(store).points["speed"]] == [2.0, 3.0]
    store.close()
    store = open_store()
    assert [value for _, value in raw(store).points["speed"]] == [2.0, 3.0]
    assert store.positions() == {"all/data": 4}


def test_drop_before_keeps_positions_though_every_day_goes(open_store: Opener) -> None:
    store = open_store()
    store.append([single(5, LIFT, NOON_MS, speed=1.0)])
    store.drop_before(NOON_MS + 2 * DAY_MS)
    assert raw(store).points == {}
    store.close()
    store = open_store()
    assert store.positions() == {"all/data": 5}
    refused = store.append([single(6, LIFT, NOON_MS, speed=1.0)])
    assert len(refused) == 1, "a day that was dropped does not come back"


# --- several threads, kills -------------------------------------------------------------------


def test_queries_run_beside_inserts(store: TelemetryStore) -> None:
    done, counts = threading.Event(), []

    def ask() -> None:
        while not done.is_set():
            counts.append(sum(stored(store).values()))

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        feed(store, 40)
    finally:
        done.set()
        reader.join()
    assert counts == sorted(counts), "what was seen once is seen again"
    assert stored(store) == expected(40)


def test_what_is_appended_shows_within_a_second(store: TelemetryStore) -> None:
    feed(store, 30)
    started = time.monotonic()
    store.append([single(31, LIFT, NOON_MS + 12_345, speed=1.0)])
    series = store.readings(LIFT, ["speed"], NOON_MS + 12_345, NOON_MS + 12_346, 10)
    assert series.points == {"speed": [(NOON_MS + 12_345, 1.0)]}
    assert time.monotonic() - started < 1


def test_kills_lose_and_double_nothing(
    open_store: Opener, url: str, tmp_path: Path, traits: Traits
) -> None:
    last = 400
    for kill_after in (1, 7, 20, 3, 33):
        _write_and_kill(url, tmp_path / "telemetry", last, kill_after)
    store = open_store()
    reached = store.positions()
    top = max(reached.values(), default=0)
    if traits.settles_late:
        assert top == 0, "no minute has passed by the clock of the tests"
    else:
        assert all(reached[name] >= 1 + 7 + 20 + 3 + 33 for name in PARTITIONS)
    feed(store, last)  # a writer that is killed late has written more than it had time to say
    assert stored(store) == expected(last)


def _write_and_kill(url: str, folder: Path, last: int, lines: int) -> None:
    """Let a process write; kill it at some moment after it has told so many positions."""
    program = ("-m", "tests.support.telemetry_load")
    command = [sys.executable, *program, url, str(folder), str(last)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline().strip().isdigit()
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    assert process.returncode == -signal.SIGKILL


def test_groups_may_come_again_from_any_lower_position(store: TelemetryStore) -> None:
    feed(store, 12)
    again: list[LogGroup] = [single(1, LIFT, NOON_MS, speed=99.0), single(2, LIFT, NOON_MS)]
    store.append(again[:1])
    assert stored(store) == expected(12)
