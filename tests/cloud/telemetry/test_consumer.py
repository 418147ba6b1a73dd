"""The consumer between log and store: order, retries, dead letters, lag."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cloud.model.logged import LoggedBatch, LogGroup, Positions
from cloud.telemetry.base import Refused, RefuseRecord, TelemetryStore
from cloud.telemetry.consumer import TelemetryConsumer
from cloud.telemetry.duckdb import DuckDbStore
from protocols.clock import ManualClock
from protocols.errors import RefuseInput, RetryLater
from tests.support.log_groups import DAY_MS, NOON_MS, batch, group, readings, single
from tests.support.telemetry_load import PARTITIONS, expected, load_group, stored

LIFT = "elevator:1"
Letter = tuple[int, int, int, str]


class ListLog:
    """A log in memory; groups before `first` were trimmed."""

    def __init__(self) -> None:
        self.groups: dict[str, list[LogGroup]] = {}

    def add(self, *groups: LogGroup) -> None:
        for one in groups:
            self.groups.setdefault(one.partition, []).append(one)

    def read(self, partition: str, after: int, limit: int) -> Sequence[LogGroup]:
        return [one for one in self.groups.get(partition, []) if one.position > after][:limit]

    def at_hand(self, partition: str, after: int, limit: int) -> Sequence[LogGroup] | None:
        return self.read(partition, after, limit)

    def heads(self) -> Positions:
        return {name: groups[-1].position for name, groups in self.groups.items() if groups}


class TrimmedLog(ListLog):
    """A log that knows its head and holds nothing any more."""

    def read(self, partition: str, after: int, limit: int) -> Sequence[LogGroup]:
        return []


class FussyStore:
    """A store that only keeps positions, and refuses what `judge` says."""

    def __init__(self, judge: Callable[[Sequence[LogGroup]], Exception | None]) -> None:
        self.judge = judge
        self.calls = 0
        self.away = 0
        self.kept: list[LogGroup] = []
        self.reached: Positions = {}
        self.rewound: list[Positions] = []

    def append(self, groups: Sequence[LogGroup]) -> Sequence[Refused]:
        self.calls += 1
        error = self.judge(groups)
        if error is not None:
            raise error
        self.kept += groups
        self.reached |= {one.partition: one.position for one in groups}
        return []

    def positions(self) -> Positions:
        return dict(self.reached)

    def settled(self) -> Positions:
        return dict(self.reached)

    def rewind(self, heads: Positions) -> None:
        if self.away:
            self.away -= 1
            raise RetryLater("away")
        self.rewound.append(heads)

    def __getattr__(self, name: str) -> object:  # the calls that a consumer never makes
        raise NotImplementedError(name)


@asynccontextmanager
async def running(
    log: ListLog,
    store: object,
    letters: list[Letter] | None = None,
    clock: ManualClock | None = None,
) -> AsyncIterator[TelemetryConsumer]:
    def keep(one: LogGroup, logged: LoggedBatch, index: int, reason: str) -> None:
        if letters is not None:
            letters.append((one.position, logged.seq, index, reason))

    assert isinstance(store, FussyStore | DuckDbStore)
    consumer = TelemetryConsumer(
        log=log,
        store=_as_store(store),
        clock=clock or ManualClock(NOON_MS),
        dead_letter=keep,
        flush_interval_s=0.02,
    )
    await consumer.start()
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await consumer.stop()


def _as_store(store: object) -> TelemetryStore:
    return store  # type: ignore[return-value]  # FussyStore answers only what is asked


async def until_idle(consumer: TelemetryConsumer) -> None:
    consumer.wake()
    async with asyncio.timeout(20):
        while consumer.lag_ms(NOON_MS + DAY_MS) > 0:
            await asyncio.sleep(0.005)


async def test_consumer_stores_both_partitions(tmp_path: Path) -> None:
    log, store = ListLog(), DuckDbStore(tmp_path, clock=ManualClock(NOON_MS))
    for position in range(1, 121):
        log.add(*(load_group(partition, position) for partition in PARTITIONS))
    async with running(log, store) as consumer:
        await until_idle(consumer)
        assert consumer.positions() == dict.fromkeys(PARTITIONS, 120)
    assert stored(store) == expected(120)
    store.close()


async def test_consumer_shows_what_is_settled_within_a_second(tmp_path: Path) -> None:
    log, store = ListLog(), DuckDbStore(tmp_path, clock=ManualClock(NOON_MS))
    async with running(log, store) as consumer:
        log.add(single(1, LIFT, NOON_MS, speed=1.0))
        consumer.wake()
        async with asyncio.timeout(1):
            while not store.readings(LIFT, [], NOON_MS, NOON_MS + 1, 1).points:
                await asyncio.sleep(0.01)
    store.close()


async def test_consumer_looks_by_itself_though_nobody_woke_it(tmp_path: Path) -> None:
    log, store = ListLog(), FussyStore(lambda groups: None)
    async with running(log, store) as consumer, asyncio.timeout(5):
        await asyncio.sleep(0.05)
        log.add(single(1, LIFT, NOON_MS, speed=1.0))
        while not store.kept:
            await asyncio.sleep(0.01)
        await until_idle(consumer)
        assert consumer.positions() == {"all/data": 1}


async def test_engine_that_is_away_is_asked_again_with_the_same(tmp_path: Path) -> None:
    errors: list[Exception] = [RetryLater("away")] * 2
    log, store = ListLog(), FussyStore(lambda groups: errors.pop() if errors else None)
    log.add(single(1, LIFT, NOON_MS, speed=1.0))
    letters: list[Letter] = []
    async with running(log, store, letters) as consumer:
        await until_idle(consumer)
    assert store.calls == 3
    assert [one.position for one in store.kept] == [1]
    assert letters == []


async def test_engine_that_is_away_at_the_start_learns_the_heads_later() -> None:
    log, store = ListLog(), FussyStore(lambda groups: None)
    store.away = 2
    log.add(single(1, LIFT, NOON_MS, speed=1.0))
    async with running(log, store) as consumer:
        await until_idle(consumer)
    assert store.rewound == [{"all/data": 1}], "before anything else, and once"
    assert [one.position for one in store.kept] == [1]


async def test_record_that_is_named_goes_to_the_dead_letters_alone() -> None:
    records = [readings(LIFT, [NOON_MS + n], {"speed": [float(n)]}) for n in range(4)]
    log = ListLog()
    log.add(group(1), group(2, batch(*records, seq=7)), group(3))

    def judge(groups: Sequence[LogGroup]) -> Exception | None:
        for one in groups:
            for logged in one.batches:
                bad = {1, 3}.difference(logged.set_aside)
                if bad:
                    return RefuseRecord(logged, min(bad), "poison")
        return None

    letters: list[Letter] = []
    store = FussyStore(judge)
    async with running(log, store, letters) as consumer:
        await until_idle(consumer)
        assert consumer.positions() == {"all/data": 3}
    assert [letter[:3] for letter in letters] == [(2, 7, 1), (2, 7, 3)]
    assert [len(one.batches[0].set_aside) for one in store.kept if one.batches] == [2]
    assert store.calls == 1 + 1 + (3 + 3 + 1) + 1, "all, first, three tries each, the rest, third"


async def test_group_that_fails_three_times_is_left_out_whole() -> None:
    log = ListLog()
    log.add(*(single(n, LIFT, NOON_MS, speed=1.0) for n in (1, 2, 3)))

    def judge(groups: Sequence[LogGroup]) -> Exception | None:
        bad = any(one.position == 2 and one.batches for one in groups)
        return RefuseInput("engine_refused", "no") if bad else None

    letters: list[Letter] = []
    store = FussyStore(judge)
    async with running(log, store, letters) as consumer:
        await until_idle(consumer)
    assert [letter[:3] for letter in letters] == [(2, 2, -1)]
    assert [one.position for one in store.kept] == [1, 2, 3]


async def test_error_that_nobody_foresaw_in_a_group_does_not_stop_it() -> None:
    log = ListLog()
    log.add(single(1, LIFT, NOON_MS, speed=1.0), single(2, LIFT, NOON_MS, speed=1.0))

    def judge(groups: Sequence[LogGroup]) -> Exception | None:
        return KeyError("bug") if groups[0].position == 1 and groups[0].batches else None

    letters: list[Letter] = []
    async with running(log, FussyStore(judge), letters) as consumer:
        await until_idle(consumer)
        assert consumer.positions() == {"all/data": 2}
    assert len(letters) == 1


async def test_readings_beyond_retention_go_to_the_dead_letters(tmp_path: Path) -> None:
    log, store = ListLog(), DuckDbStore(tmp_path, clock=ManualClock(NOON_MS), retention_days=10)
    log.add(single(1, LIFT, NOON_MS - 11 * DAY_MS, speed=1.0), single(2, LIFT, NOON_MS, speed=2.0))
    letters: list[Letter] = []
    async with running(log, store, letters) as consumer:
        await until_idle(consumer)
    assert letters == [(1, 1, 0, "older_than_retention")]
    store.close()


async def test_groups_that_the_log_no_longer_has_are_passed() -> None:
    log = TrimmedLog()
    log.add(single(9, LIFT, NOON_MS, speed=1.0))
    store = FussyStore(lambda groups: None)
    async with running(log, store) as consumer:
        await until_idle(consumer)
        assert consumer.positions() == {"all/data": 9}


async def test_log_that_was_put_back_is_told_to_the_store(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path, clock=ManualClock(NOON_MS))
    store.append([single(n, LIFT, NOON_MS + n, speed=float(n)) for n in (1, 2, 3)])
    log = ListLog()
    log.add(*(single(n, LIFT, NOON_MS + n, speed=float(n)) for n in (1, 2)))
    async with running(log, store) as consumer:
        log.add(single(3, LIFT, NOON_MS + 30, speed=30.0))
        await until_idle(consumer)
    found = store.readings(LIFT, [], NOON_MS, NOON_MS + 100, 10).points["speed"]
    assert [value for _, value in found] == [1.0, 2.0, 30.0]
    store.close()


async def test_lag_is_the_age_of_the_oldest_group_not_stored() -> None:
    clock, away = ManualClock(NOON_MS), [True]
    store = FussyStore(lambda groups: RetryLater("away") if away[0] else None)
    log = ListLog()
    async with running(log, store, clock=clock) as consumer:
        assert consumer.lag_ms(NOON_MS + 500) == 0
        log.add(single(1, LIFT, NOON_MS, speed=1.0), single(2, LIFT, NOON_MS, speed=1.0))
        clock.advance(60_000)
        consumer.wake()
        async with asyncio.timeout(5):
            while store.calls < 2:
                await asyncio.sleep(0.01)
        assert consumer.lag_ms(clock.wall_ms()) == 60_000
        away[0] = False
        async with asyncio.timeout(15):
            while consumer.lag_ms(clock.wall_ms()):
                await asyncio.sleep(0.01)
        assert consumer.positions() == {"all/data": 2}


async def test_stop_waits_for_the_flush_under_way(tmp_path: Path) -> None:
    log, store = ListLog(), DuckDbStore(tmp_path, clock=ManualClock(NOON_MS))
    for position in range(1, 41):
        log.add(load_group("all/data", position))
    async with running(log, store) as consumer:
        consumer.wake()
        await asyncio.sleep(0)
    store.close()
    store = DuckDbStore(tmp_path, clock=ManualClock(NOON_MS))
    reached = store.positions().get("all/data", 0)
    kept = sum(stored(store).values())
    assert (kept > 0) == (reached > 0)
    store.close()
