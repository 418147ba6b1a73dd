"""Trace an item back or forward."""

from collections.abc import Sequence

import numpy as np

from cloud.trace.lineage.answer import answer
from cloud.trace.lineage.back import Back
from cloud.trace.lineage.base import (
    FIRST_US,
    LAST_US,
    Bounds,
    Direction,
    Index,
    Trace,
)
from cloud.trace.lineage.forward import Forward
from cloud.trace.lineage.reach import Times


def trace(
    index: Index,
    start: Sequence[int],
    direction: Direction,
    *,
    at_us: int | None = None,
    bounds: Bounds,
) -> Trace:
    """Return where items came from, or where they and what became of them went.

    Args:
        index: what happened.
        start: `item_no`s, at least one, together the first things of the trace.
        direction: `back` or `forward`.
        at_us: the items as they were then: nothing of the start that is later (back) or earlier
            (forward) counts; None: all their life.
        bounds: how far.

    """
    everything = LAST_US if direction == "back" else FIRST_US
    when = everything if at_us is None else at_us
    items = np.unique(np.array(start, dtype=np.int64))
    times = Times(items, np.full(len(items), when))
    walk = (Back if direction == "back" else Forward)(index, times, bounds)
    walk.run()
    return answer(walk, tuple(items.tolist()), direction, when)
