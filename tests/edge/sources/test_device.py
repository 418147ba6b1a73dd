"""A device source survives whatever its device does; faults are played by a scripted driver."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import pytest

from edge.sources.base import Emitted, Gone, Recognised, Scanned, Seen, TagGone, TagSeen, TextSeen
from edge.sources.device import DeviceSource
from edge.sources.presence import Presence
from edge.sources.scans import TagScans, TextScans
from protocols.clock import SystemClock
from protocols.errors import RetryLater
from protocols.records import Code

Step = Sequence[Seen] | Exception


class Scripted:
    """Plays a list of answers, then waits."""

    def __init__(self, steps: list[Step], closed: list[int]) -> None:
        self._steps, self._closed = steps, closed
        self.counters = {"bad_checksum": 1}

    def read(self) -> Sequence[Seen]:
        if not self._steps:
            time.sleep(0.01)
            return ()
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        if not step:
            time.sleep(0.002)
        return step

    def close(self) -> None:
        self._closed.append(1)


def tag(uid: bytes, *, complete: bool = True) -> TagSeen:
    return TagSeen(key=uid, technology="type2", uid=uid, complete=complete)


def by_uid(seen: TagSeen) -> Recognised:
    assert seen.uid is not None
    return Recognised(
        (Code("tag_uid", seen.uid.hex()),), () if seen.complete else ("incomplete_read",)
    )


def as_text(raw: bytes) -> Recognised:
    return Recognised((Code("raw", raw.decode()),) if raw else (), () if raw else ("empty",))


async def played(
    sessions: list[list[Step] | Exception],
    *,
    text: bool = False,
    away_ms: int = 60_000,
    until: Callable[[], bool],
) -> tuple[list[Scanned], DeviceSource, list[int]]:
    closed: list[int] = []

    def open_driver() -> Scripted:
        session: list[Step] | Exception = sessions.pop(0) if sessions else RetryLater("gone")
        if isinstance(session, Exception):
            raise session
        return Scripted(session, closed)

    scans = TextScans(reader="r", step="s", recognise=as_text)
    tags = TagScans(reader="r", step="s", recognise=by_uid, presence=Presence(away_ms))
    source = DeviceSource(
        name="r",
        kind="pcsc",
        device="x",
        open_driver=open_driver,
        handler=scans if text else tags,
        clock=SystemClock(),
        rng=random.Random(1),
    )
    told: list[Scanned] = []

    def emit(one: Emitted) -> None:
        if isinstance(one, Gone):
            return
        assert isinstance(one, Scanned)
        told.append(one)

    task = asyncio.create_task(source.run(emit))
    async with asyncio.timeout(5):
        while not until():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return told, source, closed


async def test_a_device_that_breaks_is_opened_again_and_the_tag_on_it_told_once() -> None:
    sessions: list[list[Step] | Exception] = [
        RetryLater("not there"),
        [[tag(b"\1")], RetryLater("unplugged")],
        RetryLater("not there"),
        [[tag(b"\1")], [tag(b"\2")]],
    ]
    told, source, closed = await played(sessions, until=lambda: not sessions)
    assert [one.codes[0].value for one in told] == ["01", "02"]
    counters = source.status()["counters"]
    assert (counters["device_opens"], counters["device_failures"]) == (2, 1)
    assert counters["bad_checksum"] == 2
    assert len(closed) == 2
    assert source.status()["link"] == "down"


async def test_a_torn_read_is_a_record_and_so_is_the_whole_one_that_follows() -> None:
    sessions: list[list[Step] | Exception] = [
        [[tag(b"\1", complete=False)], [tag(b"\1", complete=False)], [tag(b"\1")], [tag(b"\1")]],
    ]
    told, source, _ = await played(sessions, until=lambda: not sessions)
    assert [one.findings for one in told] == [("incomplete_read",), ()]
    assert source.status()["counters"]["finding_incomplete_read"] == 1


async def test_a_tag_that_left_and_came_back_is_told_twice() -> None:
    sessions: list[list[Step] | Exception] = [
        [[tag(b"\1")], [TagGone(b"\1")], *[()] * 5, [tag(b"\1")]]
    ]
    told, _, _ = await played(sessions, until=lambda: not sessions, away_ms=0)
    assert len(told) == 2


async def test_every_text_is_a_reading_and_one_without_codes_is_counted() -> None:
    sessions: list[list[Step] | Exception] = [
        [[TextSeen(b"690"), TextSeen(b"690")], [TextSeen(b"")]]
    ]
    told, source, _ = await played(sessions, text=True, until=lambda: not sessions)
    assert [one.codes[0].value for one in told] == ["690", "690"]
    assert source.status()["counters"]["scans_unread"] == 1
