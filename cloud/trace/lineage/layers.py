"""Several segments as one index."""

from collections.abc import Sequence

import numpy as np

from cloud.trace.lineage.base import Events, Numbers, Uses
from cloud.trace.lineage.columns import NONE, joined, no_uses, taken
from cloud.trace.lineage.segment import Segment


class Layers:
    """An index of adjacent segments, ordered; without what later ones void."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = tuple(segments)
        self.voided: Numbers = np.unique(np.concatenate([NONE, *(s.voided for s in segments)]))

    def uses_of(self, items: Numbers) -> Uses:
        """As `Index.uses_of`."""
        return self._live([segment.uses_of(items) for segment in self.segments])

    def uses_in(self, events: Numbers) -> Uses:
        """As `Index.uses_in`."""
        return self._live([segment.uses_in(events) for segment in self.segments])

    def _live(self, parts: list[Uses]) -> Uses:
        uses = joined([no_uses(), *(part for part in parts if len(part.item))])
        return taken(uses, ~np.isin(uses.event, self.voided)) if len(self.voided) else uses

    def events(self, events: Numbers) -> Events:
        """As `Index.events`."""
        if len(self.segments) == 1:
            return self.segments[0].events(events)
        none = NONE > 0
        facts = Events(NONE, none.astype(np.uint8), NONE, NONE, none)
        facts = Events._make(np.zeros(len(events), column.dtype) for column in facts)
        for segment in self.segments:
            mine = np.flatnonzero(segment.has(events))
            if len(mine):
                for column, part in zip(facts, segment.events(events[mine]), strict=True):
                    column[mine] = part
        return facts

    def joined(self, groups: Numbers) -> Numbers:
        """As `Index.joined`."""
        events = np.concatenate([NONE, *(segment.joined(groups) for segment in self.segments)])
        return events[~np.isin(events, self.voided)]
