"""Engines that run as servers of their own: killed, empty, silent and away, and back again."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from cloud.telemetry.base import TelemetryStore
from cloud.telemetry.remote import link
from protocols.clock import ManualClock
from protocols.errors import RetryLater
from tests.support.log_groups import NOON_MS, single
from tests.support.telemetry_engines import (
    EngineServer,
    InfluxDbServer,
    VictoriaMetricsServer,
    missing_for,
)
from tests.support.telemetry_load import PARTITIONS, expected, feed, load_group, open_at, stored

LIFT = "elevator:1"
SERVERS: dict[str, type[InfluxDbServer] | type[VictoriaMetricsServer]] = {
    "influxdb": InfluxDbServer,
    "victoriametrics": VictoriaMetricsServer,
}
Opener = Callable[[], TelemetryStore]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EngineServer]:
    """A server of the test's own."""
    kind = SERVERS[request.param]
    missing = missing_for(kind)
    if missing:
        pytest.skip(missing)
    one = kind(tmp_path / "server")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON_MS)


@pytest.fixture
def open_store(server: EngineServer, tmp_path: Path, clock: ManualClock) -> Iterator[Opener]:
    url, opened = server.new_url(), list[TelemetryStore]()

    def open_one() -> TelemetryStore:
        opened.append(open_at(url, tmp_path / "unused", clock))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def feed_patiently(store: TelemetryStore, last: int, pause_s: float = 0) -> int:
    """Feed as the consumer does: after RetryLater go on from `positions`; returns the retries."""
    retries = top = 0
    while top < last:
        try:
            feed(store, top + 5)
            top += 5
        except RetryLater:
            retries += 1
        time.sleep(pause_s)
    return retries


@contextmanager
def feeding(store: TelemetryStore, last: int) -> Iterator[list[int]]:
    """Feed beside the block for some seconds; it gets the number of retries in the end."""
    retries: list[int] = []
    thread = threading.Thread(target=lambda: retries.append(feed_patiently(store, last, 0.05)))
    thread.start()
    yield retries
    thread.join(60)
    assert not thread.is_alive()


def test_kills_of_the_engine_lose_and_double_nothing(
    server: EngineServer, open_store: Opener
) -> None:
    store = open_store()
    with feeding(store, 490) as retries:
        for pause_s in (0.5, 0.7, 0.1, 0.8):
            time.sleep(pause_s)
            server.kill()
            time.sleep(0.05)
            server.start()
    assert retries[0] >= 1, "the load was over before the kills"
    assert store.positions() == dict.fromkeys(PARTITIONS, 490)
    assert stored(store) == expected(490)


def test_kill_while_nobody_writes_is_noticed(
    server: EngineServer, open_store: Opener, clock: ManualClock
) -> None:
    store = open_store()
    feed(store, 30)
    server.kill()
    server.start()
    clock.advance(6_000)
    feed_patiently(store, 30)
    assert store.positions() == dict.fromkeys(PARTITIONS, 30)
    assert stored(store) == expected(30)


def test_engine_away_is_told_and_comes_back(server: EngineServer, open_store: Opener) -> None:
    store = open_store()
    feed(store, 10)
    server.kill()
    for _ in range(5):
        with pytest.raises(RetryLater):
            store.append([single(11, LIFT, NOON_MS, speed=1.0)])
        with pytest.raises(RetryLater):
            store.readings(LIFT, [], NOON_MS, NOON_MS + 1, 10)
    store.drop_before(NOON_MS - 10**10)
    server.start()
    feed_patiently(store, 20)
    assert stored(store) == expected(20)


def test_engine_away_at_the_start_of_the_service(server: EngineServer, open_store: Opener) -> None:
    server.kill()
    store = open_store()
    for call in (store.positions, lambda: store.rewind({})):
        with pytest.raises(RetryLater):
            call()
    server.start()
    store.rewind({})
    feed(store, 5)
    assert stored(store) == expected(5)


def test_silent_engine_holds_nobody_for_long(
    server: EngineServer, open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "READ_S", 0.3)
    store = open_store()
    feed(store, 5)
    for pid in server.pids:
        os.kill(pid, SIGSTOP)
        _wait_until_stopped(pid)
    try:
        started = time.monotonic()
        with pytest.raises(RetryLater):
            store.append([load_group("all/data", 6)])
        store.close()
        assert time.monotonic() - started < 5
    finally:
        for pid in server.pids:
            os.kill(pid, SIGCONT)
    again = open_store()
    feed_patiently(again, 10)
    assert stored(again) == expected(10)


