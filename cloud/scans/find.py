"""Scans found in the state database, the latest stored first, whoever may see how much of them.

A read for some gateways goes one way, in two steps. The newest ids are read downwards, and the page
is made of those of the gateways: where these are many, as for an office, it is full after a few.
What is missing then is rare among all, and is read from the index of each gateway by itself.

The limits of it: at most `STEPS_PER_GATEWAY` ids for each gateway are read downwards, which costs
no more than the looks into the indexes, and none for up to `FEW` gateways, whose looks cost little.
So it never takes much longer than a look for each gateway (on SQLite 2 µs, and 8 µs where there is
much to see; on PostgreSQL 5 to 15 µs), however many scans of others there are. Who sees thousands
of gateways that have seen nothing for long waits the longest: 5 ms for each thousand on SQLite.
A search by code or reader goes through all scans of the gateways, as one without them through all.
"""

from collections.abc import Sequence
from functools import cache
from itertools import compress
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    bindparam,
    cast,
    func,
    select,
    true,
)

from cloud.model import tables
from cloud.model.field_tables import trace_left_out
from cloud.model.scan import KeptScan, NoEvent
from protocols.records import Code, Verdict

FEW = 300
STEPS_PER_GATEWAY = 12
FIRST_STEP = 4
"""Times as many ids as are asked for are read first, then what should hold what is missing."""
ID_END = 2**62

_codes = msgspec.json.Decoder(list[Code])
_words = msgspec.json.Decoder(list[str])
_verdict = msgspec.json.Decoder(Verdict)
_scan = tables.scan
_OF_IDS = (
    select(_scan)
    .where(_scan.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_scan.c.id.desc())
)
_left = trace_left_out
_RECORD = ("gateway", "spool", "stream", "seq", "record_index")
_NO_EVENT = (
    select(_scan.c.id, _left.c.code_index, _left.c.reason, _left.c.detail)
    .where(*(_scan.c[name] == _left.c[name] for name in _RECORD))
    .where(_scan.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_scan.c.id, _left.c.code_index)
)


