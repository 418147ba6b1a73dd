"""Follows the feed in the background and keeps what it said, with the moment of each item."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from protocols.clock import Clock
from protocols.errors import RetryLater
from simulators.api import Api, FeedEvent

KEPT_MAX = 1_000
"""Older items are forgotten."""

RECONNECT_S = 0.5


@dataclass(frozen=True, slots=True)
class Heard:
    """One item of the feed and when it came, ms since 1970."""

    item: FeedEvent
    at: int


class FeedWatch:
    """One listener of the feed; `run` it as a task.

    Args:
        api: the service.
        clock: says when an item came.
        on_item: told of each alarm or incident as it comes.

    """

    def __init__(self, api: Api, clock: Clock, on_item: Callable[[Heard], None]) -> None:
        self._api, self._clock, self._on_item = api, clock, on_item
        self._heard: deque[Heard] = deque(maxlen=KEPT_MAX)
        self._after = 0
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled; after a break go on behind the last item."""
        while True:
            try:
                async for item in self._api.feed(self._after):
                    self._take(item)
            except RetryLater:
                self.connected.clear()
                await asyncio.sleep(RECONNECT_S)

    async def skip(self) -> None:
        """Leave out what the feed holds already.

        Raises:
            RetryLater: the service does not answer.

        """
        async for item in self._api.feed():  # the first heartbeat names the newest offset
            self._after = item.offset
            return

    def find(self, *, asset: str, alert: str, state: str, since: int) -> Heard | None:
        """Return the first item about an alarm in a state that came at `since` or later."""
        for heard in self._heard:
            data = heard.item.data
            about = (data.get("asset"), data.get("alert"), data.get("state"))
            if heard.at >= since and about == (asset, alert, state):
                return heard
        return None

    def _take(self, item: FeedEvent) -> None:
        self.connected.set()
        self._after = max(self._after, item.offset)
        if item.event == "heartbeat":
            return
        heard = Heard(item, self._clock.wall_ms())
        self._heard.append(heard)
        self._on_item(heard)
