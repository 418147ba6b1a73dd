"""One lane of a receiver: what waits in it, and how far nothing is owed any more."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from cloud.feed.items import Item
from cloud.feed.receivers.base import LaneName
from cloud.feed.receivers.rows import LaneRow

WAITING_MAX = 2_000
"""Offsets that are counted ahead."""


class Waits(NamedTuple):
    """An item that is to be sent; the rest of it lies in the feed."""

    offset: int
    at: int
    thing: str


class Lane:
    """Where one lane stands.

    Items leave in order, but one that is refused for what it says holds up only the later ones of
    the same thing.
    """

    def __init__(self, name: LaneName, row: LaneRow) -> None:
        self.name, self.row = name, row
        self.scanned = row.offset
        self.waiting: deque[Waits] = deque()
        self._refused: set[str] = set()
        """Things of which an item was refused, and is owed still."""
        self._tried: set[str] = set()
        """Those of them that were tried since all were."""

    @property
    def room(self) -> bool:
        """Whether more may wait."""
        return len(self.waiting) < WAITING_MAX

    def put(self, items: Sequence[Item]) -> None:
        """Let items wait."""
        self.waiting.extend(Waits(one.offset, one.at, one.thing) for one in items)

    def pick(self, most: int) -> list[Waits]:
        """Return what is next, several only while nothing was refused."""
        if not self._refused:
            return [one for one, _ in zip(self.waiting, range(most), strict=False)]
        free = (one for one in self.waiting if one.thing not in self._tried)
        return [next(free, self.waiting[0])]

    def take(self, offset: int) -> None:
        """Let one go that was taken, or is no longer kept."""
        for one in self.waiting:
            if one.offset == offset:
                self.waiting.remove(one)
                self._refused.discard(one.thing)
                return

    def refuse(self, thing: str) -> bool:
        """Note that an item was refused for what it says; tell whether there is another to try."""
        self._refused.add(thing)
        self._tried.add(thing)
        if any(one.thing not in self._tried for one in self.waiting):
            return True
        self._tried.clear()
        return False

    def forget_before(self, offset: int) -> None:
        """Let all go that the feed does not keep."""
        self.scanned = max(self.scanned, offset - 1)
        while self.waiting and self.waiting[0].offset < offset:
            self.waiting.popleft()

    def settle(self, head: int, **changed: object) -> None:
        """Write down where it stands, after whatever happened."""
        offset = self.waiting[0].offset - 1 if self.waiting else self.scanned
        self.row = msgspec.structs.replace(
            self.row,
            offset=max(self.row.offset, offset),
            waiting=len(self.waiting),
            waiting_more=self.scanned < head,
            oldest_at=self.waiting[0].at if self.waiting else None,
            **changed,
        )

    def well(self, head: int) -> None:
        """Write down that something was taken; what was refused before is still owed."""
        if self._refused:
            self.settle(head)
        else:
            self.settle(head, attempts=0, failing_since=None, retry_at=None)
