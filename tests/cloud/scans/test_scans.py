"""Scans are kept each once, whatever is read again, and are found by code, gateway and reader."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from cloud.model.database import Database
from cloud.model.follower import LogFollower
from cloud.model.logged import LogGroup, Positions
from cloud.model.scan import KeptScan
from cloud.scans.find import find_scans
from cloud.scans.store import MARK, NAME, keep_scans
from protocols.records import Code, Scan, Verdict
from tests.support.log_groups import NOON_MS, batch, group, readings
from tests.support.state_database import open_state


class ListLog:
    """A log in memory."""

    def __init__(self) -> None:
        self.groups: list[LogGroup] = []

    def read(self, partition: str, after: int, limit: int) -> Sequence[LogGroup]:
        return [one for one in self.groups if one.position > after][:limit]

    def at_hand(self, partition: str, after: int, limit: int) -> Sequence[LogGroup] | None:
        return None

    def heads(self) -> Positions:
        return {"all/data": self.groups[-1].position} if self.groups else {}


def scan(value: str, *, reader: str = "fill-1", findings: Sequence[str] = ()) -> Scan:
    return Scan(
        reader=reader,
        at=NOON_MS,
        codes=[Code("tag_uid", value), Code("raw", 'quote " and 罐\0')],
        step="filling",
        verdict=Verdict("do_not_fill", ["overdue"], "1"),
        operator="op-7",
        rssi_dbm=-55,
        findings=list(findings),
    )


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    one = open_state(database_url)
    yield one
    one.close()


def follower(log: ListLog, database: Database) -> LogFollower:
    return LogFollower(name=NAME, log=log, database=database, mark=MARK, keep=keep_scans)


async def followed(log: ListLog, database: Database) -> LogFollower:
    consumer = follower(log, database)
    await consumer.start()
    task = asyncio.create_task(consumer.run())
    async with asyncio.timeout(5):
        while consumer.read() != log.heads():
            await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return consumer


async def found(database: Database, **asked: str | int) -> list[KeptScan]:
    return await database.read(lambda c: find_scans(c, **asked))  # type: ignore[arg-type]


async def test_every_scan_is_kept_once_though_the_log_is_read_twice(database: Database) -> None:
    log = ListLog()
    speed = readings("elevator:1", [NOON_MS], {"speed": [1.0]})
    log.groups = [
        group(1, batch(scan("04A1"), speed, scan("04B2", findings=["incomplete_read"]), seq=1)),
        group(2, batch(speed, seq=2)),
        group(3, batch(scan("04C3", reader="gate-1"), seq=3, offset_ms=5, placing="unknown")),
    ]
    consumer = await followed(log, database)
    assert consumer.positions() == {"all/data": 3}
    first = await found(database)
    assert [one.codes[0].value for one in first] == ["04C3", "04B2", "04A1"]
    assert first[0].time_unknown
    assert first[0].observed_at == NOON_MS + 5
    assert first[1].findings == ["incomplete_read"]
    assert first[2].verdict == Verdict("do_not_fill", ["overdue"], "1")
    assert (first[2].operator, first[2].rssi_dbm, first[2].step) == ("op-7", -55, "filling")
    again = follower(log, database)
    await again._take("all/data", log.groups, 3)
    assert await found(database) == first


async def test_scans_are_found_by_code_gateway_reader_and_page(database: Database) -> None:
    log = ListLog()
    log.groups = [group(1, *(batch(scan(f"0{n}"), seq=n) for n in range(1, 8)))]
    log.groups.append(group(2, batch(scan("100%_", reader="gate-1"), seq=8)))
    await followed(log, database)
    assert [one.codes[0].value for one in await found(database, code="03")] == ["03"]
    assert [one.codes[0].value for one in await found(database, code="100%_")] == ["100%_"]
    assert await found(database, code="0%") == []
    assert await found(database, code='03"') == []
    assert len(await found(database, reader="gate-1")) == 1
    assert await found(database, gateway="gw-2") == []
    page = await found(database, limit=3)
    rest = await found(database, before_id=page[-1].id)
    assert len(page) + len(rest) == 8


async def test_a_log_that_was_put_back_or_trimmed_is_followed_all_the_same(
    database: Database,
) -> None:
    log = ListLog()
    log.groups = [group(n, batch(scan(f"0{n}"), seq=n)) for n in (1, 2, 3)]
    await followed(log, database)
    log.groups = [group(1, batch(scan("09"), seq=9))]
    consumer = follower(log, database)
    await consumer.start()
    assert consumer.positions() == {"all/data": 1}
