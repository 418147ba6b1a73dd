"""Writes the rows of one day and the log positions they bring, in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb

from cloud.model.logged import Positions
from cloud.telemetry.day_files.collect import DayRows
from cloud.telemetry.day_files.layout import EXTRA, STAGES, wide
from cloud.telemetry.day_files.opening import DayFile


@contextmanager
def transaction(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit at the end of the block, or undo all of it."""
    cursor.execute("BEGIN")
    try:
        yield
        cursor.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):  # a failed commit has undone it already
            cursor.execute("ROLLBACK")
        raise


def commit_day(
    cursor: duckdb.DuckDBPyConnection,
    file: DayFile,
    rows: DayRows,
    *,
    through: Positions,
    noted: dict[int, Positions],
    skip_stored: bool,
) -> None:
    """Store `rows` durably; `skip_stored`: some of them may be there, being saved from damage."""
    with transaction(cursor):
        for kind, wide_rows in rows.wide.items():
            if len(wide_rows):
                table = wide_rows.table(file.layouts[kind])
                _insert(cursor, file, wide(kind), table, skip_stored=skip_stored)
        if len(rows.extra):
            _insert(cursor, file, EXTRA, rows.extra.table(), skip_stored=skip_stored)
        write_marks(cursor, file, applied=rows.positions, through=through)
        for day, positions in noted.items():
            cursor.execute(f"DELETE FROM {file.own('noted')} WHERE day = ?", [day])  # noqa: S608
            for partition, position in positions.items():
                cursor.execute(
                    f"INSERT INTO {file.own('noted')} VALUES (?, ?, ?)",  # noqa: S608
                    [day, partition, position],
                )
    file.partitions.update(rows.positions, through)
    file.guard.follow()


def write_marks(
    cursor: duckdb.DuckDBPyConnection, file: DayFile, *, applied: Positions, through: Positions
) -> None:
    """Raise the positions in a file, inside the caller's transaction."""
    for partition in applied.keys() | through.keys():
        new = [applied.get(partition, 0), through.get(partition, 0), partition]
        if partition in file.partitions:
            cursor.execute(
                f"UPDATE {file.own('mark')} SET applied = greatest(applied, ?),"  # noqa: S608
                " through = greatest(through, ?) WHERE partition = ?",
                new,
            )
        else:
            cursor.execute(
                f"INSERT INTO {file.own('mark')}(applied, through, partition) VALUES (?, ?, ?)",  # noqa: S608
                new,
            )


def _insert(
    cursor: duckdb.DuckDBPyConnection,
    file: DayFile,
    content: str,
    incoming: object,
    *,
    skip_stored: bool,
) -> None:
    condition = _not_stored(file, content) if skip_stored else ""
    cursor.register("incoming", incoming)
    try:
        cursor.execute(
            f"INSERT INTO {file.table('arrival', content)} BY NAME"  # noqa: S608
            f" SELECT * FROM incoming AS i{condition}"
        )
    finally:
        with suppress(duckdb.Error):  # refused after an error, which is what the caller must see
            cursor.unregister("incoming")


def _not_stored(file: DayFile, content: str) -> str:
    """Leave out rows that are there: by their place in the log, and what they speak of."""
    same = ["_sequence", "_partition", "_asset", "_at"] + ["_point"] * (content == EXTRA)
    match = " AND ".join(f"s.{column} = i.{column}" for column in same)
    tests = [
        f"NOT EXISTS (SELECT 1 FROM {file.table(stage, content)} AS s WHERE {match})"  # noqa: S608
        for stage in STAGES
    ]
    return " WHERE " + " AND ".join(tests)