def find_scans(
    connection: Connection,
    *,
    among: frozenset[str] | None = None,
    gateway: str | None = None,
    reader: str | None = None,
    code: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[KeptScan]:
    """Return scans, the latest stored first.

    Args:
        connection: to the state database.
        among: only of these gateways, None for all of them.
        gateway: only of this gateway.
        reader: only of this reader or scanner.
        code: only those in which some code's value is exactly this.
        before_id: only with a smaller id.
        limit: at most so many.

    """
    asked = {"gateway": gateway, "reader": reader, "code": None if code is None else _held(code)}
    filters = {name: wanted for name, wanted in asked.items() if wanted is not None}
    below = ID_END if before_id is None else before_id
    if gateway is not None and among is not None:
        among = None if gateway in among else frozenset()
    if among is None:
        query = _newest(frozenset(filters))
        rows = list(connection.execute(query, {**filters, "below": below, "limit": limit}))
    else:
        rows = _of_gateways(connection, among, filters, below, limit)
    told = _no_events(connection, [row.id for row in rows])
    return [
        _kept(row._mapping, told.get(row.id, []))  # noqa: SLF001  # SQLAlchemy's public way
        for row in rows
    ]


def _no_events(connection: Connection, ids: Sequence[int]) -> dict[int, list[NoEvent]]:
    found: dict[int, list[NoEvent]] = {}
    for row in connection.execute(_NO_EVENT, {"ids": ids}) if ids else ():
        code = row.code_index if row.code_index >= 0 else None
        one = NoEvent(reason=row.reason, detail=row.detail, code=code)
        found.setdefault(row.id, []).append(one)
    return found


def _of_gateways(
    connection: Connection, among: frozenset[str], filters: dict[str, str], below: int, limit: int
) -> list[Any]:
    rows = list[Any]()
    if len(among) > FEW:
        found, below = _read_down(connection, among, filters, below, limit)
        rows += connection.execute(_OF_IDS, {"ids": found})
    if among and len(rows) < limit:
        rest = limit - len(rows)
        asked = {**filters, "below": below, "limit": rest, "skipped": rest - 1}
        query = _of_each(frozenset(filters), connection.dialect.name)
        gateways = msgspec.json.encode(list(among)).decode()
        rows += connection.execute(query, {**asked, "gateways": gateways})
    return rows


def _read_down(
    connection: Connection, among: frozenset[str], filters: dict[str, str], below: int, limit: int
) -> tuple[list[int], int]:
    """Return the ids of a page, or what there is of it, and the id down to which all were read."""
    query, found = _window(frozenset(filters)), list[int]()
    step, read, most = FIRST_STEP * limit, 0, STEPS_PER_GATEWAY * len(among)
    while read < most and below > 1 and len(found) < limit:
        step = min(max(limit, step), most - read)
        asked = {**filters, "below": below, "step": step}
        below, ids, gateways = connection.execute(query, asked).one()
        if ids is not None:
            theirs = map(among.__contains__, gateways.split(" "))
            found += sorted(map(int, compress(ids.split(" "), theirs)), reverse=True)
        read += step
        step = read * (limit - len(found)) * 5 // (4 * len(found)) if found else 4 * read
    return found[:limit], below


def _matches(scan: FromClause, names: frozenset[str]) -> list[ColumnElement[bool]]:
    conditions = {
        "gateway": scan.c.gateway == bindparam("gateway"),
        "reader": scan.c.reader == bindparam("reader"),
        "code": scan.c.codes.like(bindparam("code"), escape="/"),
    }
    return [scan.c.id < bindparam("below"), *(conditions[name] for name in sorted(names))]


# made once for each set of filters: SQLAlchemy takes longer to make them than SQLite to answer
@cache
def _newest(names: frozenset[str]) -> Select[Any]:
    query = select(_scan).where(*_matches(_scan, names)).order_by(_scan.c.id.desc())
    return query.limit(bindparam("limit"))


@cache
def _window(names: frozenset[str]) -> Select[Any]:
    """One text of ids, one of gateways: a driver lets go of the interpreter at each row."""
    one = _scan.alias()
    newest = select(func.max(one.c.id)).where(one.c.id < bindparam("below")).scalar_subquery()
    low = newest + 1 - bindparam("step")
    texts = (cast(_scan.c.id, tables.Text), _scan.c.gateway)
    joined = (func.aggregate_strings(text, " ") for text in texts)
    window: Any = select(func.coalesce(low, 1), *joined).select_from(_scan)
    found: Select[Any] = window.where(_scan.c.id >= low, *_matches(_scan, names))
    return found


@cache
def _of_each(names: frozenset[str], dialect: str) -> Select[Any]:
    """Read the newest of each gateway from its index, and of these the newest."""
    each, one = _each(dialect), _scan.alias()
    ids = select(one.c.id).where(one.c.gateway == each.c.value, *_matches(one, names))
    ids = ids.order_by(one.c.id.desc()).limit(bindparam("limit"))
    if dialect == "sqlite":
        ids = ids.where(one.c.id >= _enough(names, dialect))
    else:  # LATERAL, or it may read the whole table for a hash join
        own = ids.correlate(each).lateral()
        ids = select(own.c.id).select_from(each.join(own, true()))
        ids = ids.order_by(own.c.id.desc()).limit(bindparam("limit"))
    return select(_scan).where(_scan.c.id.in_(ids)).order_by(_scan.c.id.desc())


def _enough(names: frozenset[str], dialect: str) -> ColumnElement[int]:
    """Return the highest id from which on one gateway alone fills the page, else 0.

    It stands for the LIMIT of each gateway, which SQLite has no words for.
    """
    each, one = _each(dialect), _scan.alias()
    last = select(one.c.id).where(one.c.gateway == each.c.value, *_matches(one, names))
    last = last.order_by(one.c.id.desc()).limit(1).offset(bindparam("skipped"))
    highest = func.max(last.scalar_subquery())
    return select(func.coalesce(highest, 0)).select_from(each).scalar_subquery()


def _each(dialect: str) -> FromClause:
    if dialect == "sqlite":
        return func.json_each(bindparam("gateways")).table_valued("value")
    listed = cast(bindparam("gateways", type_=tables.Text), JSON)
    return func.json_array_elements_text(listed).table_valued("value")


def _held(code: str) -> str:
    value = f'"value":{msgspec.json.encode(code).decode()}'
    for special in "/%_":
        value = value.replace(special, f"/{special}")
    return f"%{value}%"


def _kept(row: Any, no_event: list[NoEvent]) -> KeptScan:
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
        no_event=no_event,
    )
