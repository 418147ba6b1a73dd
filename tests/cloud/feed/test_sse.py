"""The feed as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from cloud.feed import sse
from cloud.feed.sse import stream
from cloud.feed.store import FeedStore
from cloud.model.database import Database
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from tests.support.feed_items import FeedWriter
from tests.support.retention import DAY_MS, carry_out
from tests.support.state_database import open_state


class Reader:
    """A listener; takes events apart."""

    def __init__(self, events: AsyncIterator[str]) -> None:
        self.events = events

    async def next(self) -> tuple[int, str, str]:
        async with asyncio.timeout(5):
            text = await anext(self.events)
        lines = text.split("\n")
        assert lines[3:] == ["", ""]
        keys, values = zip(*(line.split(": ", 1) for line in lines[:3]), strict=True)
        assert keys == ("id", "event", "data")
        return int(values[0]), values[1], values[2]

    async def next_item(self) -> tuple[int, str]:
        while True:
            offset, event, data = await self.next()
            if event != "heartbeat":
                return offset, data


class Stage:
    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, ManualClock()
        self.feed, self.stopping = FeedStore(database, self.clock), asyncio.Event()

    async def append(self, *data: str) -> None:
        for one in data:
            await self.database.write(
                lambda connection, one=one: self.feed.append(connection, "alarm", one)  # type: ignore[misc]
            )
        self.feed.committed()

    def listen(self, after: int | None, heartbeat_s: float = 10) -> Reader:
        return Reader(
            stream(
                self.feed,
                after=after,
                heartbeat_s=heartbeat_s,
                lag_ms=lambda: 42,
                stopping=self.stopping,
            )
        )


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    database = open_state(database_url)
    yield Stage(database)
    database.close()


async def test_stream_replays_then_follows(stage: Stage) -> None:
    await stage.append("a", "b")
    reader = stage.listen(0)
    assert await reader.next() == (1, "alarm", "a")
    assert await reader.next() == (2, "alarm", "b")
    offset, event, data = await reader.next()
    assert (offset, event) == (2, "heartbeat")
    assert msgspec.json.decode(data) == {"offset": 2, "oldest_unprocessed_ms": 42}
    await stage.append("c")
    assert await reader.next() == (3, "alarm", "c")


async def test_stream_resumes_after_what_was_seen_without_loss_or_repeat(stage: Stage) -> None:
    await stage.append(*(str(n) for n in range(1, 31)))
    await stage.feed.load()
    seen: list[int] = []
    while len(seen) < 30:
        reader = stage.listen(seen[-1] if seen else 0)
        seen += [(await reader.next_item())[0] for _ in range(3)]
    assert seen == list(range(1, 31))


async def test_live_stream_begins_with_a_heartbeat_and_what_comes_next(stage: Stage) -> None:
    await stage.append("old")
    reader = stage.listen(None)
    assert (await reader.next())[:2] == (1, "heartbeat")
    await stage.append("new")
    assert await reader.next() == (2, "alarm", "new")


async def test_heartbeat_comes_while_nothing_happens(stage: Stage) -> None:
    reader = stage.listen(None, heartbeat_s=0.02)
    events = [await reader.next() for _ in range(4)]
    assert [event for _, event, _ in events] == ["heartbeat"] * 4


async def test_heartbeat_comes_during_a_long_replay(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "READ_LIMIT", 2)
    await stage.append(*(str(n) for n in range(20)))
    reader = stage.listen(0, heartbeat_s=0.0)
    events = [(await reader.next())[1] for _ in range(9)]
    assert events == ["alarm", "alarm", "heartbeat"] * 3


async def test_offset_older_than_kept_is_gone(stage: Stage) -> None:
    await stage.append("a", "b", "c", "d")
    stage.clock.advance(91 * DAY_MS)
    await carry_out(stage.database, stage.clock, after={"feed": stage.feed.load})
    with pytest.raises(RefuseInput) as caught:
        stage.listen(1)
    assert caught.value.reason == "gone"
    assert (await stage.listen(3).next_item()) == (4, "d")
    assert (await stage.listen(0).next_item()) == (4, "d")  # the beginning of what is kept


async def test_offset_never_given_out_is_gone(stage: Stage) -> None:
    await stage.append("a")
    await stage.feed.load()
    with pytest.raises(RefuseInput, match="gone"):
        stage.listen(2)


async def test_stopping_ends_the_stream_at_once(stage: Stage) -> None:
    reader = stage.listen(None, heartbeat_s=60)
    await reader.next()
    waiting = asyncio.ensure_future(anext(reader.events))
    await asyncio.sleep(0.01)
    stage.stopping.set()
    async with asyncio.timeout(1):
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_reader_that_goes_away_leaves_nothing_behind(stage: Stage) -> None:
    before = len(asyncio.all_tasks())
    reader = stage.listen(None, heartbeat_s=60)
    await reader.next()
    waiting = asyncio.ensure_future(anext(reader.events))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before


async def test_rescues_go_out_and_resume_as_alarms_do(stage: Stage) -> None:
    write = FeedWriter(stage.database, stage.clock)
    await write.alarm(1)
    await write.incident(1)
    await write.incident(1, change="verify", state="verified")
    await stage.feed.load()
    reader = stage.listen(0)
    found = [await reader.next() for _ in range(3)]
    assert [(offset, event) for offset, event, _ in found] == [
        (1, "alarm"),
        (2, "incident"),
        (3, "incident"),
    ]
    assert msgspec.json.decode(found[2][2])["state"] == "verified"
    resumed = stage.listen(2)
    assert (await resumed.next())[:2] == (3, "incident")
