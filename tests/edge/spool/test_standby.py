"""A disk that takes nothing: the memory stands in, and all of it moves to the disk afterwards."""

import os
import random
from pathlib import Path

import pytest

from edge.batches import Batch, Draft, Key, Span
from edge.spool.memory import MemorySpool
from edge.spool.salvage import open_spool
from edge.spool.sqlite import SqliteSpool
from edge.spool.standby import LOOK_AGAIN_MS, STANDBY_AFTER_MS, StandbySpool
from protocols.clock import ManualClock
from protocols.errors import RetryLater, StopService
from protocols.topics import Stream
from tests.support.small_disk import small_disk

MIB = 1024 * 1024


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.rng = folder, ManualClock(), random.Random(4)
        self.broken = False
        self.spool = self.start()

    def start(self) -> StandbySpool:
        return StandbySpool(disk=self.disk, memory=self.memory, clock=self.clock)

    def disk(self) -> SqliteSpool:
        if self.broken:
            raise RetryLater("no card")
        return open_spool(
            self.folder,
            spool_id=os.urandom(16).hex(),
            boot_id="boot-1",
            clock=self.clock,
            bytes_max=8 * MIB,
        )

    def memory(self) -> MemorySpool:
        return MemorySpool(
            spool_id=os.urandom(16).hex(), boot_id="boot-1", clock=self.clock, bytes_max=MIB
        )

    def write(self, stream: Stream = "data", settled: tuple[Span, ...] = ()) -> Batch:
        draft = Draft(
            stream=stream,
            clock="synced",
            boot_id="boot-1",
            created_ms=1,
            from_at=1,
            to_at=2,
            records=1,
            records_raw=b'["%b"]' % self.rng.randbytes(100).hex().encode(),
        )
        return self.spool.append([draft], settled).batches[0]

    def standing_in(self) -> bool:
        return self.spool.in_memory

    def fail(self, failing: bool) -> None:
        disk = self.spool._disk
        assert isinstance(disk, SqliteSpool)
        # no page may be added: every commit that needs one ends in SQLITE_READONLY
        disk._rows._connection.execute(f"PRAGMA query_only={int(failing)}")

    def keys(self) -> set[Key]:
        return {
            Key(span.spool, span.stream, seq)
            for span in self.spool.held()
            for seq in range(span.low, span.high + 1)
        }


def test_disk_that_fails_under_way_is_done_without_and_taken_back(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    first = rig.write()
    rig.fail(True)
    with pytest.raises(RetryLater):
        rig.write()
    rig.clock.advance(STANDBY_AFTER_MS)
    second, alarm = rig.write(), rig.write("alarm")
    assert rig.standing_in()
    assert second.key.spool != first.key.spool
    assert rig.spool.load(first.key) == first
    assert rig.spool.load(alarm.key) == alarm
    rig.write(settled=(Span(first.key.spool, "data", 1, 1), Span(second.key.spool, "data", 1, 1)))
    rig.clock.advance(LOOK_AGAIN_MS)
    rig.write()
    assert rig.standing_in()
    rig.fail(False)
    rig.clock.advance(LOOK_AGAIN_MS)
    last = rig.write()
    assert not rig.standing_in()
    assert last.key.spool == first.key.spool
    before = rig.keys()
    assert first.key not in before
    assert second.key not in before
    assert alarm.key in before
    rig.spool.close()
    rig.spool = rig.start()
    assert rig.keys() == before
    assert rig.spool.load(alarm.key) == alarm
    rig.spool.close()


def test_disk_that_comes_only_later_takes_all_and_asks_for_a_new_start(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    old = rig.write()
    rig.spool.close()
    rig.broken = True
    rig.spool = rig.start()
    assert rig.standing_in()
    alarm = rig.write("alarm")
    rig.broken = False
    rig.clock.advance(LOOK_AGAIN_MS)
    with pytest.raises(StopService, match="back"):
        rig.write()
    last = rig.write()
    rig.spool.close()
    rig.spool = rig.start()
    assert {old.key, alarm.key, last.key} <= rig.keys()
    assert [rig.spool.load(one.key) for one in (old, alarm, last)] == [old, alarm, last]
    rig.spool.close()


def test_last_commit_of_a_stop_moves_to_a_disk_that_is_back(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.fail(True)
    with pytest.raises(RetryLater):
        rig.write()
    rig.clock.advance(STANDBY_AFTER_MS)
    alarm = rig.write("alarm")
    rig.fail(False)
    rig.spool.close()
    rig.spool = rig.start()
    assert rig.spool.load(alarm.key) == alarm
    rig.spool.close()


def test_file_damaged_under_way_is_salvaged_and_nothing_new_is_lost(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    old = [rig.write() for _ in range(50)]
    disk = rig.spool._disk
    assert isinstance(disk, SqliteSpool)
    disk._rows._connection.execute("DROP TABLE spool_history")
    new = rig.write("alarm")
    assert rig.standing_in()
    with pytest.raises(StopService):
        rig.write()
    rig.spool.close()
    rig.spool = rig.start()
    assert rig.spool.load(new.key) == new
    assert [rig.spool.load(one.key) for one in old] == old
    rig.spool.close()


def test_card_that_is_read_only_at_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "card", 4096) as disk:
        rig = Rig(disk.folder)
        old = rig.write()
        rig.spool.close()
        disk.writable(yes=False)
        rig.spool = rig.start()
        assert rig.standing_in()
        alarm = rig.write("alarm")
        disk.writable(yes=True)
        rig.clock.advance(LOOK_AGAIN_MS)
        with pytest.raises(StopService):
            rig.write()
        rig.spool.close()
        rig.spool = rig.start()
        assert {old.key, alarm.key} <= rig.keys()
        rig.spool.close()
