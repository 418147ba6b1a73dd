"""Conditions of a query as SQL over `trace_event`, the same for both databases.

A condition that few events meet is where the database must begin, one that many meet is what it
must look at event by event; neither database can tell which is which here. So words are turned
into their numbers first, and what remains is counted, up to `FEW_MAX`, before the query is made.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    exists,
    false,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.sql.selectable import FromClause

from cloud.model.principal import Scope
from cloud.model.trace_tables import (
    ACTIONS,
    ROLES,
    trace_event,
    trace_facet,
    trace_item,
    trace_master,
    trace_sight,
    trace_use,
    trace_word,
)
from cloud.trace.event_rows import KINDS
from cloud.trace.facets import storable
from cloud.trace.prepare import hash_digest, id_key
from cloud.trace.query.base import (
    Attribute,
    Condition,
    Declared,
    Facet,
    Match,
    Measured,
    OneOf,
    Operator,
    Quantity,
    Time,
    Within,
)
from cloud.trace.query.units import in_all_units
from cloud.trace.visible import organisations_of, sees_event
from protocols.epcis.standard import Standard

FEW_MAX = 10_000
"""Events of a condition that a query may begin with."""
_COMPARE: dict[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    "EQ": lambda column, value: column == value,
    "GT": lambda column, value: column > value,
    "GE": lambda column, value: column >= value,
    "LT": lambda column, value: column < value,
    "LE": lambda column, value: column <= value,
}


class Compiler:
    """Says conditions on `trace_event`, here under its alias, in SQL."""

    def __init__(self, connection: Connection, event: FromClause, standard: Standard) -> None:
        self._connection, self._event, self._standard = connection, event, standard
        self.few = False
        """Few events meet one of the conditions said so far: the query begins with them."""
        self._compilers: dict[type, Callable[[Any], ColumnElement[bool]]] = {
            OneOf: self._one_of,
            Within: self._within,
            Match: self._match,
            Quantity: self._quantity,
            Measured: self._measured,
            Facet: self._facet,
            Declared: self._declared,
            Attribute: self._attribute,
        }

    def all_of(self, conditions: Sequence[Condition]) -> list[ColumnElement[bool]]:
        """Return the SQL of conditions that must all hold, but of what `bounds` says."""
        times = [one for one in conditions if isinstance(one, Time)]
        others = [one for one in conditions if not isinstance(one, Time)]
        said = [self._compilers[type(one)](one) for one in others]
        said += [self._declared(one) for one in times if one.column == "declared_at"]
        return said + self._few_of_time(times)

    def bounds(self, conditions: Sequence[Condition], row: FromClause) -> list[ColumnElement[bool]]:
        """Return the SQL of times of events and records.

        Args:
            conditions: those of other kinds are left out.
            row: has `event_no` and `event_time_us`, whether of the event or of who sees it.

        """
        return [
            self._first(one, row.c.event_no)
            if one.column == "record_time"
            else _COMPARE[one.operator](row.c.event_time_us, one.us)
            for one in conditions
            if isinstance(one, Time) and one.column != "declared_at"
        ]

    def seen_by(self, scope: Scope) -> ColumnElement[bool]:
        """Return the SQL of what a scope admits."""
        if scope.everything or not scope or scope.remits or self.few:
            return sees_event(scope, self._event)
        ours = self.organisations(scope)
        sight = trace_sight.alias().c
        events = select(sight.event_no).where(sight.organisation.in_(ours))
        return self._few_or_many(events, sees_event(scope, self._event)) if ours else false()

    def organisations(self, scope: Scope) -> list[int]:
        """Return the numbers of the organisations that a scope admits."""
        return list(self._connection.scalars(organisations_of(scope)))

    def _few_or_many(
        self, events: Select[Any], many: ColumnElement[bool] | None = None
    ) -> ColumnElement[bool]:
        """Begin with events, numbers in one column, when they are few.

        Args:
            events: of the condition.
            many: the condition on an event; None: that it is among them.

        """
        some = events.limit(FEW_MAX + 1).subquery()
        count = self._connection.scalar(select(func.count()).select_from(some)) or 0
        if count == 0:
            return self._none()
        number = self._event.c.event_no
        if count <= FEW_MAX:
            self.few = True
            return number.in_(events)
        if many is not None:
            return many
        return self.each(events.where(events.selected_columns[0] == number))

    def each(self, rows: Select[Any]) -> ColumnElement[bool]:
        """Say that there is such a row, asked anew for each event.

        PostgreSQL would join instead, in an order that it estimates; with statistics of another
        time that has multiplied rows for minutes. `OFFSET 0` it does not see through.
        """
        return exists(rows.offset(0) if self._connection.dialect.name == "postgresql" else rows)

    def _none(self) -> ColumnElement[bool]:
        self.few = True
        return false()

    def _word_numbers(self, kind: str, which: ColumnElement[bool]) -> list[int]:
        query = select(trace_word.c.word_no).where(trace_word.c.kind == kind, which)
        return list(self._connection.scalars(query))

    def _is_word(self, column: str, which: ColumnElement[bool]) -> ColumnElement[bool]:
        numbers = self._word_numbers(KINDS[column], which)
        if not numbers:
            return self._none()
        other = trace_event.alias().c
        events = select(other.event_no).where(other[column].in_(numbers))
        return self._few_or_many(events, self._event.c[column].in_(numbers))

    def _one_of(self, one: OneOf) -> ColumnElement[bool]:
        if one.column == "action":
            actions = [ACTIONS.index(value) for value in one.values]
            return self._event.c.action.in_(actions)
        other = trace_event.alias().c
        if one.column == "transformation_id":
            named = other.transformation_id.in_([storable(value) for value in one.values])
            return self._few_or_many(select(other.event_no).where(named))
        if one.column == "event_id":
            ids = or_(false(), *(_has_id(other, value) for value in one.values))
            return self._few_or_many(select(other.event_no).where(ids))
        return self._is_word(one.column, trace_word.c.word.in_([*map(storable, one.values)]))

    def _within(self, one: Within) -> ColumnElement[bool]:
        values = [storable(value) for value in one.values]
        told = trace_master.c
        first = select(told.value.label("id")).where(told.element.in_(values), told.name == "")
        below = first.cte("below", recursive=True)
        child = trace_master.alias().c
        step = select(child.value).where(child.element == below.c.id, child.name == "")
        below = below.union(step)  # not UNION ALL: a cycle in master data ends
        word = trace_word.c.word
        return self._is_word(one.column, or_(word.in_(values), word.in_(select(below.c.id))))

    def _few_of_time(self, times: Sequence[Time]) -> list[ColumnElement[bool]]:
        """Begin with the events of a short time."""
        other = trace_event.alias()
        within = self.bounds([one for one in times if one.column == "event_time"], other)
        if not within:
            return []
        many = true()
        said = self._few_or_many(select(other.c.event_no).where(*within), many)
        return [] if said is many else [said]

    def _first(self, one: Time, number: ColumnElement[int]) -> ColumnElement[bool]:
        column = trace_event.c  # record time never falls with the number
        later = select(column.event_no).where(column.record_time_us >= one.us)
        later = later.order_by(column.record_time_us, column.event_no).limit(1)
        first = self._connection.scalar(later)
        if first is None:
            return false() if one.operator == "GE" else true()
        return _COMPARE[one.operator](number, first)

    def _match(self, one: Match) -> ColumnElement[bool]:
        item, use = trace_item.alias().c, trace_use.alias().c
        named: list[ColumnElement[bool]] = [item.id.in_([storable(value) for value in one.ids])]
        for span in one.spans:
            inside = [item.id >= span.low, item.id < span.high]
            if span.holds is not None:
                inside.append(item.id.contains(span.holds, autoescape=True))
            named.append(and_(*inside))
        items = select(item.item_no).where(or_(*named))
        uses = select(use.event_no).where(
            use.item_no.in_(items),
            use.role.in_([ROLES.index(role) for role in one.roles]),
            use.by_class.is_(one.by_class),
        )
        return self._few_or_many(uses)

    def _quantity(self, one: Quantity) -> ColumnElement[bool]:
        use = trace_use.alias().c
        compared = self._compared(use.quantity, use.uom, one.operator, one.values, one.uom)
        return self._few_or_many(select(use.event_no).where(use.by_class.is_(True), compared))

    def _measured(self, one: Measured) -> ColumnElement[bool]:
        facet = trace_facet.alias().c
        compared = self._compared(facet.number, facet.text, one.operator, one.values, one.uom)
        return self._facets(facet, (f"sensor.{one.field}",), compared)

    def _compared(
        self,
        number: ColumnElement[Any],
        unit: ColumnElement[Any],
        operator: Operator,
        values: Sequence[float],
        uom: str | None,
    ) -> ColumnElement[bool]:
        compare = _COMPARE[operator]
        if uom is None:
            return or_(false(), *(compare(number, value) for value in values))
        parts = [
            and_(unit == code, compare(number, converted))
            for value in values
            for code, converted in in_all_units(self._standard, value, uom).items()
        ]
        return or_(false(), *parts)

    def _facet(self, one: Facet) -> ColumnElement[bool]:
        facet = trace_facet.alias().c
        compare = _COMPARE[one.operator]
        parts = [facet.text == storable(text) for text in one.texts]
        parts += [compare(facet.number, number) for number in one.numbers]
        parts += [compare(facet.time_us, us) for us in one.instants]
        return self._facets(facet, one.names, or_(*parts) if parts else true())

    def _facets(
        self, facet: Any, names: Sequence[str], which: ColumnElement[bool]
    ) -> ColumnElement[bool]:
        words = trace_word.c.word.in_([storable(name) for name in names])
        numbers = self._word_numbers("facet", words)
        if not numbers:
            return self._none()
        return self._few_or_many(select(facet.event_no).where(facet.name.in_(numbers), which))

    def _declared(self, one: Declared | Time) -> ColumnElement[bool]:
        other = trace_event.alias().c
        events = select(other.event_no).where(other.declared_at_us.is_not(None))
        if isinstance(one, Time):
            events = events.where(_COMPARE[one.operator](other.declared_at_us, one.us))
        return self._few_or_many(events)

    def _attribute(self, one: Attribute) -> ColumnElement[bool]:
        told = trace_master.alias().c
        elements = select(told.element).where(told.name.in_(one.names))
        if one.values:
            elements = elements.where(told.value.in_([storable(value) for value in one.values]))
        if one.field in KINDS:
            return self._is_word(one.field, trace_word.c.word.in_(elements))
        if one.field == "epc_class":
            item, use = trace_item.alias().c, trace_use.alias().c
            items = select(item.item_no).where(item.id.in_(elements))
            uses = select(use.event_no).where(use.item_no.in_(items), use.by_class.is_(True))
            return self._few_or_many(uses)
        facet, word, name = trace_facet.alias().c, trace_word.c.word, storable(one.field)
        family = name.endswith(":")
        named = word.startswith(name, autoescape=True) if family else word == name
        numbers = self._word_numbers("facet", named)
        return self._few_or_many(
            select(facet.event_no).where(facet.name.in_(numbers), facet.text.in_(elements))
        )


def _has_id(column: Any, event_id: str) -> ColumnElement[bool]:
    given = column.event_id == event_id
    try:
        digest = hash_digest(event_id)
    except ValueError:
        return and_(column.id_key == id_key(event_id), given)
    by_hash = and_(column.event_id.is_(None), column.hash == digest)
    return and_(column.id_key == id_key(event_id), or_(given, by_hash))
