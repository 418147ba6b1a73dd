"""What is particular to the DuckDB store: its files, its sorting, its catalog's changes."""

import resource
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cloud.telemetry.day_files import files as files_module
from cloud.telemetry.day_files import layout
from cloud.telemetry.day_files.insert import commit_day
from cloud.telemetry.day_files.sorting import Sorter
from cloud.telemetry.duckdb import DuckDbStore
from protocols.clock import ManualClock
from protocols.errors import RetryLater, StopService
from protocols.readings import Value
from tests.support.log_groups import DAY_MS, NOON_MS, batch, group, readings, single
from tests.support.telemetry_load import expected, feed, stored

LIFT = "elevator:1"
HOUR_MS = 3600 * 1000
TODAY = "2025-11-24.duckdb"


def open_at(folder: Path, clock: ManualClock | None = None) -> DuckDbStore:
    return DuckDbStore(folder, clock=clock or ManualClock(NOON_MS))


def ask(folder: Path, query: str, name: str = TODAY) -> list[tuple[object, ...]]:
    """Look into a day file; the store must be closed."""
    with duckdb.connect(str(folder / name), read_only=True) as connection:
        rows: list[tuple[object, ...]] = connection.execute(query).fetchall()
        return rows


def test_one_file_per_utc_day(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    midnight = NOON_MS - DAY_MS // 2
    at = [midnight - 1, midnight]
    store.append([group(1, batch(readings(LIFT, at, {"speed": [1.0, 2.0]})))])
    store.close()
    assert sorted(path.name for path in tmp_path.glob("*.duckdb*")) == ["2025-11-23.duckdb", TODAY]
    assert ask(tmp_path, "SELECT _at, speed FROM arrival_wide_elevator") == [(midnight, 2.0)]


def test_qualities_are_kept_where_not_good(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    columns: dict[str, list[Value]] = {"speed": [1.0, None], "load_percent": [None, 2.0]}
    record = readings(LIFT, [NOON_MS, NOON_MS + 1], columns, {"speed": ["stale", "no_value"]})
    unknown = batch(
        readings(LIFT, [0], {"speed": [3.0], "odd": [4]}),
        offset_ms=NOON_MS + 9,
        placing="unknown",
        seq=2,
    )
    good = readings(LIFT, [NOON_MS + 5], {"speed": [1.0]})
    store.append([group(1, batch(record, good), unknown)])
    store.close()
    found = ask(tmp_path, "SELECT _at, _quality FROM arrival_wide_elevator ORDER BY _at")
    assert found == [
        (NOON_MS, '{"load_percent":"no_value","speed":"stale"}'),
        (NOON_MS + 1, '{"speed":"no_value"}'),
        (NOON_MS + 5, None),
        (NOON_MS + 9, '{"speed":"time_unknown"}'),
    ]
    extra = ask(tmp_path, "SELECT _point, _value, _quality FROM arrival_extra")
    assert extra == [("odd", "4", "time_unknown")]


def test_closed_hours_are_sorted_and_nothing_changes(tmp_path: Path) -> None:
    clock = ManualClock(NOON_MS)
    store = open_at(tmp_path, clock)
    feed(store, 30)
    before = stored(store)
    moved = store.sort_closed()
    assert moved > 0
    assert stored(store) == before == expected(30)
    assert store.sort_closed() == 0
    feed(store, 40)  # late history of hours that are sorted already
    assert store.sort_closed() > 0
    assert stored(store) == expected(40)
    store.close()
    assert ask(tmp_path, "SELECT count(*) FROM arrival_wide_elevator") == [(0,)]
    order = "SELECT _asset, _at, _sequence FROM sorted_wide_elevator"
    first_run = ask(tmp_path, f"{order} WHERE _sequence >> 24 <= 30")
    assert first_run == sorted(first_run)


def test_open_hour_is_left_until_it_is_closed(tmp_path: Path) -> None:
    clock = ManualClock(NOON_MS + 10 * 60_000)
    store = open_at(tmp_path, clock)
    store.append([single(1, LIFT, NOON_MS + 1, speed=1.0, odd=1)])
    assert store.sort_closed() == 0
    clock.advance(HOUR_MS)
    assert store.sort_closed() == 2
    store.close()


def test_unsorted_hours_of_an_earlier_run_are_sorted(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    store.append([single(1, LIFT, NOON_MS - 5 * HOUR_MS, speed=1.0)])
    store.close()
    store = open_at(tmp_path)
    assert store.sort_closed() == 1
    store.close()


def test_late_rows_wait_until_no_more_come(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    now_s = [1_000.0]
    sorter = Sorter(store._files, ManualClock(NOON_MS), monotonic=lambda: now_s[0])
    late_at = NOON_MS - 5 * HOUR_MS
    store.append([single(1, LIFT, late_at, speed=1.0)])
    sorter.touched(late_at // DAY_MS, late_at)
    now_s[0] += 30
    assert sorter.sort_closed() == 0
    now_s[0] += 31
    assert sorter.sort_closed() == 1
    store.close()


def test_sorting_runs_beside_inserts_and_queries(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    done = threading.Event()

    def sort() -> None:
        while not done.is_set():
            store.sort_closed()

    sorter = threading.Thread(target=sort)
    sorter.start()
    try:
        for last in range(5, 31, 5):
            feed(store, last)
            assert stored(store) == expected(last)
    finally:
        done.set()
        sorter.join()
    store.close()


def test_number_of_open_files_is_bounded(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    days = files_module.ATTACHED_MAX + 8
    at = [NOON_MS - n * DAY_MS for n in range(days)]
    store.append([group(1, batch(readings(LIFT, at, {"speed": [float(n) for n in range(days)]})))])
    assert len(store._files._attached) <= files_module.ATTACHED_MAX
    series = store.readings(LIFT, [], at[-1], NOON_MS + 1, 100)
    assert series.points["speed"] == [(at[n], float(n)) for n in reversed(range(days))]
    assert len(store._files._attached) <= files_module.ATTACHED_MAX
    store.close()
    assert not list(tmp_path.glob("*.wal"))


def test_catalog_that_learned_points_reads_older_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = layout.layouts()
    older = {"elevator": {"speed": today["elevator"]["speed"]}}
    with monkeypatch.context() as patch:
        patch.setattr("cloud.telemetry.duckdb.layouts", lambda: older)
        store = open_at(tmp_path)
        store.append([single(1, LIFT, NOON_MS, speed=1.0, door_zone=True)])
        store.close()
    store = open_at(tmp_path)
    store.append([single(2, LIFT, NOON_MS + 1, speed=2.0, door_zone=False)])
    assert store.readings(LIFT, [], NOON_MS, NOON_MS + 2, 10).points == {
        "speed": [(NOON_MS, 1.0), (NOON_MS + 1, 2.0)],
        "door_zone": [(NOON_MS, True), (NOON_MS + 1, False)],
    }
    store.close()


def test_catalog_that_changed_a_type_keeps_the_column_of_older_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("cloud.telemetry.duckdb.layouts", lambda: {"elevator": {"speed": "BIGINT"}})
        store = open_at(tmp_path)
        store.append([single(1, LIFT, NOON_MS, speed=1)])
        store.close()
    store = open_at(tmp_path)
    store.append([single(2, LIFT, NOON_MS + 1, speed=2.5)])
    found = store.readings(LIFT, [], NOON_MS, NOON_MS + 2, 10).points
    assert found == {"speed": [(NOON_MS, 1), (NOON_MS + 1, 2.5)]}
    store.close()


def test_closed_store_asks_to_retry(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    store.append([single(1, LIFT, NOON_MS, speed=1.0)])
    store.close()
    store.close()
    with pytest.raises(RetryLater):
        store.append([single(2, LIFT, NOON_MS, speed=1.0)])
    with pytest.raises(RetryLater):
        store.readings(LIFT, [], NOON_MS, NOON_MS + 1, 10)


def test_times_that_no_calendar_has_are_refused(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    refused = store.append([single(1, LIFT, 2**52, speed=1.0)])
    assert [one.reason for one in refused] == ["impossible_time"]
    assert store.positions() == {"all/data": 1}
    store.close()


def test_rewound_rows_are_set_aside_as_parquet(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    store.append([single(n, LIFT, NOON_MS + n, speed=float(n), odd=n) for n in (1, 2)])
    store.rewind({"all/data": 1})
    store.close()
    kept = sorted((tmp_path / "damaged").glob("*.parquet"))
    assert len(kept) == 2, "one of the wide, one of the narrow table"
    query = f"SELECT _at FROM read_parquet('{kept[0]}')"
    rows = duckdb.connect().execute(query).fetchall()
    assert rows == [(NOON_MS + 2,)]


@pytest.mark.parametrize("count", [1, 5])
def test_whole_day_of_one_lift_in_pages(tmp_path: Path, count: int) -> None:
    store = open_at(tmp_path)
    at = [NOON_MS + n * 5_000 for n in range(1_000)]
    record = readings(LIFT, at, {"speed": [float(n) for n in range(1_000)]})
    store.append([group(1, batch(record))])
    seen, start, pages = [], NOON_MS, 0
    while True:
        series = store.readings(LIFT, ["speed"], start, NOON_MS + DAY_MS, 1_000 // count)
        seen += series.points["speed"]
        pages += 1
        if series.next is None:
            break
        start = series.next
    assert seen == list(zip(at, map(float, range(1_000)), strict=True))
    assert pages == count
    store.close()


@pytest.mark.parametrize("error", [duckdb.IOException, duckdb.FatalException])
def test_commit_that_seemed_to_fail_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    store = open_at(tmp_path)
    store.append([single(1, LIFT, NOON_MS, speed=1.0)])

    def commit_and_fail(*args: Any, **kwargs: Any) -> None:
        commit_day(*args, **kwargs)
        raise error("checkpoint failed")

    two = single(2, LIFT, NOON_MS + 1, speed=2.0)
    with monkeypatch.context() as patch:
        patch.setattr("cloud.telemetry.duckdb.commit_day", commit_and_fail)
        with pytest.raises(RetryLater):
            store.append([two])
    for _ in range(2):
        with suppress(RetryLater):
            store.append([two])
    assert store.positions() == {"all/data": 2}
    found = store.readings(LIFT, [], NOON_MS, NOON_MS + 9, 10).points
    assert found == {"speed": [(NOON_MS, 1.0), (NOON_MS + 1, 2.0)]}
    store.close()


def test_full_disk_asks_to_retry_and_loses_nothing(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    feed(store, 5)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # files can grow no further
    try:
        with pytest.raises(RetryLater):
            feed(store, 60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    for _ in range(3):
        with suppress(RetryLater):
            feed(store, 60)
    assert stored(store) == expected(60)
    store.close()
    store = open_at(tmp_path)
    assert stored(store) == expected(60)
    store.close()


def test_folder_belongs_to_one_store(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    with pytest.raises(StopService, match="in use"):
        open_at(tmp_path)
    store.close()
    open_at(tmp_path).close()
