"""A real disk that fills up under a running spool: alarms are written, data give way, declared."""

import os
import random
from pathlib import Path

from edge.batches import Batch, Draft, Key
from edge.spool.reserve import FILE as RESERVE_FILE
from edge.spool.salvage import open_spool
from edge.spool.sqlite import RESERVE_AGAIN_MS, SqliteSpool
from protocols.clock import ManualClock
from protocols.ranges import RangeSet
from protocols.topics import Stream
from tests.support.small_disk import SmallDisk, small_disk

MIB = 1024 * 1024


class Card:
    """A spool on a small disk, and all that was ever committed to it."""

    def __init__(self, disk: SmallDisk) -> None:
        self.disk, self.clock, self.rng = disk, ManualClock(), random.Random(3)
        self.written: dict[Key, Batch] = {}
        self.spool = self.start()

    def start(self) -> SqliteSpool:
        return open_spool(
            self.disk.folder,
            spool_id=os.urandom(16).hex(),
            boot_id="boot-1",
            clock=self.clock,
            bytes_max=16 * MIB,
        )

    def restart(self) -> None:
        self.spool.close()
        self.spool = self.start()

    def write(self, count: int, stream: Stream = "data", size: int = 2000) -> list[Key]:
        keys: list[Key] = []
        for _ in range(count):
            self.clock.advance(100)
            draft = Draft(
                stream=stream,
                clock="synced",
                boot_id="boot-1",
                created_ms=1,
                from_at=1,
                to_at=2,
                records=1,
                records_raw=b'["%b"]' % self.rng.randbytes(size // 2).hex().encode(),
            )
            made = self.spool.append([draft])
            self.written.update({batch.key: batch for batch in made.batches})
            keys += [batch.key for batch in made.batches]
        return keys

    def check(self) -> None:
        """Every batch is there as it was written, or declared lost."""
        declared: dict[tuple[str, str], RangeSet] = {}
        for one in self.spool.declared():
            assert one.lost.to_seq is not None
            ranges = declared.setdefault((one.lost.spool, one.lost.stream), RangeSet())
            ranges.add(one.lost.from_seq, one.lost.to_seq)
        for key, batch in self.written.items():
            loaded = self.spool.load(key)
            if loaded is None:
                assert key.seq in declared[key.spool, key.stream], key
                assert key.stream == "data"
            else:
                assert loaded == batch


def test_alarms_are_written_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "card", 8 * 1024) as disk:
        card = Card(disk)
        card.write(1000)
        disk.fill()
        for _ in range(20):
            card.write(1, "alarm", 300)
            card.write(50)
            disk.fill()  # whatever becomes free is gone at once
        card.check()
        card.restart()  # as it was committed: it is still there, the disk as full as before
        alarms = [key for key in card.written if key.stream == "alarm"]
        assert all(card.spool.load(key) for key in alarms)
        card.write(1, "alarm", 300)
        card.check()
        card.spool.close()


def test_disk_full_of_other_things_still_has_the_reserve(tmp_path: Path) -> None:
    with small_disk(tmp_path / "card", 4 * 1024) as disk:
        card = Card(disk)
        disk.fill()
        for _ in range(10):
            card.write(10)
            card.write(5, "alarm", 300)
            disk.fill()
        card.check()
        card.spool.close()


def test_bound_and_reserve_return_with_the_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "card", 8 * 1024) as disk:
        card = Card(disk)
        normal = card.spool._rows_bytes_max
        disk.fill()
        card.write(300)
        assert card.spool._rows_bytes_max < normal
        assert not (disk.folder / RESERVE_FILE).exists()
        disk.empty()
        card.clock.advance(RESERVE_AGAIN_MS)
        card.write(1)
        assert card.spool._rows_bytes_max == normal
        assert (disk.folder / RESERVE_FILE).exists()
        card.check()
        card.spool.close()


def test_spool_starts_on_a_disk_that_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "card", 4 * 1024) as disk:
        card = Card(disk)
        card.write(200)
        card.spool.close()
        disk.fill()
        card.spool = card.start()
        card.write(20, "alarm", 300)
        card.check()
        card.spool.close()
