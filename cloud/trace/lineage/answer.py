"""Make an answer of what a walk followed."""

from collections import Counter
from math import isnan

import numpy as np

from cloud.trace.lineage.base import (
    LINK_KINDS,
    REASONS,
    Column,
    Cut,
    Direction,
    Finding,
    Flags,
    Link,
    Node,
    Numbers,
    Step,
    Trace,
    Transformation,
    uom_of,
)
from cloud.trace.lineage.columns import NONE, distinct, first_of, joined, pairs, places, taken
from cloud.trace.lineage.containment import NO_SPANS, Spans, parallel
from cloud.trace.lineage.cycles import in_cycles
from cloud.trace.lineage.table import Table
from cloud.trace.lineage.walk import Ends, Walk

CLASS, MANY, NO_ADD, NO_DELETE, PARENTS, CYCLE, CARRIER = (1 << bit for bit in range(len(REASONS)))
"""A link's reasons, as a set of bits."""
_REASONS = tuple(
    tuple(reason for bit, reason in enumerate(REASONS) if bits >> bit & 1)
    for bits in range(1 << len(REASONS))
)
NO_ENDS = Ends(NONE, NONE, NONE, NONE, NONE > 0, NONE > 0, NONE / 1, NONE)


def answer(walk: Walk, start: tuple[int, ...], direction: Direction, at_us: int) -> Trace:
    """Return the answer of a walk that has ended."""
    ends, spans = _ends(walk), _spans(walk)
    names = _Transformations(walk, joined([NO_ENDS, *walk.whole]))
    end_bits, span_bits = _why_ends(walk, ends, spans, names.many), _why_spans(walk, spans)
    ordered, bits = _links(ends, spans, names, end_bits, span_bits)
    return Trace(
        *(start, direction, at_us, walk.bounds),
        *(_nodes(walk), names.answered(walk), ordered, _steps(walk, ends)),
        *(_findings(bits), Cut(walk.cut_items(), walk.beyond())),
    )


def _nodes(walk: Walk) -> Table[Node]:
    item = walk.admitted
    place, thing = places(walk.things.item, item)
    at_us = walk.carried_at(item)
    at_us[thing] = walk.things.time_us[place[thing]]
    order = np.lexsort((item, at_us))
    return Table(Node, (item, ~thing, walk.admitted_depth, at_us), order)


class _Transformations:
    """The transformations reached, by the first event of each."""

    def __init__(self, walk: Walk, whole: Ends) -> None:
        self.group = walk.groups.item
        self.many = self._many(whole)
        order = np.lexsort((whole.event, whole.time_us, whole.group))
        first = order[first_of(whole.group[order])]
        self.number = whole.event[first]

    def _many(self, whole: Ends) -> Flags:
        """Return which have several inputs and several outputs."""
        many = np.ones(len(self.group), dtype=np.bool_)
        place, _ = places(self.group, whole.group)
        for side in (whole.output, ~whole.output):
            item, of = whole.item[side], place[side]
            one = np.zeros(len(self.group), dtype=np.int64)
            one[of] = item  # any of them: several differ from it
            several = np.zeros(len(self.group), dtype=np.bool_)
            several[of[item != one[of]]] = True
            many &= several
        return many

    def numbers(self, group: Numbers) -> Numbers:
        return self.number[places(self.group, group)[0]] if len(group) else group

    def answered(self, walk: Walk) -> Table[Transformation]:
        order = np.lexsort((self.number, walk.groups.time_us))
        columns = (self.number, walk.groups.depth, walk.groups.time_us)
        return Table(Transformation, columns, order)


def _ends(walk: Walk) -> Ends:
    ends = joined([NO_ENDS, *walk.ends])
    ends = taken(ends, places(walk.admitted, ends.item)[1])
    ends = taken(ends, np.lexsort((ends.by_class, ends.output, ends.item, ends.event)))
    return taken(ends, first_of(ends.event) | first_of(ends.item) | _changes(ends.output))


def _changes(flags: Flags) -> Flags:
    return first_of(flags.astype(np.int64))


def _spans(walk: Walk) -> Spans:
    spans = joined([NO_SPANS, *walk.spans])
    both = places(walk.admitted, spans.child)[1] & places(walk.admitted, spans.parent)[1]
    spans = taken(spans, both)
    spans = taken(spans, np.lexsort(_keys(spans)))
    new = first_of(spans.child) | first_of(spans.parent) | first_of(spans.since_us)
    return taken(spans, new | _changes(spans.by_class) | _changes(spans.lasting))


def _keys(spans: Spans) -> tuple[Column, ...]:
    return (spans.since_us, spans.by_class, spans.lasting, spans.parent, spans.child)


