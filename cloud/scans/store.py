"""Scans kept in the state database."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from cloud.model import tables
from cloud.model.logged import LoggedBatch
from protocols.records import Scan

_KEY = ("gateway", "spool", "stream", "seq", "record_index")


NAME, MARK = "scans", b'"scan"'
"""Of the follower that keeps them."""


def keep_scans(connection: Connection, batches: Sequence[LoggedBatch]) -> None:
    """Keep the scans of batches."""
    insert_scans(connection, [row for batch in batches for row in rows_of(batch)])


def rows_of(batch: LoggedBatch) -> list[dict[str, Any]]:
    """Return the scans of a batch as rows; one read a second time makes the same rows."""
    return [
        {
            "gateway": batch.gateway,
            "spool": batch.spool,
            "stream": batch.stream,
            "seq": batch.seq,
            "record_index": index,
            "reader": record.reader,
            "step": record.step,
            "observed_at": record.at + batch.offset_ms,
            "received_at": batch.received_at,
            "time_unknown": batch.placing == "unknown",
            "codes": _json(record.codes),
            "findings": _json(record.findings),
            "verdict": None if record.verdict is None else _json(record.verdict),
            "operator": record.operator,
            "rssi_dbm": record.rssi_dbm,
        }
        for index, record in batch.taken()
        if isinstance(record, Scan)
    ]


def insert_scans(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep scans; those that are there already stay as they are."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement: Any = dialect.insert(tables.scan)
        connection.execute(statement.on_conflict_do_nothing(index_elements=_KEY), list(rows))


def _json(data: object) -> str:
    return msgspec.json.encode(data).decode()
