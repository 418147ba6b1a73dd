"""What walking forward and back have in common: rounds, bounds, and what was followed."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from cloud.trace.lineage.base import (
    INPUT,
    OUTPUT,
    TRANSFORMATION,
    Bounds,
    Column,
    Events,
    Flags,
    Index,
    Numbers,
    Uses,
)
from cloud.trace.lineage.columns import NONE, Remembered, distinct, places, taken
from cloud.trace.lineage.containment import Spans, holders
from cloud.trace.lineage.reach import Best, Times, Windows


class Ends(NamedTuple):
    """Rows: an item at one end of a transformation."""

    item: Numbers
    group: Numbers
    event: Numbers
    time_us: Numbers
    output: Flags
    by_class: Flags
    quantity: Column
    uom: Numbers


class Walk(ABC):
    """A walk in rounds: each follows one link more from what the round before made better.

    A transformation is known by its group, or by its negative event number when it has none.
    """

    def __init__(self, index: Index, bounds: Bounds, *, sign: int) -> None:
        self.seen, self.bounds, self.sign = Remembered(index), bounds, sign
        self.things, self.groups = Best(sign), Best(sign)
        self.admitted, self.admitted_depth = NONE, NONE
        self.ends: list[Ends] = []
        """Followed ends of transformations; rows may repeat, as in the next two."""
        self.spans: list[Spans] = []
        """Followed spans."""
        self.whole: list[Ends] = []
        """All ends of the transformations reached."""
        self.held: list[Spans] = []
        """All spans of the items walked on from; none repeats."""
        self._expanded = NONE
        self.depth = 0
        self._cut: list[Numbers] = []
        self._beyond: list[Numbers] = []

    def run(self) -> None:
        """Walk until nothing new is found; one more round counts what the depth left out."""
        while self.is_going() and self.depth <= self.bounds.depth:
            self.depth += 1
            self.step()

    @abstractmethod
    def is_going(self) -> bool:
        """Tell whether the last round made anything better."""

    @abstractmethod
    def step(self) -> None:
        """Follow one link more."""

    def transformed(self, arrivals: Ends) -> Times:
        """Pass through transformations; return the items at their other end, with their times."""
        self.ends.append(arrivals)
        reached = self.groups.improve(Times(arrivals.group, arrivals.time_us), self.depth)
        if not len(reached.item):
            return Times(NONE, NONE)
        ends = self._all_ends(reached.item)
        self.whole.append(ends)
        ends = taken(ends, ends.output if self.sign > 0 else ~ends.output)
        ends = taken(ends, self.groups.within(ends.group, ends.time_us))
        ends = taken(ends, self.in_time(ends.time_us, ends.item))
        self.ends.append(ends)
        return Times(ends.item, ends.time_us)

    def _all_ends(self, groups: Numbers) -> Ends:
        joined = groups[groups > 0]
        events = [-groups[groups < 0]]
        if len(joined):
            events.append(self.seen.index.joined(joined))
        uses = self.seen.index.uses_in(np.concatenate(events))
        uses = taken(uses, uses.role >= INPUT)
        return self.ends_of(uses, self.seen.index.events(uses.event))

    def ends_of(self, uses: Uses, events: Events) -> Ends:
        """Return those inputs and outputs that are of transformations."""
        group = np.where(events.group > 0, events.group, -uses.event)
        ends = Ends(
            *(uses.item, group, uses.event, events.time_us, uses.role == OUTPUT),
            *(uses.by_class, uses.quantity, uses.uom),
        )
        return taken(ends, events.kind == TRANSFORMATION)

    def in_time(self, time_us: Numbers, number: Numbers) -> Flags:
        """Return what is not beyond the horizon; note the numbers of what is."""
        if self.bounds.horizon_us is None:
            return np.ones(len(time_us), dtype=np.bool_)
        inside: Flags = self.sign * time_us <= self.sign * self.bounds.horizon_us
        self._beyond.append(number[~inside])
        return inside

    def admit(self, found: Times) -> None:
        """Take items in while there is room, those reached first first."""
        best = Best(self.sign)
        best.improve(found, self.depth)
        _, known = places(self.admitted, best.item)
        item, time_us = best.item[~known], best.time_us[~known]
        room = self.bounds.items - len(self.admitted) if self.depth <= self.bounds.depth else 0
        order = np.lexsort((item, self.sign * time_us))
        self._cut.append(item[order[room:]])
        admitted = np.concatenate([self.admitted, item[order[:room]]])
        depth = np.full(len(admitted) - len(self.admitted), self.depth)
        order = np.argsort(admitted, kind="stable")
        self.admitted = admitted[order]
        self.admitted_depth = np.concatenate([self.admitted_depth, depth])[order]

    def is_admitted(self, item: Numbers) -> Flags:
        """Return which items are in the answer and may be walked on from."""
        if self.depth > self.bounds.depth:
            return np.zeros(len(item), dtype=np.bool_)
        return places(self.admitted, item)[1]

    def holders_of(self, children: Numbers) -> Spans:
        """Return in what distinct items were; remember it, once of each."""
        spans = holders(self.seen, children)
        new = children[~places(self._expanded, children)[1]]
        self.held.append(taken(spans, places(new, spans.child)[1]))
        self._expanded = distinct(self._expanded, new)
        return spans

    @abstractmethod
    def carriers(self) -> Windows:
        """Return when which items carried what is traced."""

    @abstractmethod
    def carried_at(self, item: Numbers) -> Numbers:
        """Return when each item, if it carried, came into the walk; see `Node.at_us`."""

    def cut_items(self) -> int:
        """Return how many items the bounds left out."""
        cut = distinct(NONE, *self._cut)
        return int((~places(self.admitted, cut)[1]).sum())

    def beyond(self) -> int:
        """Return how many items and transformations the horizon left out."""
        beyond = distinct(NONE, *self._beyond)
        inside = places(self.admitted, beyond)[1] | places(self.groups.item, beyond)[1]
        return int((~inside).sum())
