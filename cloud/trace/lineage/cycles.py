"""Things that, by what was captured, were inside themselves."""

import numpy as np

from cloud.trace.lineage.base import Flags, Numbers
from cloud.trace.lineage.columns import distinct, places, taken
from cloud.trace.lineage.containment import Spans

SEARCHED_MAX = 2_000
"""Spans among which cycles are searched exactly; of more, all that may be in one are told."""


def in_cycles(spans: Spans) -> Flags:
    """Return which spans are on a way by which an item was in itself, at one time.

    Each span of such a way shares a moment with all others of it.
    """
    rows = _core(spans)
    found = np.zeros(len(spans.child), dtype=np.bool_)
    if len(rows) > SEARCHED_MAX:
        found[rows] = True
        return found
    core = taken(spans, rows)
    above: dict[int, list[int]] = {}
    for row, child in enumerate(core.child.tolist()):
        above.setdefault(child, []).append(row)
    for row, place in enumerate(rows):
        found[place] = _comes_back(core, above, row)
    return found


def _core(spans: Spans) -> Numbers:
    """Return the spans that are left when those with nothing before or behind them are away."""
    rows = np.arange(len(spans.child))
    while len(rows):
        child, parent = spans.child[rows], spans.parent[rows]
        kept = rows[places(distinct(parent), child)[1] & places(distinct(child), parent)[1]]
        if len(kept) == len(rows):
            break
        rows = kept
    return rows


def _comes_back(core: Spans, above: dict[int, list[int]], start: int) -> bool:
    """Tell whether the child of a span is above its parent while the span lasts."""
    wanted = int(core.child[start])
    first = (int(core.parent[start]), int(core.since_us[start]), int(core.until_us[start]))
    stack, seen = [first], {first}
    while stack:
        item, since_us, until_us = stack.pop()
        if item == wanted:
            return True
        for row in above.get(item, ()):
            since = max(since_us, int(core.since_us[row]))
            state = (int(core.parent[row]), since, min(until_us, int(core.until_us[row])))
            if state[1] < state[2] and state not in seen:
                seen.add(state)
                stack.append(state)
    return False
