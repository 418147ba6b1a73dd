"""Makes the tables of a day file, and reads what it says of log positions."""

import duckdb

from cloud.telemetry.day_files.layout import (
    EXTRA,
    EXTRA_COLUMNS,
    OWN_COLUMNS,
    STAGES,
    Layout,
    quoted,
    table_name,
    wide,
)
from cloud.telemetry.day_files.ledger import Marks


def bring_up(
    cursor: duckdb.DuckDBPyConnection, alias: str, wanted: dict[str, Layout]
) -> dict[str, Layout]:
    """Make what a new file, or one of an older catalog, lacks.

    Returns the points' columns of each wide table, as this file has them.
    """
    found: dict[str, dict[str, str]] = {}
    query = (
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = ?"
    )
    for table, column, type_ in cursor.execute(query, [alias]).fetchall():
        found.setdefault(table, {})[column] = type_
    contents: dict[str, dict[str, str]] = {
        wide(kind): {**OWN_COLUMNS, **points} for kind, points in wanted.items()
    }
    contents[EXTRA] = EXTRA_COLUMNS
    statements = [
        f"CREATE TABLE {quoted(alias)}.{name}"
        for name in (
            "mark(partition VARCHAR, applied BIGINT, through BIGINT)",
            "noted(day BIGINT, partition VARCHAR, position BIGINT)",
        )
        if name.split("(")[0] not in found
    ]
    for content, columns in contents.items():
        for stage in STAGES:
            name = table_name(stage, content)
            statements += _missing(alias, name, columns, found.get(name))
    if statements:
        cursor.execute("BEGIN")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("COMMIT")
    return {kind: _columns(found, kind, points) for kind, points in wanted.items()}


def _missing(
    alias: str, name: str, columns: dict[str, str], found: dict[str, str] | None
) -> list[str]:
    table = f"{quoted(alias)}.{quoted(name)}"
    if found is None:
        body = ", ".join(f"{quoted(column)} {type_}" for column, type_ in columns.items())
        return [f"CREATE TABLE {table}({body})"]
    return [
        f"ALTER TABLE {table} ADD COLUMN {quoted(column)} {type_}"
        for column, type_ in columns.items()
        if column not in found
    ]


def _columns(found: dict[str, dict[str, str]], kind: str, wanted: Layout) -> Layout:
    """Return the points' columns: a type that was other when the file was made stays."""
    have = found.get(table_name("arrival", wide(kind)), {})
    kept = {column: type_ for column, type_ in have.items() if not column.startswith("_")}
    return {**wanted, **kept}  # type: ignore[dict-item]  # only our own types are ever made


def read_marks(cursor: duckdb.DuckDBPyConnection, alias: str) -> tuple[Marks, set[str]]:
    """Return what a file says of positions, and the partitions that table `mark` has."""
    marks = Marks()
    rows = cursor.execute(f"SELECT partition, applied, through FROM {quoted(alias)}.mark")  # noqa: S608
    partitions = set()
    for partition, applied, through in rows.fetchall():
        partitions.add(partition)
        marks.applied[partition] = applied
        marks.through[partition] = through
    rows = cursor.execute(f"SELECT day, partition, position FROM {quoted(alias)}.noted")  # noqa: S608
    for day, partition, position in rows.fetchall():
        marks.noted.setdefault(day, {})[partition] = position
    return marks, partitions
