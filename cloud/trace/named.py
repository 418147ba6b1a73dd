"""Named queries, each an organisation's own."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select

from cloud.model.database import take_turn
from cloud.model.rows import insert_rows
from cloud.model.trace_tables import trace_named_query as table
from cloud.trace.base import NamedQuery
from protocols.errors import RefuseInput


def put_query(connection: Connection, query: NamedQuery) -> None:
    """Keep a query; RefuseInput `name_taken`."""
    take_turn(connection, f"trace query {query.organisation}")
    if find_query(connection, query.organisation, query.name) is not None:
        raise RefuseInput("name_taken", query.name)
    row = msgspec.structs.asdict(query)
    insert_rows(connection, table, [{**row, "query": msgspec.json.encode(query.query).decode()}])


def find_query(connection: Connection, organisation: str, name: str) -> NamedQuery | None:
    """Return a query."""
    here = (table.c.organisation == organisation, table.c.name == name)
    row = connection.execute(select(table).where(*here)).first()
    return _named(row) if row is not None else None


def list_queries(
    connection: Connection, organisation: str, after: str, limit: int
) -> list[NamedQuery]:
    """Return queries by name, those behind `after`."""
    query = select(table).where(table.c.organisation == organisation, table.c.name > after)
    return [_named(row) for row in connection.execute(query.order_by(table.c.name).limit(limit))]


def delete_query(connection: Connection, organisation: str, name: str) -> None:
    """Forget a query; RefuseInput `not_found`."""
    gone = delete(table).where(table.c.organisation == organisation, table.c.name == name)
    if connection.execute(gone).rowcount == 0:
        raise RefuseInput("not_found", name)


def _named(row: Row[Any]) -> NamedQuery:
    return NamedQuery(
        name=row.name,
        query=msgspec.json.decode(row.query),
        by=row.by,
        organisation=row.organisation,
        created_at_ms=row.created_at_ms,
    )
