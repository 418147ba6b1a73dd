"""Writing rows that may be there already, on any database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, insert


def replace_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Write `rows`, each instead of the one with the same primary key."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    matches = and_(*(table.c[key] == bindparam(f"key_{key}") for key in keys))
    connection.execute(
        delete(table).where(matches), [{f"key_{key}": row[key] for key in keys} for row in rows]
    )
    connection.execute(insert(table), list(rows))
