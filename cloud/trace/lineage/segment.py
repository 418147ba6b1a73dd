"""A stretch of events as compact columns: from items to events and from events to items."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cloud.trace.lineage.base import CHILD, Column, Events, Flags, Numbers, Uses
from cloud.trace.lineage.columns import NONE, places, ranges

_CLASS, _SAID = 8, 16
"""Beside the role in a byte: named by class; the quantity or unit was said."""


class EventRows(NamedTuple):
    """Live events, ordered by number."""

    event: Numbers
    time_us: Numbers
    kind: Column
    parent: Numbers
    group: Numbers
    childless: Flags


class Segment:
    """The live events of [first, end) and all their uses; see `Index` for what it answers.

    `columns` are what a file holds. By event: `time_us`, `kind` (childless is bit 7), `parent`. By
    item (`item`, ordered, `item_first`): `use_event`, `use_role`, and for the few that say
    one `use_said`, `use_quantity`, `use_uom`. By event for what leads to another item
    (`event_first`): `end_item`, `end_role`, and `end_said` …. Of transformations with an id:
    `joined_event`, `joined_group`, and by group `group`, `group_event`. `voided`: the events of
    earlier segments that declarations of this one void.
    """

    def __init__(self, first: int, end: int, columns: Mapping[str, Column]) -> None:
        self.first, self.end, self.columns = first, end, columns
        self.voided: Numbers = columns["voided"].astype(np.int64)

    @property
    def nbytes(self) -> int:
        """Return the size of all columns."""
        return sum(column.nbytes for column in self.columns.values())

    def uses_of(self, items: Numbers) -> Uses:
        """As `Index.uses_of`."""
        c = self.columns
        place, there = places(c["item"], items.astype(c["item"].dtype))
        found, place = items[there], place[there]
        start = c["item_first"][place].astype(np.int64)
        counts = c["item_first"][place + 1] - start
        rows = ranges(start, counts)
        event = c["use_event"][rows].astype(np.int64) + self.first
        return self._uses("use", rows, np.repeat(found, counts), event)

    def uses_in(self, events: Numbers) -> Uses:
        """As `Index.uses_in`."""
        mine = events[self.has(events)]
        start = self.columns["event_first"][mine - self.first].astype(np.int64)
        counts = self.columns["event_first"][mine - self.first + 1] - start
        rows = ranges(start, counts)
        item = self.columns["end_item"][rows].astype(np.int64)
        return self._uses("end", rows, item, np.repeat(mine, counts))

    def _uses(self, name: str, rows: Numbers, item: Numbers, event: Numbers) -> Uses:
        c = self.columns
        role = c[f"{name}_role"][rows]
        quantity = np.full(len(rows), np.nan)
        uom = np.zeros(len(rows), dtype=np.int64)
        said = np.flatnonzero(role & _SAID)
        if len(said):
            at = np.searchsorted(c[f"{name}_said"], rows[said])
            quantity[said] = c[f"{name}_quantity"][at]
            uom[said] = c[f"{name}_uom"][at]
        return Uses(item, event, role & 7, (role & _CLASS) > 0, quantity, uom)

    def events(self, events: Numbers) -> Events:
        """As `Index.events`, of events that are here."""
        c, row = self.columns, events - self.first
        group = np.zeros(len(row), dtype=np.int64)
        if len(c["joined_event"]):
            at, there = places(c["joined_event"], events)
            group[there] = c["joined_group"][at[there]]
        kind, parent = c["kind"][row], c["parent"][row].astype(np.int64)
        return Events(c["time_us"][row], kind & 127, parent, group, kind > 127)

    def joined(self, groups: Numbers) -> Numbers:
        """As `Index.joined`."""
        ordered = self.columns["group"]
        start = np.searchsorted(ordered, groups, "left")
        counts = np.searchsorted(ordered, groups, "right") - start
        return self.columns["group_event"][ranges(start, counts)]

    def has(self, events: Numbers) -> Flags:
        """Return which events are of this stretch."""
        return (events >= self.first) & (events < self.end)


def build(first: int, end: int, events: EventRows, uses: Uses, voided: Numbers = NONE) -> Segment:
    """Make a segment of the live events of a stretch and their uses, in any order."""
    row = events.event - first
    columns: dict[str, Column] = {"voided": voided}
    columns["time_us"] = _spread(row, end - first, events.time_us, 0)
    kind = events.kind | (events.childless * np.uint8(128))
    columns["kind"] = _spread(row, end - first, kind, 0)
    columns["parent"] = _spread(row, end - first, events.parent.astype(np.int32), -1)
    columns |= _by_item(first, uses) | _by_event(first, end, uses) | _groups(events)
    return Segment(first, end, columns)


def _spread(row: Numbers, size: int, values: Column, empty: int) -> Column:
    column = np.full(size, empty, dtype=values.dtype)
    column[row] = values
    return column


def _by_item(first: int, uses: Uses) -> dict[str, Column]:
    order = np.lexsort((uses.event, uses.item))
    ordered = uses.item[order]
    item, start = np.unique(ordered, return_index=True)
    columns = {
        "item": item.astype(np.int32),
        "item_first": np.append(start, len(order)).astype(np.uint32),
        "use_event": (uses.event[order] - first).astype(np.uint32),
    }
    return columns | _said("use", uses, order)


def _by_event(first: int, end: int, uses: Uses) -> dict[str, Column]:
    rows = np.flatnonzero(uses.role >= CHILD)
    order = rows[np.argsort(uses.event[rows], kind="stable")]
    counts = np.bincount(uses.event[order] - first, minlength=end - first)
    columns: dict[str, Column] = {
        "event_first": np.append(0, np.cumsum(counts)).astype(np.uint32),
        "end_item": uses.item[order].astype(np.int32),
    }
    return columns | _said("end", uses, order)


def _said(name: str, uses: Uses, order: Numbers) -> dict[str, Column]:
    quantity, uom = uses.quantity[order], uses.uom[order]
    said = ~np.isnan(quantity) | (uom != 0)
    role = uses.role[order] | uses.by_class[order] * np.uint8(_CLASS) | said * np.uint8(_SAID)
    rows = np.flatnonzero(said)
    return {
        f"{name}_role": role,
        f"{name}_said": rows.astype(np.uint32),
        f"{name}_quantity": quantity[rows],
        f"{name}_uom": uom[rows],
    }


def _groups(events: EventRows) -> dict[str, Column]:
    rows = np.flatnonzero(events.group)
    event, group = events.event[rows], events.group[rows]
    order = np.argsort(group, kind="stable")
    columns = {"joined_event": event, "joined_group": group}
    return columns | {"group": group[order], "group_event": event[order]}


def content(segment: Segment, voided: Numbers) -> tuple[EventRows, Uses]:
    """Return what a segment was made of, but the events that were voided since."""
    c = segment.columns
    events = np.arange(segment.first, segment.end)
    events = events[(c["kind"] > 0) & ~np.isin(events, voided)]
    facts = segment.events(events)
    uses = segment.uses_of(c["item"].astype(np.int64))
    kept = np.isin(uses.event, events) if len(voided) else np.ones(len(uses.event), np.bool_)
    rows = EventRows(events, facts.time_us, facts.kind, facts.parent, facts.group, facts.childless)
    return rows, Uses._make(column[kept] for column in uses)
