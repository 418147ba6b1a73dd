"""Grouping of commits, deletions along with them, and a disk that takes nothing for a while."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.batches import Batch, Committed, Draft, Key, Lost, Span
from edge.spool.base import Spool
from edge.spool.salvage import open_spool
from edge.spool.writer import SpoolWriter
from protocols.clock import SystemClock
from protocols.errors import RetryLater
from protocols.topics import Stream


class Inbox:
    """Drafts, due when the test says so."""

    def __init__(self) -> None:
        self.due: int | None = None
        self.drafts: list[Draft] = []

    def due_ms(self) -> int | None:
        return self.due

    def take(self, *, everything: bool = False) -> list[Draft]:
        taken, self.drafts, self.due = self.drafts, [], None
        return taken


class Book:
    """What is settled and lost, and what was committed."""

    def __init__(self) -> None:
        self.settled: list[Span] = []
        self.lost: list[Lost] = []
        self.batches: list[Batch] = []
        self.made: list[Committed] = []
        self.deleted: list[Span] = []

    def has_settled(self) -> bool:
        return bool(self.settled)

    def has_lost(self) -> bool:
        return bool(self.lost)

    def take_settled(self) -> list[Span]:
        taken, self.settled = self.settled, []
        return taken

    def take_lost(self) -> list[Lost]:
        taken, self.lost = self.lost, []
        return taken

    def committed(self, made: Committed, deleted: Sequence[Span] = ()) -> None:
        self.made.append(made)
        self.batches += made.batches
        self.deleted += deleted

    def not_committed(self, deleted: Sequence[Span], lost: Sequence[Lost]) -> None:
        self.settled[:0] = deleted
        self.lost[:0] = lost


class FullDisk:
    """A spool whose disk can be full."""

    def __init__(self, inner: Spool) -> None:
        self.inner, self.full = inner, False
        self.load = inner.load
        self.close = inner.close

    def append(
        self, drafts: Sequence[Draft], settled: Sequence[Span] = (), lost: Sequence[Lost] = ()
    ) -> Committed:
        if self.full:
            raise RetryLater("full")
        return self.inner.append(drafts, settled, lost)


class Rig:
    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        self.spool = open_spool(
            folder,
            spool_id=os.urandom(16).hex(),
            boot_id="boot-1",
            clock=self.clock,
            bytes_max=2**24,
        )
        self.disk = FullDisk(self.spool)
        self.inbox, self.book = Inbox(), Book()
        self.changed = asyncio.Event()
        self.writer = SpoolWriter(
            self.disk,  # type: ignore[arg-type]  # as much of a spool as the writer needs
            drafts=self.inbox,
            settlements=self.book,
            clock=self.clock,
            on_committed=self.changed.set,
        )

    def put(self, count: int = 1, stream: Stream = "data", size: int = 10, in_ms: int = 0) -> None:
        for _ in range(count):
            self.inbox.drafts.append(
                Draft(
                    stream=stream,
                    clock="synced",
                    boot_id="boot-1",
                    created_ms=1,
                    from_at=1_764_000_000_000,
                    to_at=1_764_000_000_001,
                    records=1,
                    records_raw=b"[%b]" % (b"1" * size),
                )
            )
        self.inbox.due = self.clock.boot_ms() + in_ms
        self.writer.changed()

    async def until(self, check: Callable[[], object], timeout_s: float = 5) -> None:
        async with asyncio.timeout(timeout_s):
            while not check():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Rig]:
    rig = Rig(folder)
    task = asyncio.create_task(rig.writer.run())
    await asyncio.sleep(0)
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.wait([task])
        await rig.writer.flush()
        await rig.writer.close()


async def test_commit_when_due_and_sooner_when_something_sooner_comes(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.put(in_ms=60_000)
        await asyncio.sleep(0.05)
        assert rig.book.batches == []
        rig.put(stream="alarm")
        await rig.until(lambda: len(rig.book.batches) == 2)
        assert rig.writer.counters["commits"] == 1


async def test_deletions_ride_on_the_next_commit(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.put(3)
        await rig.until(lambda: rig.book.batches)
        span = Span(rig.spool.id, "data", 1, 2)
        rig.book.settled = [span]
        rig.writer.changed()
        await asyncio.sleep(0.05)
        assert rig.writer.counters["commits"] == 1
        rig.put()
        await rig.until(lambda: rig.book.deleted)
        assert rig.writer.counters["commits"] == 2
        assert [(one.low, one.high) for one in rig.spool.held()] == [(3, 4)]


async def test_deletions_alone_get_a_commit_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.spool.writer.DELETE_IDLE_MS", 50)
    async with running(tmp_path) as rig:
        rig.put()
        await rig.until(lambda: rig.book.batches)
        rig.book.settled = [Span(rig.spool.id, "data", 1, 1)]
        rig.writer.changed()
        await rig.until(lambda: rig.book.deleted)
        assert rig.spool.held() == []


async def test_losses_are_declared_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.book.lost = [
            Lost(spool="ab" * 16, stream="data", from_seq=1, to_seq=2, reason="card_replaced")
        ]
        rig.writer.changed()
        await rig.until(lambda: rig.book.made)
        assert rig.book.made[0].declared[0].lost.from_seq == 1


async def test_batch_that_cannot_be_read_is_declared(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.put()
        await rig.until(lambda: rig.book.batches)
        key = rig.book.batches[0].key
        assert await rig.writer.load(key) == rig.book.batches[0]
        connection = rig.spool._rows._connection
        connection.execute("UPDATE batch SET body = x'00'")
        assert await rig.writer.load(Key(key.spool, key.stream, key.seq)) is None
        rig.writer.changed()
        await rig.until(lambda: len(rig.book.made) > 1)
        assert rig.book.made[-1].declared[0].lost.reason == "damaged"


async def test_full_disk_keeps_alarms_and_newest_data_and_declares_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.spool.writer.RETRY_MS", 20)
    monkeypatch.setattr("edge.spool.writer.UNWRITTEN_BYTES_MAX", 5_000)
    async with running(tmp_path) as rig:
        rig.disk.full = True
        rig.book.settled = [Span(rig.spool.id, "data", 1, 1)]
        rig.put(stream="alarm", size=1000)
        async with asyncio.timeout(5):
            while not rig.writer.counters["commits_failed"]:
                await asyncio.sleep(0.005)
        rig.put(10, size=1000)
        async with asyncio.timeout(5):
            while rig.writer.counters["drafts_dropped"] < 7:
                await asyncio.sleep(0.005)
        assert rig.book.settled  # given back
        rig.disk.full = False
        await rig.until(lambda: rig.book.batches)
        streams = [batch.key.stream for batch in rig.book.batches]
        assert streams == ["alarm", "data", "data", "data", "alarm"]  # the last tells of the loss
        (told,) = rig.book.made[0].declared
        assert (told.lost.from_seq, told.lost.records, told.lost.reason) == (1, 7, "not_written")
        assert rig.writer.failing is None
    assert "not written" in caplog.text
