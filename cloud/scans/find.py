"""Scans found in the state database, the latest stored first, whoever may see how much of them.

A read for some gateways goes one way, in two steps. The newest ids are read downwards and those of
the gateways are picked: where these are many, as for an office, the page is full after a few. What
is missing then is rare among all, and is read from the index of each gateway by itself.

The limit of it: at most `STEPS_PER_GATEWAY` ids for each gateway are read downwards, which costs as
much as to look into each gateway's index once; up to `FEW` gateways are looked into at once. So it
never takes much longer than one look for each gateway (2 µs; 8 µs where there is much to see),
however many scans of others there are: 0.5 ms for 30 gateways. An office that sees thousands which
have seen nothing for long waits the longest, some 10 ms for each thousand.
"""

from collections.abc import Iterator
from functools import cache
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
)

from cloud.model import tables
from cloud.model.scan import KeptScan
from protocols.records import Code, Verdict

FEW = 100
STEPS_PER_GATEWAY = 4
FIRST_STEP = 4
"""Times as many ids as are asked for are read first, then twice as many again and again."""
ID_END = 2**62

_codes = msgspec.json.Decoder(list[Code])
_words = msgspec.json.Decoder(list[str])
_verdict = msgspec.json.Decoder(Verdict)
_scan = tables.scan
_NEWEST = select(func.max(_scan.c.id)).where(_scan.c.id < bindparam("below"))


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
        rows = list(_of_gateways(connection, among, filters, below, limit))
    return [_kept(row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's public way


def _of_gateways(
    connection: Connection, among: frozenset[str], filters: dict[str, str], below: int, limit: int
) -> Iterator[Any]:
    names, found = frozenset(filters), list[int]()
    if len(among) > FEW:
        found, below = _read_down(connection, among, filters, below, limit)
        query = select(_scan).where(_scan.c.id.in_(found)).order_by(_scan.c.id.desc())
        yield from connection.execute(query)
    if among and len(found) < limit and below > 1:
        query = _of_each(names, connection.dialect.name)
        more = {"below": below, "limit": limit - len(found), "skipped": limit - len(found) - 1}
        gateways = msgspec.json.encode(sorted(among)).decode()
        yield from connection.execute(query, {**filters, **more, "gateways": gateways})


def _read_down(
    connection: Connection, among: frozenset[str], filters: dict[str, str], below: int, limit: int
) -> tuple[list[int], int]:
    """Return ids of scans of gateways, and the id from which on all were looked at."""
    newest = connection.execute(_NEWEST, {"below": below}).scalar_one()
    low = 1 if newest is None else newest + 1
    last = max(1, low - STEPS_PER_GATEWAY * len(among))
    query, step, found = _window(frozenset(filters)), FIRST_STEP * limit, list[int]()
    while low > last and len(found) < limit:
        high, low, step = low, max(last, low - step), step * 2
        text = connection.execute(query, {**filters, "below": high, "low": low}).scalar_one()
        pairs = (line.split(" ", 1) for line in text.split("\n")) if text else ()
        found += sorted((int(id_) for id_, gateway in pairs if gateway in among), reverse=True)
    return found[:limit], low


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
    """One text of all ids and gateways: a driver lets go of the interpreter at each row."""
    line = cast(_scan.c.id, tables.String).concat(" ").concat(_scan.c.gateway)
    query = select(func.aggregate_strings(line, "\n"))
    return query.where(_scan.c.id >= bindparam("low"), *_matches(_scan, names))


@cache
def _of_each(names: frozenset[str], dialect: str) -> Select[Any]:
    """Read the newest of each gateway, and of all that only what can be on the page.

    From the highest of the gateways' last possible ids on there is a full page in one gateway.
    """
    own, names_asked, names_again = _scan.alias(), _each(dialect), _each(dialect)
    last = select(own.c.id).where(own.c.gateway == names_asked.c.value, *_matches(own, names))
    last = last.order_by(own.c.id.desc()).limit(1).offset(bindparam("skipped"))
    enough = select(func.coalesce(func.max(last.scalar_subquery()), 0)).select_from(names_asked)
    one = _scan.alias()
    of_gateway = one.c.gateway == names_again.c.value
    ids = select(one.c.id).select_from(names_again.join(one, of_gateway))
    ids = ids.where(one.c.id >= enough.scalar_subquery(), *_matches(one, names))
    ids = ids.order_by(one.c.id.desc()).limit(bindparam("limit"))
    return select(_scan).where(_scan.c.id.in_(ids)).order_by(_scan.c.id.desc())


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
