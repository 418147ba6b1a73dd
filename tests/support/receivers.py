"""Receivers of the feed, for the HTTP side and for tests of their own."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from zoneinfo import ZoneInfo

from cloud.feed.cap.desk import CapDesk
from cloud.feed.cap.sign import new_key
from cloud.feed.cap.words import load_words
from cloud.feed.items import Item
from cloud.feed.receivers.base import TAKEN, Destination, OpenThing, Outcome
from cloud.feed.receivers.book import ReceiverBook
from cloud.feed.words import load_feed_words
from cloud.model.database import Database
from protocols.clock import Clock
from tests.support.trace_world import OpenSeal

ZONE = ZoneInfo("Asia/Shanghai")


class FakeSender:
    """Takes what comes, or ends as it is told to."""

    def __init__(self, to: Destination, opens: Callable[[], Mapping[str, OpenThing]]) -> None:
        self.to, self.opens = to, opens
        self.keep_s: float | None = None
        self.batch = False
        self.sent: list[Sequence[Item]] = []
        self.tried: list[int] = []
        self.kept = 0
        self.outcomes: list[Outcome] = []
        self.refused: set[int] = set()
        """Offsets that are refused for what they say."""
        self.closed = False

    async def send(self, items: Sequence[Item]) -> Outcome:
        self.tried.append(items[0].offset)
        outcome = self.outcomes.pop(0) if self.outcomes else TAKEN
        if items[0].offset in self.refused:
            outcome = Outcome(ok=False, detail="answered with status 422", of_item=True)
        if outcome.ok:
            self.sent.append(items)
        return outcome

    async def keep(self) -> Outcome:
        self.kept += 1
        return TAKEN

    async def test(self) -> Outcome:
        return TAKEN

    async def close(self) -> None:
        self.closed = True


async def any_host(_host: str, _port: int) -> None:
    """Allow every broker."""


def open_receivers(
    database: Database, clock: Clock, check: Callable[[str], Awaitable[None]]
) -> ReceiverBook:
    """Open the book of receivers; tests of them reach nobody."""
    return ReceiverBook(
        database,
        clock,
        check_url=check,
        check_host=any_host,
        seal=OpenSeal(),
        mail=True,
        make_sender=FakeSender,
        apply=lambda _connection, _transitions: None,
        on_commit=lambda: None,
    )


def open_cap(database: Database, clock: Clock, base_url: str = "https://city.test") -> CapDesk:
    """Open the CAP messages."""
    return CapDesk(
        database,
        clock,
        words=load_words(),
        said=load_feed_words(),
        zone=ZONE,
        base_url=base_url,
        seal=OpenSeal(),
        make_key=_key,
    )


@cache
def _key(name: str, now_ms: int) -> bytes:
    """Make one key for all tests of a process: each takes a second."""
    return new_key(name, now_ms)
