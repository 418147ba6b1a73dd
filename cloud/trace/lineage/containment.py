"""Spans of time in which an item was in or on another.

What the events of one pair say at one time is one row; docs/lineage.md, "In what it was when".
"""

from typing import NamedTuple

import numpy as np

from cloud.trace.lineage.base import (
    ADD,
    AGGREGATION,
    ASSOCIATION,
    CHILD,
    DELETE,
    FIRST_US,
    LAST_US,
    OBSERVE,
    PARENT,
    Column,
    Events,
    Flags,
    Numbers,
    Uses,
)
from cloud.trace.lineage.columns import NONE, Remembered, distinct, one_key, places, taken


class Spans(NamedTuple):
    """Rows: `child` was in or on `parent` in [since_us, until_us)."""

    child: Numbers
    parent: Numbers
    lasting: Flags
    """By association, not by aggregation."""
    by_class: Flags
    since_us: Numbers
    until_us: Numbers
    event: Numbers
    """That begins it; nothing begins it: that shows it."""
    quantity: Column
    uom: Numbers
    missing_add: Flags


class _Rows(NamedTuple):
    """What one event says of one pair."""

    child: Numbers
    parent: Numbers
    lasting: Flags
    by_class: Flags
    time_us: Numbers
    action: Column
    event: Numbers
    quantity: Column
    uom: Numbers


class _Emptied(NamedTuple):
    """A DELETE that names no child: all that `holder` held is taken out."""

    holder: Numbers
    time_us: Numbers


_NEVER: Flags = NONE > 0
NO_SPANS = Spans(NONE, NONE, _NEVER, _NEVER, NONE, NONE, NONE, NONE / 1, NONE, _NEVER)


def holders(seen: Remembered, children: Numbers) -> Spans:
    """Return in what each of distinct items was."""
    rows = _rows(*seen.uses_of(children, CHILD))
    return _spans(rows, _emptied(seen, distinct(rows.parent)))


def contents(seen: Remembered, parents: Numbers) -> Spans:
    """Return what was in each of distinct items."""
    uses, _ = seen.uses_of(parents, PARENT)
    named = distinct(uses.event)
    inside = seen.index.uses_in(named)
    inside = taken(inside, inside.role == CHILD)
    rows = _rows(inside, seen.index.events(inside.event))
    rows = taken(rows, places(parents, rows.parent)[1])
    return _spans(rows, _emptied(seen, distinct(rows.parent)))


def _rows(uses: Uses, events: Events) -> _Rows:
    lasting, action = events.kind >= ASSOCIATION, events.kind & 3
    rows = _Rows(
        *(uses.item, events.parent, lasting, uses.by_class),
        *(events.time_us, action, uses.event, uses.quantity, uses.uom),
    )
    fits = (events.kind >= AGGREGATION) & (events.parent >= 0) & (uses.item != events.parent)
    return taken(rows, fits)


def _emptied(seen: Remembered, parents: Numbers) -> _Emptied:
    """Return when parents were emptied; the key tells aggregation from association."""
    uses, events = seen.uses_of(parents, PARENT)
    all_out = events.childless & (events.kind >= AGGREGATION) & (events.kind & 3 == DELETE)
    holder = _holder(uses.item, events.kind >= ASSOCIATION)
    order = np.lexsort((events.time_us[all_out], holder[all_out]))
    return _Emptied(holder[all_out][order], events.time_us[all_out][order])


def _holder(parent: Numbers, lasting: Flags) -> Numbers:
    return parent * 2 + lasting


def _spans(rows: _Rows, emptied: _Emptied) -> Spans:
    if not len(rows.child):
        return NO_SPANS
    keys = (rows.event, rows.action, rows.time_us, rows.by_class, rows.lasting, rows.parent)
    rows = taken(rows, np.lexsort((*keys, rows.child)))
    pair: Numbers = np.cumsum(_changes(rows.child, rows.parent, rows.lasting, rows.by_class))
    moment = np.flatnonzero(_changes(pair, rows.time_us))  # first row of each pair and time
    said = [_said(rows.action == action, moment) for action in (ADD, OBSERVE, DELETE)]
    out_at, out_next = _next_emptied(rows, moment, emptied)
    said[DELETE] |= out_at & said[OBSERVE]
    _keep_what_is_left(rows, moment, pair[moment], said, (out_at, out_next))
    return _cut(rows, moment, pair[moment], said, out_next)


def _changes(*columns: Column) -> Flags:
    """Return where a row differs from the one before it; True for the first."""
    changed = np.zeros(len(columns[0]), dtype=np.bool_)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


def _said(flags: Flags, moment: Numbers) -> Flags:
    return np.logical_or.reduceat(flags, moment)


def _next_emptied(rows: _Rows, moment: Numbers, emptied: _Emptied) -> tuple[Flags, Numbers]:
    """Return whether the parent was emptied at each moment, and when it was next, after it."""
    if not len(emptied.holder):
        return np.zeros(len(moment), dtype=np.bool_), np.full(len(moment), LAST_US)
    holder = _holder(rows.parent[moment], rows.lasting[moment])
    one, other = one_key((holder, emptied.holder), (rows.time_us[moment], emptied.time_us))
    at, after = np.searchsorted(other, one, "left"), np.searchsorted(other, one, "right")
    place = np.minimum(after, len(other) - 1)
    mine = (after < len(other)) & (emptied.holder[place] == holder)
    return at < after, np.where(mine, emptied.time_us[place], LAST_US)