def _why_ends(walk: Walk, ends: Ends, spans: Spans, many: Flags) -> Numbers:
    bits = ends.by_class * CLASS
    place, _ = places(walk.groups.item, ends.group)
    if len(place):
        bits |= many[place] * MANY
    by_carrier = ~ends.output if walk.sign > 0 else ends.output.copy()
    rows = np.flatnonzero(by_carrier)
    by_carrier[rows] = ~walk.things.within(ends.item[rows], ends.time_us[rows])
    if walk.sign < 0:
        left, right = pairs(ends.item, spans.parent)
        time_us = ends.time_us[left]
        inside = (time_us >= spans.since_us[right]) & (time_us < spans.until_us[right])
        by_carrier[left[inside & ~ends.output[left]]] = True
    return bits | by_carrier * CARRIER


def _why_spans(walk: Walk, spans: Spans) -> Numbers:
    bits = spans.by_class * CLASS | spans.missing_add * NO_ADD
    whole = joined([NO_SPANS, *walk.held])
    missing, overlap = parallel(whole)
    if missing.any() or overlap.any():
        order = np.lexsort(_keys(whole))
        found = _rows_in(taken(whole, order), spans)
        bits |= missing[order][found] * NO_DELETE | overlap[order][found] * PARENTS
    return bits | in_cycles(spans) * CYCLE


def _rows_in(whole: Spans, some: Spans) -> Numbers:
    """Return the rows of `whole` at which the spans `some` of them are; both are ordered alike."""
    code = np.zeros(len(whole.child) + len(some.child), dtype=np.int64)
    for one, other in (
        (whole.child, some.child),
        (whole.parent, some.parent),
        (whole.lasting, some.lasting),
        (whole.by_class, some.by_class),
        (whole.since_us, some.since_us),
    ):
        values, rank = np.unique(np.concatenate([one, other]), return_inverse=True)
        code = np.unique(code * len(values) + rank, return_inverse=True)[1]
    return np.searchsorted(code[: len(whole.child)], code[len(whole.child) :])


def _links(
    ends: Ends,
    spans: Spans,
    names: _Transformations,
    end_bits: Numbers,
    span_bits: Numbers,
) -> tuple[Table[Link], Numbers]:
    number = names.numbers(ends.group)
    source = np.where(ends.output, number, ends.item)
    target = np.where(ends.output, ends.item, number)
    kind: Column = np.concatenate([ends.output * 1, 2 + spans.lasting])
    bits = np.concatenate([end_bits, span_bits])
    columns = [
        *(kind, np.append(source, spans.child), np.append(target, spans.parent)),
        *(np.append(ends.event, spans.event), np.append(ends.time_us, spans.since_us)),
        *(np.append(ends.time_us, spans.until_us), np.append(ends.quantity, spans.quantity)),
        *(np.append(ends.uom, spans.uom), bits),
    ]
    order = np.lexsort((columns[3], columns[4]))  # and as ends and spans are ordered
    return Table(_link, columns, order), bits


def _link(
    kind: int,
    source: int,
    target: int,
    event_no: int,
    since_us: int,
    until_us: int,
    quantity: float,
    uom: int,
    bits: int,
) -> Link:
    told = None if isnan(quantity) else quantity
    ends = (source, target, event_no, since_us, until_us)
    return Link(LINK_KINDS[kind], *ends, told, uom_of(uom), _REASONS[bits])


def _findings(bits: Numbers) -> tuple[Finding, ...]:
    counts: Counter[str] = Counter()
    values, times = np.unique(bits, return_counts=True)
    for value, number in zip(values.tolist(), times.tolist(), strict=True):
        for reason in _REASONS[value]:
            counts[reason] += number
    return tuple(Finding(reason, counts[reason]) for reason in REASONS if counts[reason])


def _steps(walk: Walk, ends: Ends) -> Table[Step]:
    """Return the events of things in their time, of carriers while they carried, and of links."""
    counts, event, time_us = walk.seen.moments_of(walk.admitted)
    kept = walk.sign * time_us >= np.repeat(walk.things.signed(walk.admitted), counts)
    windows = walk.carriers()
    left, right = pairs(windows.item, np.repeat(walk.admitted, counts))
    at = time_us[right]
    kept[right[(at >= windows.since_us[left]) & (at < windows.until_us[left])]] = True
    if walk.bounds.horizon_us is not None:
        kept &= walk.sign * time_us <= walk.sign * walk.bounds.horizon_us
    event = distinct(event[kept], ends.event)
    time_us = walk.seen.index.events(event).time_us
    order = np.argsort(time_us, kind="stable")
    return Table(Step, (event, time_us), order)
