"""What a walk has reached: the best time of each item, and spans in which it carried."""

from typing import NamedTuple

import numpy as np

from cloud.trace.lineage.base import Flags, Numbers
from cloud.trace.lineage.columns import NONE, first_of, one_key, places, taken

_NEVER = 2**63 - 1


class Times(NamedTuple):
    """Rows: an item and a time."""

    item: Numbers
    time_us: Numbers


class Windows(NamedTuple):
    """Rows: an item and a span [since_us, until_us)."""

    item: Numbers
    since_us: Numbers
    until_us: Numbers


NO_TIMES, NO_WINDOWS = Times(NONE, NONE), Windows(NONE, NONE, NONE)


class Best:
    """The earliest (`sign` 1) or the latest (-1) time of each item, and when it was first found."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.item, self.time_us, self.depth = NONE, NONE, NONE

    def improve(self, times: Times, depth: int) -> Times:
        """Take times in; return those that were better than what was known."""
        times = self._best(times)
        place, there = places(self.item, times.item)
        better = ~there
        known = self.time_us[place[there]] if len(self.item) else NONE
        better[there] = self.sign * times.time_us[there] < self.sign * known
        times, place, there = taken(times, better), place[better], there[better]
        self.time_us[place[there]] = times.time_us[there]
        self._insert(taken(times, ~there), depth)
        return times

    def _best(self, times: Times) -> Times:
        order = np.lexsort((self.sign * times.time_us, times.item))
        times = taken(times, order)
        return taken(times, first_of(times.item))

    def _insert(self, times: Times, depth: int) -> None:
        item = np.concatenate([self.item, times.item])
        order = np.argsort(item, kind="stable")
        self.item = item[order]
        self.time_us = np.concatenate([self.time_us, times.time_us])[order]
        self.depth = np.concatenate([self.depth, np.full(len(times.item), depth)])[order]

    def within(self, item: Numbers, time_us: Numbers) -> Flags:
        """Return which times are at or behind the best one of their item, in walking order."""
        within: Flags = self.sign * time_us >= self.signed(item)
        return within

    def signed(self, item: Numbers) -> Numbers:
        """Return `sign` times the best time of each item; of one without, what no time is."""
        place, there = places(self.item, item)
        if not len(self.item):
            return np.full(len(item), _NEVER)
        return np.where(there, self.sign * self.time_us[place], _NEVER)


class Carried:
    """Spans in which items carried; none lies inside another."""

    def __init__(self) -> None:
        self.rows = NO_WINDOWS

    def add(self, rows: Windows) -> Windows:
        """Take spans in; return those that say something new."""
        rows = taken(rows, rows.since_us < rows.until_us)
        known = len(self.rows.item)
        both = Windows._make(map(np.concatenate, zip(self.rows, rows, strict=True)))
        fresh = np.arange(len(both.item)) >= known
        order = np.lexsort((fresh, -both.until_us, both.since_us, both.item))
        both, fresh = taken(both, order), fresh[order]
        ends, _ = one_key((both.item, NONE), (both.until_us, NONE))
        new_end = np.ones(len(ends), dtype=np.bool_)
        new_end[1:] = (ends[1:] > np.maximum.accumulate(ends)[:-1]) | (
            both.item[1:] != both.item[:-1]
        )
        self.rows = taken(both, new_end)
        return taken(both, new_end & fresh)
