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
from cloud.model.trace_tables import OrderedText, trace_event, trace_facet, trace_word
from cloud.trace.base import EventPage, Position, StoredEvent
from cloud.trace.events import stored_events, whole_events
from cloud.trace.facets import storable
from cloud.trace.insert import head_of
from cloud.trace.query.base import EventQuery, Order, TooLarge
from cloud.trace.query.sql import Compiler
from protocols.epcis.standard import Standard


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
    keys = _keys(query.order, event)
    compiler = Compiler(connection, event, standard)
    asked = select(event.c.event_no, *keys).where(
        event.c.event_no <= bound,
        compiler.seen_by(scope),
        *compiler.all_of(query.conditions),
    )
    if after is None and query.max_event_count is not None:
        _count(connection, asked, query.max_event_count)
    rows = list(connection.execute(_sorted(asked, keys, query.order, after).limit(size + 1)))
    page = rows[:size]
    left = left - len(page) if left is not None else None
    more = len(rows) > size and left != 0
    next_ = Position(bound, tuple(page[-1][1:]), left) if more and page else None
    return EventPage(_whole(connection, [row[0] for row in page]), next_)


def _count(connection: Connection, asked: Select[Any], most: int) -> None:
    some = asked.with_only_columns(literal(1)).limit(most + 1).subquery()
    if (connection.scalar(select(func.count()).select_from(some)) or 0) > most:
        raise TooLarge(f"more than maxEventCount, {most} events")


def _keys(order: Order, event: FromClause) -> list[ColumnElement[Any]]:
    if order.by == "event_time":
        return [event.c.event_time_us, event.c.event_key]
    if order.by in ("", "record_time"):  # record time never falls with the number
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
