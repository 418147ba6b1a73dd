"""Where to: what was made of a thing, what it was in, and what came of that."""

import numpy as np

from cloud.trace.lineage.base import INPUT, LAST_US, Bounds, Index, Numbers
from cloud.trace.lineage.columns import distinct, first_of, pairs, places, taken
from cloud.trace.lineage.containment import Spans, contents
from cloud.trace.lineage.reach import NO_TIMES, NO_WINDOWS, Carried, Times, Windows
from cloud.trace.lineage.walk import Ends, Walk


class Forward(Walk):
    """A walk forward: things are traced from the earliest time on at which they are reached."""

    def __init__(self, index: Index, start: Times, bounds: Bounds) -> None:
        super().__init__(index, bounds, sign=1)
        self._carried = Carried()
        self._things, self._windows = NO_TIMES, NO_WINDOWS
        self._take(start, NO_WINDOWS)

    def is_going(self) -> bool:
        """As in Walk."""
        return bool(len(self._things.item) or len(self._windows.item))

    def step(self) -> None:
        """As in Walk."""
        things, windows = self._things, self._windows
        made = self.transformed(self._inputs(things, windows))
        spans = self.holders_of(distinct(things.item, windows.item))
        onto = [self._carry(spans, Windows(*things, np.full(len(things.item), LAST_US)))]
        onto.append(self._carry(spans, windows))
        inside = self._unpack(things)
        found = Times._make(map(np.concatenate, zip(made, inside, strict=True)))
        self._take(found, Windows._make(map(np.concatenate, zip(*onto, strict=True))))

    def carriers(self) -> Windows:
        """As in Walk."""
        return self._carried.rows

    def carried_at(self, item: Numbers) -> Numbers:
        """As in Walk."""
        rows = self._carried.rows
        first = np.flatnonzero(first_of(rows.item))
        at_us = np.full(len(item), LAST_US)
        place, there = places(rows.item[first], item)
        at_us[there] = rows.since_us[first[place[there]]]
        return at_us

    def _take(self, found: Times, onto: Windows) -> None:
        both = [np.concatenate([found.item, onto.item]), np.append(found.time_us, onto.since_us)]
        self.admit(Times(*both))
        found = taken(found, self.is_admitted(found.item))
        self._things = self.things.improve(found, self.depth)
        self._windows = self._carried.add(taken(onto, self.is_admitted(onto.item)))

    def _inputs(self, things: Times, windows: Windows) -> Ends:
        """Return what the things, and what carried them then, were put into."""
        ends = self.ends_of(*self.seen.uses_of(distinct(things.item, windows.item), INPUT))
        left, right = pairs(things.item, ends.item)
        kept = np.zeros(len(ends.item), dtype=np.bool_)
        kept[right[ends.time_us[right] >= things.time_us[left]]] = True
        left, right = pairs(windows.item, ends.item)
        time_us = ends.time_us[right]
        inside = (time_us >= windows.since_us[left]) & (time_us < windows.until_us[left])
        kept[right[inside]] = True
        ends = taken(ends, kept)
        return taken(ends, self.in_time(ends.time_us, ends.group))

    def _carry(self, spans: Spans, windows: Windows) -> Windows:
        """Return in what the children of the spans were carried, and when."""
        left, right = pairs(windows.item, spans.child)
        since = np.maximum(windows.since_us[left], spans.since_us[right])
        until = np.minimum(windows.until_us[left], spans.until_us[right])
        return self._follow(spans, right, Windows(spans.parent[right], since, until))

    def _unpack(self, things: Times) -> Times:
        """Return what was in the things since they are traced."""
        spans = contents(self.seen, things.item)
        left, right = pairs(things.item, spans.parent)
        since = np.maximum(things.time_us[left], spans.since_us[right])
        found = self._follow(
            spans, right, Windows(spans.child[right], since, spans.until_us[right])
        )
        return Times(found.item, found.since_us)

    def _follow(self, spans: Spans, rows: Numbers, found: Windows) -> Windows:
        some = found.since_us < found.until_us
        rows, found = rows[some], taken(found, some)
        some = self.in_time(found.since_us, found.item)
        self.spans.append(taken(spans, distinct(rows[some])))
        return taken(found, some)
