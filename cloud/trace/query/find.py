"""One page of a query's answer."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    cast,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.sql.selectable import FromClause

from cloud.model.principal import Scope
from cloud.model.trace_tables import OrderedText, trace_event, trace_facet, trace_sight, trace_word
from cloud.trace.base import EventPage, Position, StoredEvent
from cloud.trace.events import stored_events, whole_events
from cloud.trace.facets import storable
from cloud.trace.insert import head_of
from cloud.trace.query.base import EventQuery, Order, TooLarge
from cloud.trace.query.sql import Compiler
from protocols.epcis.standard import Standard

_TIMED = ("", "record_time", "event_time")


def find_page(
    connection: Connection,
    query: EventQuery,
    standard: Standard,
    scope: Scope,
    after: Position | None,
    limit: int,
) -> EventPage:
    """Return a page; see `TraceStore.find`."""
    event = trace_event.alias("e")
    bound = after.bound if after is not None else head_of(connection)[0]
    left = after.left if after is not None else query.event_count_limit
    size = limit if left is None else min(limit, left)
    compiler = Compiler(connection, event, standard)
    row, conditions = _beginning(compiler, event, query, scope)
    keys = _keys(query.order, row)
    bounds = compiler.bounds(query.conditions, row)
    asked = select(row.c.event_no, *keys).where(row.c.event_no <= bound, *bounds, *conditions)
    if after is None and query.max_event_count is not None:
        _count(connection, asked, query.max_event_count)
    rows = list(connection.execute(_sorted(asked, keys, query.order, after).limit(size + 1)))
    page = rows[:size]
    left = left - len(page) if left is not None else None
    more = len(rows) > size and left != 0
    next_ = Position(bound, tuple(page[-1][1:]), left) if more and page else None
    return EventPage(_whole(connection, [row[0] for row in page]), next_)


def _beginning(
    compiler: Compiler, event: FromClause, query: EventQuery, scope: Scope
) -> tuple[FromClause, list[ColumnElement[bool]]]:
    """Return the table that the query walks, in its order, and the conditions on a row.

    Of one organisation's many events these are its rows of `trace_sight`, and each event is looked
    at in turn. `EXISTS`, as SQLite might begin a join at the other table.
    """
    conditions = compiler.all_of(query.conditions)
    one = not scope.everything and not scope.remits and len(scope.organisations) == 1
    ours = compiler.organisations(scope) if one else []
    if compiler.few or query.order.by not in _TIMED or not ours:
        return event, [compiler.seen_by(scope), *conditions]
    sight = trace_sight.alias("s")
    here = [sight.c.organisation == ours[0]]
    if conditions:
        same = event.c.event_no == sight.c.event_no
        here.append(compiler.each(select(event.c.event_no).where(same, *conditions)))
    return sight, here


def _count(connection: Connection, asked: Select[Any], most: int) -> None:
    some = asked.with_only_columns(literal(1)).limit(most + 1).subquery()
    if (connection.scalar(select(func.count()).select_from(some)) or 0) > most:
        raise TooLarge(f"more than maxEventCount, {most} events")


def _keys(order: Order, event: FromClause) -> list[ColumnElement[Any]]:
    if order.by == "event_time":
        return [event.c.event_time_us, event.c.event_no]
    if order.by in _TIMED:  # record time never falls with the number
        return [event.c.event_no]
    facet, word = trace_facet.alias().c, trace_word.alias().c
    name = select(word.word_no).where(word.kind == "facet", word.word == storable(order.by))
    here = (facet.event_no == event.c.event_no, facet.name.in_(name))
    number = func.min(func.coalesce(facet.number, cast(facet.time_us, Float)))
    values = select(number).where(*here).scalar_subquery()
    texts = select(func.min(facet.text)).where(*here).scalar_subquery()
    empty = literal("", OrderedText)
    return [func.coalesce(values, 0.0), func.coalesce(texts, empty), event.c.event_no]


def _sorted(
    asked: Select[Any], keys: list[ColumnElement[Any]], order: Order, after: Position | None
) -> Select[Any]:
    if after is not None:
        behind, last = tuple_(*keys), tuple_(*after.last, types=[key.type for key in keys])
        asked = asked.where(behind < last if order.descending else behind > last)
    return asked.order_by(*(key.desc() if order.descending else key.asc() for key in keys))


def _whole(connection: Connection, numbers: list[int]) -> list[StoredEvent]:
    event = trace_event.alias("e")
    rows = connection.execute(whole_events(event).where(event.c.event_no.in_(numbers)))
    found = {one.event_no: one for one in stored_events(rows)}
    return [found[number] for number in numbers]
