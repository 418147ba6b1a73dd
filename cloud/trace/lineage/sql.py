"""The trace repository's tables as an index, read as they are, and as columns for segments."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from cloud.model.trace_tables import trace_event, trace_use, trace_word
from cloud.trace.lineage.base import (
    AGGREGATION,
    ASSOCIATION,
    CHILD,
    OTHER,
    PARENT,
    TRANSFORMATION,
    Column,
    Events,
    Numbers,
    Uses,
    code_of,
)
from cloud.trace.lineage.columns import joined, no_uses, taken
from cloud.trace.lineage.segment import EventRows

_ASKED_MAX = 500
"""Numbers in one statement."""
_KINDS = {
    "TransformationEvent": TRANSFORMATION,
    "AggregationEvent": AGGREGATION,
    "AssociationEvent": ASSOCIATION,
}
_event, _use = trace_event.c, trace_use.c
_LIVE = and_(_event.declared_at_us.is_(None), _event.voided_by.is_(None))


class _Fact(NamedTuple):
    """A row of `Events`."""

    time_us: int
    kind: int
    parent: int
    group: int
    childless: bool


class SqlIndex:
    """An `Index` that asks the database. For one trace: it remembers what it was told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kinds = kinds(connection)
        self._facts: dict[int, _Fact] = {}
        self._names: dict[int, str] = {}

    def uses_of(self, items: Numbers) -> Uses:
        """As `Index.uses_of`."""
        return self._uses(items, _use.item_no, _use.role >= 0)

    def uses_in(self, events: Numbers) -> Uses:
        """As `Index.uses_in`."""
        return self._uses(events, _use.event_no, _use.role >= CHILD)

    def _uses(
        self, numbers: Numbers, column: ColumnElement[int], which: ColumnElement[bool]
    ) -> Uses:
        found = [read_uses(self._connection, column.in_(part), which) for part in _parts(numbers)]
        return joined([no_uses(), *found])

    def events(self, events: Numbers) -> Events:
        """As `Index.events`."""
        distinct = np.unique(events)
        wanted = [number for number in distinct.tolist() if number not in self._facts]
        for part in _parts(np.array(wanted, dtype=np.int64)):
            self._learn(part)
        facts = [self._facts[number] for number in distinct.tolist()]
        place = np.searchsorted(distinct, events)
        types = (np.int64, np.uint8, np.int64, np.int64, np.bool_)
        rows: Any = zip(*facts, strict=True) if facts else [()] * len(types)
        columns: list[Column] = [
            np.array(one, type_) for one, type_ in zip(rows, types, strict=True)
        ]
        return Events._make(column[place] for column in columns)

    def _learn(self, events: list[int]) -> None:
        named = select(_use.event_no, _use.role, func.max(_use.item_no).label("item_no"))
        named = named.where(_use.event_no.in_(events), _use.role.in_((PARENT, CHILD)))
        ends = self._all(named.group_by(_use.event_no, _use.role))
        parents = {row.event_no: row.item_no for row in ends if row.role == PARENT}
        full = {row.event_no for row in ends if row.role == CHILD}
        for row in self._all(_EVENTS.where(_event.event_no.in_(events))):
            group = group_of(row.transformation_id)
            if group:
                self._names[group] = row.transformation_id
            kind = kind_of(self._kinds, row.type, row.action)
            number = row.event_no
            fact = _Fact(
                row.event_time_us, kind, parents.get(number, -1), group, number not in full
            )
            self._facts[number] = fact

    def _all(self, query: Any) -> Sequence[Row[Any]]:
        return self._connection.execute(query).all()

    def joined(self, groups: Numbers) -> Numbers:
        """As `Index.joined`."""
        found: list[int] = []
        for part in _parts(groups):
            names = [self._names[number] for number in part]
            query = select(_event.event_no).where(_event.transformation_id.in_(names), _LIVE)
            found += self._connection.scalars(query)
        return np.array(found, dtype=np.int64)


_EVENTS = select(
    *(_event.event_no, _event.event_time_us, _event.type, _event.action),
    _event.transformation_id,
)
_USES = select(
    *(_use.item_no, _use.event_no, _use.role, _use.by_class, _use.quantity, _use.uom)
).join(trace_event, _event.event_no == _use.event_no)


def kinds(connection: Connection) -> dict[int, int]:
    """Return kinds of events by the number of the word that names their type."""
    column = trace_word.c
    query = select(column.word_no, column.word).where(column.kind == "type")
    return {number: _KINDS.get(word, OTHER) for number, word in connection.execute(query).all()}


def kind_of(known: dict[int, int], type_: int, action: int | None) -> int:
    """Return the kind of an event as the index has it."""
    kind = known[type_]
    return kind + (action or 0) if kind >= AGGREGATION else kind


def group_of(transformation_id: str | None) -> int:
    """Return the number of a transformation id; 0 for none."""
    if transformation_id is None:
        return 0
    digest = hashlib.sha256(transformation_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1 | 1


def read_uses(connection: Connection, *which: ColumnElement[bool]) -> Uses:
    """Return the uses of live events that fulfil all of `which`."""
    rows = connection.execute(_USES.where(*which, _LIVE)).all()
    if not rows:
        return no_uses()
    item, event, role, by_class, quantity, uom = zip(*rows, strict=True)
    return Uses(
        *(np.array(item, dtype=np.int64), np.array(event, dtype=np.int64)),
        *(np.array(role, dtype=np.uint8), np.array(by_class, dtype=np.bool_)),
        np.array([np.nan if one is None else one for one in quantity], dtype=np.float64),
        np.array([code_of(one) for one in uom], dtype=np.int64),
    )


def read_stretch(connection: Connection, first: int, end: int) -> tuple[EventRows, Uses, Numbers]:
    """Return live events of [first, end), their uses, and what declarations among them void."""
    here = (_event.event_no >= first, _event.event_no < end)
    rows = connection.execute(_EVENTS.where(*here, _LIVE).order_by(_event.event_no)).all()
    known = kinds(connection)
    event = np.array([row.event_no for row in rows], dtype=np.int64)
    uses = read_uses(connection, _use.event_no >= first, _use.event_no < end)
    uses = taken(uses, np.isin(uses.event, event))  # one may have been voided in between
    kind = [kind_of(known, row.type, row.action) for row in rows]
    group = [group_of(row.transformation_id) for row in rows]
    time_us = [row.event_time_us for row in rows]
    parent = np.full(len(rows), -1)
    held = uses.role == PARENT
    parent[np.searchsorted(event, uses.event[held])] = uses.item[held]
    columns = EventRows(
        *(event, np.array(time_us, dtype=np.int64), np.array(kind, dtype=np.uint8)),
        *(parent, np.array(group, dtype=np.int64)),
        ~np.isin(event, uses.event[uses.role == CHILD]),
    )
    return columns, uses, _voided(connection, first, end)


def _voided(connection: Connection, first: int, end: int) -> Numbers:
    wrong = trace_event.alias().c
    query = (
        select(wrong.event_no)
        .join(trace_event, wrong.id_key == _event.id_key)
        .where(_event.declared_at_us.is_not(None), _event.event_no >= first, _event.event_no < end)
        .where(wrong.voided_by == _event.event_no, wrong.event_no < first)
    )
    return np.unique(np.array(connection.scalars(query).all(), dtype=np.int64))


def _parts(numbers: Numbers) -> list[list[int]]:
    return [
        numbers[start : start + _ASKED_MAX].tolist() for start in range(0, len(numbers), _ASKED_MAX)
    ]
