"""The log: order, reading back, trimming."""

import pytest

from cloud.log import store
from cloud.log.store import LogStore
from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.logged import LoggedBatch, LogGroup


def _batch(seq: int) -> LoggedBatch:
    return LoggedBatch(
        gateway="gw-1",
        spool="a" * 32,
        stream="data",
        seq=seq,
        boot_id="b",
        clock="synced",
        received_at=seq,
        records_raw=b'[{"kind":"status","at":%d,"uptime_s":1}]' % seq,
    )


class Box:
    """A log that can be opened again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.open()

    def open(self) -> None:
        self.database = Database(self.url, name="log")
        migrate(self.database.engine, "log")
        self.log = LogStore(self.database)

    def reopen(self) -> None:
        self.database.close()
        self.open()

    def add(self, seq: int, partition: str = "all/data") -> LogGroup:
        keys = [("gw-1", "a" * 32, "data", seq, seq * 7)]
        made = self.database.write_now(
            lambda c: self.log.append(c, [(partition, [_batch(seq)], keys)], seq)
        )
        self.log.committed(made)
        return made[0]


@pytest.fixture
def box(database_url: str) -> Box:
    return Box(database_url)


def test_append_counts_positions_by_partition(box: Box) -> None:
    box.add(1)
    box.add(2)
    box.add(3, "all/alarm")
    assert box.log.heads() == {"all/data": 2, "all/alarm": 1}
    box.database.close()


@pytest.mark.parametrize("again", [False, True])
def test_read_returns_groups_in_order(box: Box, again: bool) -> None:
    made = [box.add(seq) for seq in range(1, 8)]
    if again:
        box.reopen()
    assert list(box.log.read("all/data", 2, 3)) == made[2:5]
    assert list(box.log.read("all/data", 7, 3)) == []
    assert list(box.log.read("all/other", 0, 3)) == []
    box.database.close()


def test_append_rolled_back_leaves_no_hole(box: Box) -> None:
    def fail(connection: object) -> None:
        box.log.append(connection, [("all/data", [_batch(1)], [])], 1)  # type: ignore[arg-type]
        raise KeyError

    with pytest.raises(KeyError):
        box.database.write_now(fail)
    assert box.add(2).position == 1
    box.database.close()


@pytest.mark.parametrize("most", [1, 4, 500])
async def test_trim_keeps_what_a_consumer_needs(
    box: Box, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "TRIM_GROUPS_MAX", most)
    for seq in range(1, 11):
        box.add(seq)
    assert await box.log.trim(100, [{"all/data": 8}, {"all/data": 4}]) == 4
    assert await box.log.trim(100, [{"all/data": 8}, {}]) == 0
    assert await box.log.trim(6, [{"all/data": 10}]) == 1
    box.reopen()
    assert [group.position for group in box.log.read("all/data", 0, 99)] == [6, 7, 8, 9, 10]
    box.database.close()


async def test_trim_to_nothing_goes_on_counting(box: Box) -> None:
    box.add(1)
    box.add(2)
    assert await box.log.trim(100, [{"all/data": 2}]) == 2
    box.reopen()
    assert box.add(3).position == 3
    box.database.close()


def test_late_keys_oldest_first(box: Box) -> None:
    for seq in range(1, 4):
        box.add(seq)
    box.reopen()
    assert [key[3:] for key in box.log.late_keys("all/data")] == [(1, 7), (2, 14), (3, 21)]
    box.database.close()
