"""The durable feed: offsets in commit order, never used twice."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import Connection

from cloud.feed.store import NEWS_MAX, READ_LIMIT_MAX, FeedStore
from cloud.model.database import Database, savepoint
from protocols.clock import ManualClock
from tests.support.retention import DAY_MS, carry_out
from tests.support.state_database import open_state


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


async def _append(database: Database, feed: FeedStore, *data: str) -> list[int]:
    offsets = await database.write(
        lambda connection: [feed.append(connection, "alarm", one) for one in data]
    )
    feed.committed()
    return offsets


async def test_items_are_read_in_order_after_an_offset(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    assert await _append(database, feed, "a", "b") == [1, 2]
    assert await _append(database, feed, "c") == [3]
    assert [(one.offset, one.data) for one in await feed.read(1)] == [(2, "b"), (3, "c")]
    assert [one.offset for one in await feed.read(0, limit=2)] == [1, 2]
    assert await feed.read(3) == []
    assert feed.head == 3


async def test_offset_is_not_used_again_after_trim_and_restart(database: Database) -> None:
    clock = ManualClock()
    feed = FeedStore(database, clock)
    await _append(database, feed, "a", "b", "c")
    clock.advance(91 * DAY_MS)
    await carry_out(database, clock, after={"feed": feed.load})
    assert (feed.oldest, feed.head) == (3, 3)  # the newest stays
    feed = FeedStore(database, clock)
    await feed.load()
    assert (feed.oldest, feed.head) == (3, 3)
    assert await _append(database, feed, "d") == [4]


async def test_offset_of_a_transaction_undone_was_never_seen(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    await _append(database, feed, "a")

    def undone(connection: Connection) -> None:
        feed.append(connection, "alarm", "never")
        raise RuntimeError("undone")

    with pytest.raises(RuntimeError):
        await database.write(undone)
    feed.committed()
    await feed.load()
    assert (feed.head, [one.data for one in await feed.read(0)]) == (1, ["a"])
    (offset,) = await _append(database, feed, "b")
    assert offset > 1


async def test_head_never_runs_ahead_of_the_commit(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    await _append(database, feed, "a")
    written, release = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        feed.append(connection, "alarm", "b")
        written.set()
        release.wait(5)

    write = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(written.wait, 5)
    feed.committed()
    await feed.load()
    assert feed.head == 1
    release.set()
    await write
    await feed.load()
    assert feed.head == 2


async def test_wait_returns_at_once_when_there_is_something(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    await _append(database, feed, "a")
    assert await feed.wait(0, 5)
    assert not await feed.wait(1, 0.01)


async def test_wait_wakes_all_listeners(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    await feed.load()
    waiting = [asyncio.create_task(feed.wait(0, 5)) for _ in range(20)]
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await _append(database, feed, "a")
        assert await asyncio.gather(*waiting) == [True] * 20


async def test_wait_finds_what_nobody_announced(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    await feed.load()
    await database.write(lambda connection: feed.append(connection, "alarm", "a"))
    assert await feed.wait(0, 0.01)


async def test_many_writers_and_a_reader_see_one_sequence(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    seen: list[int] = []

    async def read() -> None:
        while len(seen) < 200:
            await feed.wait(seen[-1] if seen else 0, 5)
            seen.extend(one.offset for one in await feed.read(seen[-1] if seen else 0))

    reader = asyncio.create_task(read())
    await asyncio.gather(*(_append(database, feed, "a", "b") for _ in range(100)))
    async with asyncio.timeout(5):
        await reader
    assert seen == list(range(1, 201))


async def test_news_are_read_once_for_all_who_listen(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = FeedStore(database, ManualClock())
    await _append(database, feed, "a")
    await feed.load()
    await _append(database, feed, "b", "c")
    assert await feed.wait(1, 5)
    with monkeypatch.context() as patch:
        patch.setattr(database, "read", None)
        assert [one.data for one in await feed.read(1)] == ["b", "c"]
        assert [one.data for one in await feed.read(2)] == ["c"]
        assert [one.data for one in await feed.read(1, limit=1)] == ["b"]
    assert [one.data for one in await feed.read(0)] == ["a", "b", "c"]
    await _append(database, feed, *"defg")
    assert [one.data for one in await feed.read(3)] == [*"defg"]


async def test_what_this_process_commits_is_shown_without_asking_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = FeedStore(database, ManualClock())
    await feed.load()
    with monkeypatch.context() as patch:
        patch.setattr(database, "read", None)
        for number in range(3 * NEWS_MAX):
            await _append(database, feed, str(number))
            assert await feed.wait(number, 5)
            assert [one.data for one in await feed.read(number)] == [str(number)]
    assert [one.offset for one in await feed.read(0, limit=3)] == [1, 2, 3]


async def test_what_another_process_wrote_between_is_not_passed_over(database: Database) -> None:
    one, other = (FeedStore(database, ManualClock()) for _ in range(2))
    await _append(database, one, "a")
    await _append(database, other, "b")
    await _append(database, one, "c", "d")
    assert await one.wait(1, 5)
    assert [item.data for item in await one.read(1)] == ["b", "c", "d"]
    assert await other.wait(2, 5)
    assert [item.data for item in await other.read(0)] == ["a", "b", "c", "d"]


async def test_what_is_durable_is_read_before_it_is_announced(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    await _append(database, feed, "a")
    await database.write(lambda connection: feed.append(connection, "alarm", "b"))
    assert [item.data for item in await feed.read(0)] == ["a", "b"]
    feed.committed()
    assert await feed.wait(1, 5)


async def test_what_a_savepoint_took_back_is_never_shown(database: Database) -> None:
    feed = FeedStore(database, ManualClock())

    def work(connection: Connection) -> None:
        feed.append(connection, "alarm", "a")
        with suppress(ValueError), savepoint(connection):
            feed.append(connection, "incident", "of a rescue that failed")
            raise ValueError

    await database.write(work)
    feed.committed()
    assert [item.data for item in await feed.read(0)] == ["a"]
    await _append(database, feed, "b")
    assert await feed.wait(1, 5)
    assert [item.data for item in await feed.read(0)] == ["a", "b"]


async def test_what_was_read_before_it_was_announced_is_shown_once(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    await database.write(lambda connection: feed.append(connection, "alarm", "a"))
    await feed.load()
    feed.committed()
    assert await _append(database, feed, "b") == [2]
    assert await feed.wait(1, 5)
    assert [item.data for item in await feed.read(0)] == ["a", "b"]


async def test_much_news_are_read_piece_by_piece(database: Database) -> None:
    feed = FeedStore(database, ManualClock())
    await _append(database, feed, "a")
    await feed.load()
    await _append(database, feed, *("x" for _ in range(NEWS_MAX + 1)))
    assert await feed.wait(1, 5)
    assert feed.head == NEWS_MAX + 2
    assert len(await feed.read(1, limit=READ_LIMIT_MAX)) == NEWS_MAX + 1
