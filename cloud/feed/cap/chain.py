"""Which message an item of the feed becomes, and what it refers to: pure."""

from typing import NamedTuple

from cloud.feed.cap.base import CapKind
from cloud.feed.items import OVER, Item

ACKNOWLEDGES = frozenset(("acknowledged", "accept"))
"""Changes by which somebody takes an alarm or a rescue upon them."""


class Issued(NamedTuple):
    """A message about a thing that was really issued."""

    offset: int
    kind: CapKind
    chain: int
    """Offset of the Alert that it goes back to."""


def next_kind(last: Issued | None, item: Item) -> tuple[CapKind | None, int]:
    """Return the message that an item becomes after the last one about its thing, and its chain.

    None: it becomes no message, for what it ends or acknowledges was never issued, such as the end
    of an alarm that began before the feed's first item.
    """
    going_on = last is not None and last.kind != "Cancel"
    over = item.about.state in OVER
    if item.about.change in ACKNOWLEDGES:
        return ("Ack", last.chain) if last is not None else (None, item.offset)
    if over:
        return ("Cancel", last.chain) if last is not None and going_on else (None, item.offset)
    if last is None or not going_on:
        return "Alert", item.offset
    return "Update", last.chain
