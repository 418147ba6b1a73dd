"""The top-level resources: values that visible events hold."""

from sqlalchemy import Connection, exists, select

from cloud.model.principal import Scope
from cloud.model.trace_tables import trace_event, trace_item, trace_use, trace_word
from cloud.trace.base import Listing
from cloud.trace.visible import sees_event

_COLUMNS = {
    "eventTypes": ("type", "type"),
    "bizSteps": ("biz_step", "biz_step"),
    "dispositions": ("disposition", "disposition"),
    "bizLocations": ("place", "biz_location"),
    "readPoints": ("place", "read_point"),
}


def list_values(
    connection: Connection, kind: Listing, scope: Scope, after: str, limit: int
) -> list[str]:
    """Return values by code point, those behind `after`."""
    event = trace_event.alias("e")
    seen = sees_event(scope, event)
    if kind == "epcs":
        use, value = trace_use.c, trace_item.c.id
        here = exists().where(
            use.item_no == trace_item.c.item_no,
            use.by_class.is_(False),
            use.event_no == event.c.event_no,
            seen,
        )
        query = select(value).where(here)
    else:
        word_kind, column = _COLUMNS[kind]
        value = trace_word.c.word
        here = exists().where(event.c[column] == trace_word.c.word_no, seen)
        query = select(value).where(trace_word.c.kind == word_kind, here)
    query = query.where(value > after).order_by(value).limit(limit)
    return list(connection.scalars(query))
