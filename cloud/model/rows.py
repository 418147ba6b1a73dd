"""Writing many rows in few statements, on either database.

Many, because a driver lets go of the interpreter at each row, and in a busy process it takes
milliseconds to get it back: 200 rows one by one took 0.2 s, a whole group of data longer than that.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table

ROWS_MAX = 64
"""Of one statement; with 15 columns it stays below the 999 parameters that any SQLite takes."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Write whole new `rows`."""
    for sql, values in _statements(connection, table, rows, ""):
        connection.exec_driver_sql(sql, values)


def insert_tuples(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write whole new rows, each with a value for every column of the table, in its order."""
    mark, start = _mark(connection), 0
    while start < len(rows):
        count = _count(len(rows) - start)
        part = rows[start : start + count]
        values = [  # as `_storable`, which is called for each otherwise
            value.replace("\0", "\ufffd") if type(value) is str and "\0" in value else value
            for row in part
            for value in row
        ]
        connection.exec_driver_sql(_sql(table, count, mark), tuple(values))
        start += count


def replace_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Write whole `rows`, each over the one with the same primary key; no key twice."""
    keys = [column.name for column in table.primary_key]
    changed = [f"{c.name} = excluded.{c.name}" for c in table.c if c.name not in keys]
    end = f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(changed)}"
    for sql, values in _statements(connection, table, rows, end):
        connection.exec_driver_sql(sql, values)


def _statements(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], end: str
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Cut rows into powers of two, so that there are few statements to know."""
    names, start = [column.name for column in table.c], 0
    mark = _mark(connection)
    while start < len(rows):
        count = _count(len(rows) - start)
        part = rows[start : start + count]
        yield (
            _sql(table, count, mark) + end,
            tuple(_storable(row[name]) for row in part for name in names),
        )
        start += count


def _mark(connection: Connection) -> str:
    return "?" if connection.dialect.name == "sqlite" else "%s"


def _count(left: int) -> int:
    return min(ROWS_MAX, 1 << left.bit_length() - 1)


def _storable(value: Any) -> Any:
    """Do to a text what the column type does elsewhere: PostgreSQL takes no NUL in it."""
    return value.replace("\0", "\ufffd") if type(value) is str and "\0" in value else value


@lru_cache
def _sql(table: Table, count: int, mark: str) -> str:
    names = [column.name for column in table.c]
    row = f"({', '.join([mark] * len(names))})"
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([row] * count)}"  # noqa: S608
