"""How far each consumer has come in the log."""

from sqlalchemy import Connection, select

from cloud.model import tables
from cloud.model.logged import Positions
from cloud.model.rows import replace_rows


def load_positions(connection: Connection, consumer: str) -> Positions:
    """Read a cursor."""
    table = tables.cursor
    query = select(table.c.partition, table.c.position).where(table.c.consumer == consumer)
    return {row[0]: row[1] for row in connection.execute(query)}


def save_positions(connection: Connection, consumer: str, positions: Positions) -> None:
    """Write a cursor."""
    rows = [
        {"consumer": consumer, "partition": partition, "position": position}
        for partition, position in positions.items()
    ]
    replace_rows(connection, tables.cursor, rows)