def _cut(
    rows: _Rows, moment: Numbers, pair: Numbers, said: list[Flags], out_next: Numbers
) -> Spans:
    """Cut each pair's moments into spans: one begins wherever the pair was apart before."""
    time_us = rows.time_us[moment]
    inside = said[ADD] | ~said[DELETE]  # after this moment
    end = np.where(inside, out_next, time_us)  # unless a later moment finds it still inside
    was_inside = np.zeros(len(moment), dtype=np.bool_)
    was_inside[1:] = (pair[1:] == pair[:-1]) & inside[:-1] & (out_next[:-1] >= time_us[1:])
    first = np.flatnonzero(~was_inside)
    last = np.append(first[1:], len(moment)) - 1
    until = end[last]
    before = np.full(len(first), FIRST_US)
    again = np.flatnonzero(pair[first[1:]] == pair[first[:-1]]) + 1
    before[again] = until[again - 1]
    added = said[ADD][first]
    since = np.where(added, time_us[first], before)
    row = moment[first]
    spans = Spans(
        *(rows.child[row], rows.parent[row], rows.lasting[row], rows.by_class[row]),
        *(since, until, rows.event[row], rows.quantity[row], rows.uom[row]),
        missing_add=~added,
    )
    return taken(spans, since < until)


def _keep_what_is_left(
    rows: _Rows,
    moment: Numbers,
    pair: Numbers,
    said: list[Flags],
    out: tuple[Flags, Numbers],
) -> None:
    """Of a class, some can be taken out while some stays: then a DELETE only shows it inside."""
    partly = rows.by_class[moment] & said[DELETE] & ~out[0]
    for number in np.unique(pair[partly]):
        first, end = np.searchsorted(pair, [number, number + 1])
        ends = np.append(moment, len(rows.child))[first : end + 1]
        _balance(rows, ends, range(first, end), said, out)


def _balance(
    rows: _Rows, ends: Numbers, moments: range, said: list[Flags], out: tuple[Flags, Numbers]
) -> None:
    left = _Left()
    for place, number in enumerate(moments):
        mine = slice(ends[place], ends[place + 1])
        time_us = rows.time_us[ends[place]]
        if place and out[1][number - 1] < time_us:
            left = _Left()
        for row in np.flatnonzero(rows.action[mine] == DELETE) + ends[place]:
            left.take(rows.quantity[row], rows.uom[row])
        if out[0][number] or (said[DELETE][number] and (not left.inside or left.is_gone())):
            left = _Left()
        elif said[DELETE][number]:
            said[DELETE][number], said[OBSERVE][number] = False, True
        for row in np.flatnonzero(rows.action[mine] == ADD) + ends[place]:
            left.add(rows.quantity[row], rows.uom[row])
        if said[OBSERVE][number] and not said[DELETE][number]:
            left.show()


class _Left:
    """How much of a class is in a parent."""

    def __init__(self) -> None:
        self.inside, self.known = False, True
        self._uom: int | None = None
        self._added = self._taken = 0.0

    def add(self, quantity: float, uom: int) -> None:
        """Put some in."""
        self._look(quantity, uom)
        self.inside = True
        self._added += quantity

    def take(self, quantity: float, uom: int) -> None:
        """Take some out."""
        self._look(quantity, uom)
        self._taken += quantity

    def show(self) -> None:
        """It was seen inside; when nobody put it there, how much is not known."""
        self.known &= self.inside
        self.inside = True

    def is_gone(self) -> bool:
        """Tell whether as much was taken out as was put in; unknown is not gone."""
        return self.known and self._taken >= self._added * (1 - 1e-9)

    def _look(self, quantity: float, uom: int) -> None:
        self.known &= bool(quantity == quantity) and self._uom in (None, uom)  # noqa: PLR0124 NaN
        self._uom = uom


def _repeated(ordered: Numbers) -> Flags:
    """Return which of ordered numbers are there more than once."""
    repeated = np.zeros(len(ordered), dtype=np.bool_)
    same = ordered[1:] == ordered[:-1]
    repeated[1:] |= same
    repeated[:-1] |= same
    return repeated


def parallel(spans: Spans) -> tuple[Flags, Flags]:
    """Return which spans never end though a later one begins, and which else overlap others.

    Of aggregated single objects: one is in one package at a time, a part may belong to several
    wholes. `spans` are all of their children.
    """
    missing, overlap = np.zeros((2, len(spans.child)), dtype=np.bool_)
    rows = np.flatnonzero(~spans.lasting & ~spans.by_class)
    rows = rows[np.lexsort((spans.since_us[rows], spans.child[rows]))]
    rows = rows[_repeated(spans.child[rows])]
    child, since, until = spans.child[rows], spans.since_us[rows], spans.until_us[rows]
    end = np.where(until == LAST_US, since + 1, until)
    begins, ends = one_key((child, child), (since, end))
    last = np.searchsorted(child, child, "right") - 1
    missing[rows] = (until == LAST_US) & (since < since[last])
    begins_inside = np.searchsorted(begins, ends) - np.searchsorted(begins, begins) > 1
    reached = np.maximum.accumulate(ends)[:-1]
    begins_inside[1:] |= (child[1:] == child[:-1]) & (reached > begins[1:])
    overlap[rows] = begins_inside
    return missing, overlap