def _wait_until_stopped(pid: int) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0]
            for task in Path(f"/proc/{pid}/task").iterdir()
        ]
        if set(states) == {"T"}:
            return
        time.sleep(0.01)
    raise TimeoutError(f"{pid} does not stop: {states}")


def test_engine_that_comes_back_empty_is_filled_from_the_log(
    server: EngineServer, open_store: Opener, clock: ManualClock
) -> None:
    store = open_store()
    feed(store, 10)
    server.kill()
    server.wipe()
    server.start()
    clock.advance(6_000)
    with pytest.raises(RetryLater):
        store.append([single(11, LIFT, NOON_MS, speed=1.0, partition="all/data")])
    feed_patiently(store, 20)
    assert stored(store) == expected(20)


def test_settled_survives_a_kill(
    server: EngineServer, open_store: Opener, clock: ManualClock
) -> None:
    store = open_store()
    feed(store, 10)
    store.close()  # which brings all to the disk
    store = open_store()
    assert store.positions() == store.settled() == dict.fromkeys(PARTITIONS, 10)
    assert stored(store) == expected(10)
    store.close()  # once more, for the marks that were written after the data
    server.kill()
    server.start()
    store = open_store()
    feed_patiently(store, 10)
    assert stored(store) == expected(10)


def test_log_may_forget_only_what_is_settled(
    open_store: Opener, clock: ManualClock, server: EngineServer
) -> None:
    store = open_store()
    feed(store, 10)
    late = isinstance(server, VictoriaMetricsServer)
    assert store.settled() == dict.fromkeys(PARTITIONS, 0 if late else 10)
    clock.advance(59_000)
    feed(store, 20)
    assert store.settled() == dict.fromkeys(PARTITIONS, 0 if late else 20)
    for _ in range(26):
        clock.advance(5_000)
        store.positions()
    assert store.settled() == dict.fromkeys(PARTITIONS, 20)


def test_store_that_only_reads_follows_the_writer(open_store: Opener, clock: ManualClock) -> None:
    writer, reader = open_store(), open_store()
    writer.append([single(n, LIFT, NOON_MS + n, speed=float(n)) for n in (1, 2, 3)])

    def seen() -> list[int]:
        series = reader.readings(LIFT, ["speed"], NOON_MS, NOON_MS + 100, 10)
        return [at - NOON_MS for at, _ in series.points["speed"]]

    assert seen() == [1, 2, 3]
    writer.rewind({"all/data": 2})
    writer.append([single(3, LIFT, NOON_MS + 10, speed=9.0)])
    clock.advance(60_000)
    deadline = time.monotonic() + 3  # another process's readings show within about a second
    while seen() != [1, 2, 10] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert seen() == [1, 2, 10]


def test_victoriametrics_that_forgets_too_early_is_refused(
    tmp_path: Path, clock: ManualClock
) -> None:
    if missing := missing_for(VictoriaMetricsServer):
        pytest.skip(missing)
    server = VictoriaMetricsServer(tmp_path / "server", "-retentionPeriod=12")
    server.start()
    try:
        store = open_at(server.new_url(), tmp_path, clock, retention_days=400)
        with pytest.raises(RetryLater, match="-retentionPeriod=400d"):
            store.positions()
        store.close()
    finally:
        server.stop()


def test_series_beyond_the_bound_of_influxdb_wait_for_the_operator(
    tmp_path: Path, clock: ManualClock
) -> None:
    if missing := missing_for(InfluxDbServer):
        pytest.skip(missing)
    server = InfluxDbServer(tmp_path / "server", values_per_tag_max=2)
    server.start()
    try:
        store = open_at(server.new_url(), tmp_path, clock)
        groups = [single(n, f"elevator:{n}", NOON_MS, speed=1.0) for n in range(1, 5)]
        store.append(groups[:3])
        with pytest.raises(RetryLater, match="max-values-per-tag"):
            store.append(groups)
        assert store.positions() == {"all/data": 3}
        store.close()
    finally:
        server.stop()
