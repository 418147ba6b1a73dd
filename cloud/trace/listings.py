"""The top-level resources: values that visible events hold."""

from sqlalchemy import Connection, Select, exists, func, select

from cloud.model.principal import Scope
from cloud.model.trace_tables import (
    trace_event,
    trace_item,
    trace_said,
    trace_sight,
    trace_use,
    trace_word,
)
from cloud.trace.base import Listing
from cloud.trace.visible import organisations_of, sees_event

ASPECTS = {
    "eventTypes": "type",
    "bizSteps": "biz_step",
    "dispositions": "disposition",
    "bizLocations": "biz_location",
    "readPoints": "read_point",
}
_FEW_MAX = 10_000


def list_values(
    connection: Connection, kind: Listing, scope: Scope, after: str, limit: int
) -> list[str]:
    """Return values by code point, those behind `after`."""
    if kind == "epcs":
        query, value = _items(connection, scope), trace_item.c.id
    else:
        value = trace_word.c.word
        said = select(trace_said.c.word).where(trace_said.c.aspect == ASPECTS[kind])
        if not scope.everything:
            said = said.where(trace_said.c.organisation.in_(organisations_of(scope)))
        query = select(value).where(trace_word.c.word_no.in_(said))
    return list(connection.scalars(query.where(value > after).order_by(value).limit(limit)))


def _items(connection: Connection, scope: Scope) -> Select[tuple[str]]:
    """Begin with the events where they are few, otherwise look at item after item."""
    item, use, query = trace_item.c, trace_use.c, select(trace_item.c.id)
    if not scope.everything:
        ours = trace_sight.c.organisation.in_(organisations_of(scope))
        events = select(trace_sight.c.event_no).where(ours)
        some = events.limit(_FEW_MAX + 1).subquery()
        if (connection.scalar(select(func.count()).select_from(some)) or 0) <= _FEW_MAX:
            mine = select(use.item_no).where(use.event_no.in_(events), use.by_class.is_(False))
            return query.where(item.item_no.in_(mine))
    event = trace_event.alias("e")
    here = (use.item_no == item.item_no, use.by_class.is_(False), use.event_no == event.c.event_no)
    return query.where(exists().where(*here, sees_event(scope, event)))
