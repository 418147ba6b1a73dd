"""Scans in the state database."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, select
from sqlalchemy.dialects import postgresql, sqlite

from cloud.model import tables
from cloud.model.logged import LoggedBatch
from cloud.model.principal import EVERYTHING, Scope
from cloud.model.scan import KeptScan
from cloud.model.visible import sees_gateway
from protocols.records import Code, Scan, Verdict

_codes = msgspec.json.Decoder(list[Code])
_words = msgspec.json.Decoder(list[str])
_verdict = msgspec.json.Decoder(Verdict)
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


def find_scans(
    connection: Connection,
    *,
    scope: Scope = EVERYTHING,
    among: Sequence[str] | None = None,
    gateway: str | None = None,
    reader: str | None = None,
    code: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[KeptScan]:
    """Return scans, the latest stored first.

    Args:
        connection: to the state database.
        scope: only of gateways that an asset in it names.
        among: the gateways that the scope admits if they are few, asked one by one: what is rare
            among many would be found by going through all.
        gateway: only of this gateway.
        reader: only of this reader or scanner.
        code: only those in which some code's value is exactly this.
        before_id: only with a smaller id.
        limit: at most so many.

    """
    if among is not None and gateway is None:
        each = [
            find_scans(
                connection,
                gateway=one,
                reader=reader,
                code=code,
                before_id=before_id,
                limit=limit,
            )
            for one in among
        ]
        found = [scan for scans in each for scan in scans]
        return sorted(found, key=lambda scan: -scan.id)[:limit]
    scan = tables.scan.c
    query: Select[Any] = select(tables.scan).where(sees_gateway(scope, scan.gateway))
    query = query.order_by(scan.id.desc()).limit(limit)
    for column, wanted in ((scan.gateway, gateway), (scan.reader, reader)):
        if wanted is not None:
            query = query.where(column == wanted)
    if before_id is not None:
        query = query.where(scan.id < before_id)
    if code is not None:
        query = query.where(scan.codes.contains(f'"value":{_json(code)}', autoescape=True))
    return [_kept(row) for row in connection.execute(query).mappings()]


def _kept(row: Any) -> KeptScan:
    return KeptScan(
        id=row["id"],
        gateway=row["gateway"],
        reader=row["reader"],
        step=row["step"],
        observed_at=row["observed_at"],
        received_at=row["received_at"],
        time_unknown=row["time_unknown"],
        codes=_codes.decode(row["codes"]),
        findings=_words.decode(row["findings"]),
        verdict=None if row["verdict"] is None else _verdict.decode(row["verdict"]),
        operator=row["operator"],
        rssi_dbm=row["rssi_dbm"],
    )


def _json(data: object) -> str:
    return msgspec.json.encode(data).decode()
