"""Where from: of what a thing was made, in what it was, and what was in that."""

import numpy as np

from cloud.trace.lineage.base import FIRST_US, OUTPUT, Bounds, Flags, Index, Numbers
from cloud.trace.lineage.columns import distinct, pairs, places, taken
from cloud.trace.lineage.containment import Spans, contents
from cloud.trace.lineage.reach import (
    NO_TIMES,
    NO_WINDOWS,
    Best,
    Carried,
    Times,
    Windows,
)
from cloud.trace.lineage.walk import Ends, Walk


class Back(Walk):
    """A walk back: things are traced up to the latest time at which they matter.

    Three kinds of state: things and what held them (`_origin`: how they were made counts), spans
    in which holders carried (`_carried`: what happened to them counts), spans in which the
    contents of things count (`_opened`).
    """

    def __init__(self, index: Index, start: Times, bounds: Bounds) -> None:
        super().__init__(index, bounds, sign=-1)
        self._best, self._carried, self._opened = Best(-1), Carried(), Carried()
        self._origin, self._things = NO_TIMES, NO_TIMES
        self._windows, self._open = NO_WINDOWS, NO_WINDOWS
        first = np.full(len(start.item), FIRST_US)
        self._take(start, NO_TIMES, NO_WINDOWS, Windows(start.item, first, start.time_us + 1))

    def is_going(self) -> bool:
        """As in Walk."""
        states = (self._origin, self._things, self._windows, self._open)
        return any(len(state.item) for state in states)

    def step(self) -> None:
        """As in Walk."""
        origin, things, windows, opened = self._origin, self._things, self._windows, self._open
        made = self.transformed(self._outputs(origin))
        whole = Windows(made.item, made.time_us, made.time_us + 1)
        above = distinct(origin.item, things.item, windows.item)
        spans = self.holders_of(above)
        held = self._hold(spans, origin)
        first = np.full(len(things.item), FIRST_US)
        onto = [self._carry(spans, Windows(things.item, first, things.time_us + 1))]
        onto.append(self._carry(spans, windows))
        inside = self._unpack(opened)
        found = [made, Times(inside.item, inside.until_us - 1)]
        self._take(
            Times._make(map(np.concatenate, zip(*found, strict=True))),
            held,
            Windows._make(map(np.concatenate, zip(*onto, strict=True))),
            Windows._make(map(np.concatenate, zip(whole, inside, strict=True))),
        )

    def carriers(self) -> Windows:
        """As in Walk."""
        return self._carried.rows

    def carried_at(self, item: Numbers) -> Numbers:
        """As in Walk."""
        return self._best.time_us[places(self._best.item, item)[0]]

    def _take(self, found: Times, held: Times, onto: Windows, opened: Windows) -> None:
        both = Times._make(map(np.concatenate, zip(found, held, strict=True)))
        self.admit(both)
        self._origin = self._best.improve(taken(both, self.is_admitted(both.item)), self.depth)
        found = taken(found, self.is_admitted(found.item))
        self._things = self.things.improve(found, self.depth)
        self._windows = self._carried.add(taken(onto, self.is_admitted(onto.item)))
        self._open = self._opened.add(taken(opened, self.is_admitted(opened.item)))

    def _outputs(self, origin: Times) -> Ends:
        """Return what gave the things and what held them."""
        ends = self.ends_of(*self.seen.uses_of(origin.item, OUTPUT))
        left, right = pairs(origin.item, ends.item)
        ends = taken(ends, right[ends.time_us[right] <= origin.time_us[left]])
        return taken(ends, self.in_time(ends.time_us, ends.group))

    def _hold(self, spans: Spans, origin: Times) -> Times:
        """Return what held the items, up to the end of that."""
        left, right = pairs(origin.item, spans.child)
        until = np.minimum(origin.time_us[left], spans.until_us[right] - 1)
        some = spans.since_us[right] <= origin.time_us[left]
        right, until = right[some], until[some]
        some = self.in_time(until, spans.parent[right])
        self._follow(spans, right[some])
        return Times(spans.parent[right[some]], until[some])

    def _carry(self, spans: Spans, windows: Windows) -> Windows:
        """Return in what the children of the spans were carried, and when."""
        left, right = pairs(windows.item, spans.child)
        found = _overlap(spans, right, windows, left, spans.parent)
        some = (found.since_us < found.until_us) & self._recent(found)
        return taken(found, some)

    def _unpack(self, opened: Windows) -> Windows:
        """Return what was in the things when that matters."""
        spans = contents(self.seen, distinct(opened.item))
        left, right = pairs(opened.item, spans.parent)
        found = _overlap(spans, right, opened, left, spans.child)
        some = found.since_us < found.until_us
        right, found = right[some], taken(found, some)
        some = self.in_time(found.until_us - 1, found.item)
        self._follow(spans, right[some])
        return taken(found, some)

    def _recent(self, windows: Windows) -> Flags:
        horizon_us = self.bounds.horizon_us
        return windows.until_us > (FIRST_US if horizon_us is None else horizon_us)

    def _follow(self, spans: Spans, rows: Numbers) -> None:
        self.spans.append(taken(spans, distinct(rows)))


def _overlap(
    spans: Spans, rows: Numbers, windows: Windows, places: Numbers, item: Numbers
) -> Windows:
    since = np.maximum(windows.since_us[places], spans.since_us[rows])
    until = np.minimum(windows.until_us[places], spans.until_us[rows])
    return Windows(item[rows], since, until)
