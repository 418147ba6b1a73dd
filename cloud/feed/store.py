"""The durable feed: one sequence of items, offsets in commit order, never used twice."""

import asyncio
from collections import deque
from functools import partial

from sqlalchemy import Connection, bindparam, func, insert, select

from cloud.model import tables
from cloud.model.alarm import FeedItem
from cloud.model.database import Database, after_commit
from cloud.model.notices import FEED, announce
from protocols.clock import Clock

READ_LIMIT_MAX = 1_000
NEWS_MAX = 500
STAGED_MAX = 10_000
"""Of what nobody announces the oldest go; the database is asked for them."""

# made once: SQLAlchemy takes longer to make them than SQLite to carry them out
_INSERT = insert(tables.feed)
_ITEMS = (
    select(tables.feed.c.offset, tables.feed.c.event, tables.feed.c.data)
    .where(tables.feed.c.offset > bindparam("after"))
    .order_by(tables.feed.c.offset)
    .limit(bindparam("most"))
)
_BOUNDS = select(func.min(tables.feed.c.offset), func.max(tables.feed.c.offset))


class FeedStore:
    """Items in the state database; one writer at a time keeps offsets and commits in one order."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._changed = asyncio.Event()
        self._fresh = False
        self._asking = asyncio.Lock()
        self.head = 0
        """Offset of the newest item that is known to be committed, 0 when there is none."""
        self.oldest = 1
        """Offset of the oldest item still kept; `head` + 1 when there is none."""
        self._news: tuple[int, list[FeedItem]] = 0, []
        """(after, items): what was found last time, for all who listen."""
        self._staged: deque[FeedItem] = deque(maxlen=STAGED_MAX)
        """What this process has committed and not shown yet; filled by the writer's thread."""

    def append(self, connection: Connection, event: str, data: str) -> int:
        """Write one item inside the caller's transaction; return its offset.

        The caller has its turn of the feed (`take_turn`), so that offsets rise by commit order.
        """
        announce(connection, FEED)
        values = {"event": event, "data": data, "recorded_at": self._clock.wall_ms()}
        result = connection.execute(_INSERT, values)
        offset = int(result.inserted_primary_key[0])  # type: ignore[index]  # an insert has one
        item = FeedItem(offset=offset, event=event, data=data)  # type: ignore[arg-type]  # one of two
        after_commit(connection, partial(self._staged.append, item))
        return offset

    def committed(self) -> None:
        """Wake listeners; call it on the loop after a commit that appended."""
        self._fresh = self._show_staged()
        self._changed.set()
        self._changed = asyncio.Event()

    def _show_staged(self) -> bool:
        """Show what this process committed; False: the database knows more, or may."""
        whole = bool(self._staged)
        while self._staged:
            item = self._staged.popleft()
            if item.offset <= self.head:
                continue  # it was read meanwhile
            if item.offset != self.head + 1:  # another process wrote between
                self._staged.clear()
                return False
            after, news = self._news
            if not news or news[-1].offset != self.head:
                after, news = self.head, []
            if len(news) >= 2 * NEWS_MAX:
                after, news = news[-NEWS_MAX - 1].offset, news[-NEWS_MAX:]
            news.append(item)
            self._news, self.head = (after, news), item.offset
        return whole

    async def load(self) -> None:
        """Learn from the database where the feed begins and ends."""
        self._fresh = True  # before asking: a commit during the answer makes it old again
        after = self.head
        oldest, head, items = await self._database.read(lambda c: _read_news(c, after))
        if items:
            self._news = after, items
        self.head = max(self.head, head)
        self.oldest = max(self.oldest, oldest)
        known_after, news = self._news
        if known_after + 1 < self.oldest:  # what is no longer kept is not told from memory either
            self._news = self.oldest - 1, [one for one in news if one.offset >= self.oldest]

    async def read(self, after: int, limit: int = 500) -> list[FeedItem]:
        """Return up to `limit` committed items with offset > `after`, in order."""
        most = max(1, min(limit, READ_LIMIT_MAX))
        whole = not self._staged or self._show_staged()  # durable already, if not yet announced
        known_after, news = self._news
        if (
            whole
            and known_after <= after
            and (items := [one for one in news if one.offset > after])
        ):
            return items[:most]
        items = await self._database.read(lambda c: _read_items(c, after, most))
        if items:
            self.head = max(self.head, items[-1].offset)
        return items

    async def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until there is an item with offset > `after`; False after `timeout_s`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            changed = self._changed
            async with self._asking:  # one listener asks, the others take its answer
                if not self._fresh:
                    await self.load()
            if self.head > after:
                return True
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    await changed.wait()
            except TimeoutError:
                await self.load()  # an append that nobody announced is late, never lost
                return self.head > after


def _read_news(connection: Connection, after: int) -> tuple[int, int, list[FeedItem]]:
    """Read where the feed begins and ends, and what is new if it is not much."""
    oldest, head = _read_bounds(connection)
    items = _read_items(connection, after, NEWS_MAX) if 0 < after < head else []
    return oldest, head, items if items and items[-1].offset == head else []


def _read_items(connection: Connection, after: int, most: int) -> list[FeedItem]:
    rows = connection.execute(_ITEMS, {"after": after, "most": most})
    return [FeedItem(offset=row[0], event=row[1], data=row[2]) for row in rows]


def _read_bounds(connection: Connection) -> tuple[int, int]:
    oldest, head = connection.execute(_BOUNDS).one()
    return (1, 0) if head is None else (oldest, head)
