"""The feed as server-sent events: resumes by offset, proves by heartbeats that it lives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from cloud.model.alarm import FeedItem
from protocols.errors import RefuseInput

READ_LIMIT = 500


class _About(msgspec.Struct):
    """What an item is about, whatever else it says."""

    asset: str | None = None


_about = msgspec.json.Decoder(_About)


class Feed(Protocol):
    """What a stream needs of the durable feed."""

    head: int
    oldest: int

    async def load(self) -> None:
        """Learn where the feed begins and ends."""
        ...

    async def read(self, after: int, limit: int = 500) -> Sequence[FeedItem]:
        """Return items with offset > `after`, in order."""
        ...

    async def wait(self, after: int, timeout_s: float) -> bool:
        """Wait for an item with offset > `after`."""
        ...


def stream(
    feed: Feed,
    *,
    after: int | None,
    admits: Callable[[str], bool] | None = None,
    heartbeat_s: float = 10.0,
    lag_ms: Callable[[], int],
    stopping: asyncio.Event,
) -> AsyncIterator[str]:
    """Yield server-sent events until `stopping` is set or the reader goes away.

    Args:
        feed: the durable feed, loaded.
        after: offset to resume after, 0 from the beginning, None for what comes from now on.
        admits: tells of an asset id whether this reader may hear of it; None: of all.
        heartbeat_s: at least so often there is an event `heartbeat`, the first one at once.
        lag_ms: age of the oldest batch that the rules have not seen yet, 0 when there is none.
        stopping: ends the stream.

    Raises:
        RefuseInput: `gone`: items after `after` are no longer kept, or it was never given out.

    """
    if after is not None and after + 1 < feed.oldest and after != 0:
        raise RefuseInput("gone", f"the oldest item kept is {feed.oldest}, found {after}")
    if after is not None and after > feed.head:
        raise RefuseInput("gone", f"the newest item is {feed.head}, found {after}")
    return _events(feed, after, admits, heartbeat_s, lag_ms, stopping)


async def _events(
    feed: Feed,
    after: int | None,
    admits: Callable[[str], bool] | None,
    heartbeat_s: float,
    lag_ms: Callable[[], int],
    stopping: asyncio.Event,
) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    if after is None:
        await feed.load()
    at = feed.head if after is None else after
    beat_at = loop.time()
    stop = asyncio.ensure_future(stopping.wait())
    try:
        while not stopping.is_set():
            if loop.time() < beat_at:
                await _wait(feed, at, beat_at - loop.time(), stop)
            items = await feed.read(at, READ_LIMIT)
            for item in items:
                at = item.offset
                if admits is None or _is_admitted(item.data, admits):
                    yield _event(at, item.event, item.data)
            now_s, caught_up = loop.time(), len(items) < READ_LIMIT
            if now_s >= beat_at and (caught_up or now_s >= beat_at + heartbeat_s):
                beat_at = now_s + heartbeat_s
                yield _heartbeat(at, lag_ms())
    finally:
        stop.cancel()


async def _wait(feed: Feed, at: int, timeout_s: float, stop: asyncio.Future[Literal[True]]) -> None:
    news = asyncio.ensure_future(feed.wait(at, timeout_s))
    try:
        either: set[asyncio.Future[Any]] = {news, stop}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await news


def _is_admitted(data: str, admits: Callable[[str], bool]) -> bool:
    """Tell whether an item may be heard; one that names no asset may not."""
    asset = _about.decode(data).asset
    return asset is not None and admits(asset)


def _event(offset: int, event: str, data: str) -> str:
    return f"id: {offset}\nevent: {event}\ndata: {data}\n\n"


def _heartbeat(offset: int, lag_ms: int) -> str:
    data = msgspec.json.encode({"offset": offset, "oldest_unprocessed_ms": lag_ms})
    return _event(offset, "heartbeat", data.decode())
