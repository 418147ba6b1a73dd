"""Events read back from their rows."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.sql.selectable import FromClause

from cloud.model.principal import Scope
from cloud.model.trace_tables import trace_context, trace_event, trace_word
from cloud.trace.base import StoredEvent
from cloud.trace.bodies import Unpacker
from cloud.trace.prepare import hash_text, id_key
from cloud.trace.visible import sees_event


def whole_events(event: FromClause) -> Select[Any]:
    """Return a query for all that `stored_events` needs, from `trace_event` under an alias."""
    column, context, word = event.c, trace_context.alias().c, trace_word.alias().c
    return select(
        column.event_no, column.event_id, column.hash, column.body, column.event_time_us,
        column.record_time_us, column.declared_at_us, column.voided_by,
        context.contexts, word.word.label("captured_by"),
    ).where(
        context.context_no == column.context_no, word.word_no == column.organisation
    )  # fmt: skip


def stored_events(rows: Iterable[Row[Any]]) -> list[StoredEvent]:
    """Return the events of rows of `whole_events`."""
    unpacker = Unpacker()
    contexts: dict[str, Any] = {}
    return [_stored(row, unpacker, contexts) for row in rows]


def _stored(row: Row[Any], unpacker: Unpacker, contexts: dict[str, Any]) -> StoredEvent:
    if row.contexts not in contexts:
        contexts[row.contexts] = json.loads(row.contexts)
    hash_ = hash_text(row.hash)
    return StoredEvent(
        event_no=row.event_no,
        event_id=row.event_id if row.event_id is not None else hash_,
        hash=hash_,
        body=unpacker.unpack(row.body),
        contexts=contexts[row.contexts],
        event_time_us=row.event_time_us,
        record_time_us=row.record_time_us,
        organisation=row.captured_by,
        declared_at_us=row.declared_at_us,
        voided_by=row.voided_by,
    )


def events_of_id(connection: Connection, event_id: str, scope: Scope) -> list[StoredEvent]:
    """Return all events with an id, in the order of record."""
    event = trace_event.alias("e")
    query = whole_events(event).where(event.c.id_key == id_key(event_id), sees_event(scope, event))
    rows = connection.execute(query.order_by(event.c.event_no))
    return [one for one in stored_events(rows) if one.event_id == event_id]
