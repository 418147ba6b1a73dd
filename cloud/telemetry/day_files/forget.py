"""What is let go on purpose: days beyond retention, and rows of groups that the log forgot."""

import os
from pathlib import Path

import duckdb

from cloud.telemetry.day_files.insert import transaction
from cloud.telemetry.day_files.layout import EXTRA, ROW_BITS, STAGES, file_name, wide
from cloud.telemetry.day_files.opening import DayFile
from cloud.telemetry.day_files.repair import Repairer, escaped, sync_folder


class Horizon:
    """Before it all days are gone and stay so; kept in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "dropped_before"
        text = self._path.read_text() if self._path.exists() else ""
        self.ms = int(text) if text.removeprefix("-").isdigit() else -(2**63)
        """ms since 1970."""

    def move(self, ms: int) -> None:
        """Move it on, durably; it never goes back."""
        if ms <= self.ms:
            return
        self.ms = ms
        new = self._path.with_suffix(".new")
        with new.open("w") as file:
            file.write(str(ms))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        sync_folder(self._path.parent)


def set_aside_after(
    cursor: duckdb.DuckDBPyConnection,
    file: DayFile,
    repairer: Repairer,
    partition: str,
    head: int,
) -> None:
    """Take back what a file holds of `partition` after position `head`.

    The rows go to Parquet files beside the damaged ones. With `head` 0 the log is a new one and
    says nothing about the rows: they stay.
    """
    first = (head + 1) << ROW_BITS
    for content in (EXTRA, *map(wide, file.layouts)) if head else ():
        for stage in STAGES:
            _export(cursor, file, repairer, (stage, content), partition, first)
    with transaction(cursor):
        for content in (EXTRA, *map(wide, file.layouts)) if head else ():
            for stage in STAGES:
                cursor.execute(
                    f"DELETE FROM {file.table(stage, content)}"  # noqa: S608
                    " WHERE _partition = ? AND _sequence >= ?",
                    [partition, first],
                )
        cursor.execute(
            f"UPDATE {file.own('mark')} SET applied = least(applied, ?),"  # noqa: S608
            " through = least(through, ?) WHERE partition = ?",
            [head, head, partition],
        )
        cursor.execute(
            f"UPDATE {file.own('noted')} SET position = least(position, ?) WHERE partition = ?",  # noqa: S608
            [head, partition],
        )


def _export(
    cursor: duckdb.DuckDBPyConnection,
    file: DayFile,
    repairer: Repairer,
    table: tuple[str, str],
    partition: str,
    first: int,
) -> None:
    source = f"FROM {file.table(*table)} WHERE _partition = ? AND _sequence >= ?"
    count = cursor.execute(f"SELECT count(*) {source}", [partition, first]).fetchall()[0][0]
    if count:
        stem = f"{file_name(file.day)}.{'.'.join(table)}"
        target = repairer.set_aside_name(stem, ".parquet")
        cursor.execute(
            f"COPY (SELECT * {source}) TO '{escaped(target)}' (FORMAT parquet)",
            [partition, first],
        )
