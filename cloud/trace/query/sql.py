"""Conditions of a query as SQL over `trace_event`, the same for both databases.

What is rare enough to begin with (an item, a text) is said as IN, so that the database may begin
there; what is not (a range of numbers) as EXISTS, so that it is looked at event by event.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select
from sqlalchemy.sql.selectable import FromClause

from cloud.model.trace_tables import (
    ACTIONS,
    ROLES,
    trace_facet,
    trace_item,
    trace_master,
    trace_use,
    trace_word,
)
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
from protocols.epcis.standard import Standard

_KINDS = {
    "type": "type",
    "biz_step": "biz_step",
    "disposition": "disposition",
    "read_point": "place",
    "biz_location": "place",
}
_COMPARE: dict[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    "EQ": lambda column, value: column == value,
    "GT": lambda column, value: column > value,
    "GE": lambda column, value: column >= value,
    "LT": lambda column, value: column < value,
    "LE": lambda column, value: column <= value,
}
_TIMES = {
    "event_time": "event_time_us",
    "record_time": "record_time_us",
    "declared_at": "declared_at_us",
}


def holds(condition: Condition, event: FromClause, standard: Standard) -> ColumnElement[bool]:
    """Return the SQL of a condition on `trace_event` under an alias."""
    if isinstance(condition, Measured):
        return _measured(condition, event, standard)
    if isinstance(condition, Quantity):
        return _quantity(condition, event, standard)
    return _COMPILERS[type(condition)](condition, event)


def _one_of(one: OneOf, event: FromClause) -> ColumnElement[bool]:
    column = event.c
    if one.column == "action":
        return column.action.in_([ACTIONS.index(v) for v in one.values if v in ACTIONS])
    if one.column == "transformation_id":
        return column.transformation_id.in_([storable(value) for value in one.values])
    if one.column == "event_id":
        return or_(false(), *(_has_id(value, event) for value in one.values))
    words = [storable(value) for value in one.values]
    return _is_word(event.c[one.column], _KINDS[one.column], trace_word.c.word.in_(words))


def _has_id(event_id: str, event: FromClause) -> ColumnElement[bool]:
    column = event.c
    given = column.event_id == event_id
    try:
        digest = hash_digest(event_id)
    except ValueError:
        return and_(column.id_key == id_key(event_id), given)
    by_hash = and_(column.event_id.is_(None), column.hash == digest)
    return and_(column.id_key == id_key(event_id), or_(given, by_hash))


def _is_word(
    column: ColumnElement[Any], kind: str, *which: ColumnElement[bool]
) -> ColumnElement[bool]:
    return column.in_(select(trace_word.c.word_no).where(trace_word.c.kind == kind, *which))


def _within(one: Within, event: FromClause) -> ColumnElement[bool]:
    values = [storable(value) for value in one.values]
    told = trace_master.c
    first = select(told.value.label("id")).where(told.element.in_(values), told.name == "")
    below = first.cte("below", recursive=True)
    child = trace_master.alias().c
    step = select(child.value).where(child.element == below.c.id, child.name == "")
    below = below.union(step)  # not UNION ALL: a cycle in master data ends
    word = trace_word.c.word
    inside = or_(word.in_(values), word.in_(select(below.c.id)))
    return _is_word(event.c[one.column], "place", inside)


def _time(one: Time, event: FromClause) -> ColumnElement[bool]:
    return _COMPARE[one.operator](event.c[_TIMES[one.column]], one.us)


def _match(one: Match, event: FromClause) -> ColumnElement[bool]:
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
    return event.c.event_no.in_(uses)


def _quantity(one: Quantity, event: FromClause, standard: Standard) -> ColumnElement[bool]:
    use = trace_use.alias().c
    compared = _compared(use.quantity, use.uom, one.operator, one.values, one.uom, standard)
    here = (use.event_no == event.c.event_no, use.by_class.is_(True))
    return exists(select(use.event_no).where(*here, compared))


def _measured(one: Measured, event: FromClause, standard: Standard) -> ColumnElement[bool]:
    facet = trace_facet.alias().c
    compared = _compared(facet.number, facet.text, one.operator, one.values, one.uom, standard)
    named = _named((f"sensor.{one.field}",), facet.name)
    here = (facet.event_no == event.c.event_no, named)
    return exists(select(facet.event_no).where(*here, compared))


def _compared(
    number: ColumnElement[Any],
    unit: ColumnElement[Any],
    operator: Operator,
    values: Sequence[float],
    uom: str | None,
    standard: Standard,
) -> ColumnElement[bool]:
    compare = _COMPARE[operator]
    if uom is None:
        return or_(false(), *(compare(number, value) for value in values))
    parts = [
        and_(unit == code, compare(number, converted))
        for value in values
        for code, converted in in_all_units(standard, value, uom).items()
    ]
    return or_(false(), *parts)


def _facet(one: Facet, event: FromClause) -> ColumnElement[bool]:
    facet = trace_facet.alias().c
    query = select(facet.event_no).where(_named(one.names, facet.name))
    compare = _COMPARE[one.operator]
    parts = [facet.text == storable(text) for text in one.texts]
    parts += [compare(facet.number, number) for number in one.numbers]
    parts += [compare(facet.time_us, us) for us in one.instants]
    if parts:
        query = query.where(or_(*parts))
    if one.operator == "EQ" and one.texts:
        return event.c.event_no.in_(query)
    return exists(query.where(facet.event_no == event.c.event_no))


def _named(names: Sequence[str], column: ColumnElement[Any]) -> ColumnElement[bool]:
    words = [storable(name) for name in names]
    return _is_word(column, "facet", trace_word.c.word.in_(words))


def _declared(_: Declared, event: FromClause) -> ColumnElement[bool]:
    return event.c.declared_at_us.is_not(None)


def _attribute(one: Attribute, event: FromClause) -> ColumnElement[bool]:
    told = trace_master.alias().c
    elements = select(told.element).where(told.name.in_(one.names))
    if one.values:
        elements = elements.where(told.value.in_([storable(value) for value in one.values]))
    if one.field in _KINDS:
        column = event.c[one.field]
        return _is_word(column, _KINDS[one.field], trace_word.c.word.in_(elements))
    return event.c.event_no.in_(
        _uses_of(elements) if one.field == "epc_class" else _facets_of(one, elements)
    )


def _uses_of(elements: Select[Any]) -> Select[Any]:
    item, use = trace_item.alias().c, trace_use.alias().c
    items = select(item.item_no).where(item.id.in_(elements))
    return select(use.event_no).where(use.by_class.is_(True), use.item_no.in_(items))


def _facets_of(one: Attribute, elements: Select[Any]) -> Select[Any]:
    facet, word = trace_facet.alias().c, trace_word.c.word
    name = storable(one.field)
    named = and_(word >= name, word < name[:-1] + ";") if name.endswith(":") else word == name
    fits = _is_word(facet.name, "facet", named)
    return select(facet.event_no).where(fits, facet.text.in_(elements))


_COMPILERS: dict[type, Callable[[Any, FromClause], ColumnElement[bool]]] = {
    OneOf: _one_of,
    Within: _within,
    Time: _time,
    Match: _match,
    Facet: _facet,
    Declared: _declared,
    Attribute: _attribute,
}
