"""Writing rows that may be there already, on either database."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def replace_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Write whole `rows`, each over the one with the same primary key."""
    if rows:
        connection.execute(_upsert(table, connection.dialect.name), list(rows))


@lru_cache
def _upsert(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """Make the statement once: SQLAlchemy takes longer to make it than SQLite to carry it out."""
    dialects = postgresql if dialect == "postgresql" else sqlite
    statement = dialects.insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {
        column.name: statement.excluded[column.name]
        for column in table.c
        if column.name not in keys
    }
    upsert: sqlite.Insert | postgresql.Insert
    upsert = statement.on_conflict_do_update(index_elements=keys, set_=changed)
    return upsert
