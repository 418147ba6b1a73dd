"""Reads the audit for people: by filters, and no further than the reader's scope."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, or_, select

from cloud.model.audited import AuditedEntry, AuditPage, AuditQuery
from cloud.model.people_tables import account, audit
from cloud.model.principal import Scope
from cloud.model.visible import sees_asset, sees_organisation

ASSET, ORGANISATION, ACCOUNT = "asset:", "organisation:", "account:"
LOOKED_THROUGH = 50_000
"""Entries that one page looks through at most, so that a rare one does not hold up the database;
the next page goes on from there."""
LIMIT_MAX = 1_000
GONE = "gone"

_object = msgspec.json.Decoder(dict[str, Any])


def find(connection: Connection, query: AuditQuery) -> AuditPage:
    """Return a page of entries."""
    limit = max(1, min(query.limit, LIMIT_MAX))
    newest = connection.execute(select(func.max(audit.c.seq))).scalar() or 0
    before = min(query.before_seq or newest + 1, newest + 1)
    is_narrow = query.subject is not None or query.by is not None
    lowest = 1 if is_narrow else max(1, before - LOOKED_THROUGH)
    wanted = select(audit).where(audit.c.seq < before, audit.c.seq >= lowest)
    wanted = wanted.where(sees_entry(query.scope), *_filters(connection, query))
    ordered = wanted.order_by(audit.c.seq.desc()).limit(limit + 1)
    rows = connection.execute(ordered).mappings().all()
    more = rows[limit - 1]["seq"] if len(rows) > limit else lowest if lowest > 1 else None
    return AuditPage(_entries(connection, rows[:limit]), more)


def sees_entry(scope: Scope) -> ColumnElement[bool]:
    """Hold for entries about an asset, or of or about an organisation, that the scope admits."""
    subject = audit.c.subject
    asset_id = func.substr(subject, len(ASSET) + 1)
    organisation_id = func.substr(subject, len(ORGANISATION) + 1)
    return or_(
        and_(subject.startswith(ASSET), sees_asset(scope, asset_id)),
        and_(subject.startswith(ORGANISATION), sees_organisation(scope, organisation_id)),
        sees_organisation(scope, audit.c.organisation),
    )


def _filters(connection: Connection, query: AuditQuery) -> list[ColumnElement[bool]]:
    column, found = audit.c, []
    for wanted, name in (
        (query.subject, column.subject),
        (query.by and _principal(connection, query.by), column.by),
        (query.organisation, column.organisation),
        (query.call, column.call),
    ):
        if wanted is not None:
            found.append(name == wanted)
    if query.from_ms is not None:
        found.append(column.recorded_at >= query.from_ms)
    if query.to_ms is not None:
        found.append(column.recorded_at < query.to_ms)
    return found


def _principal(connection: Connection, by: str) -> str:
    """Return the id of a principal, of an account also by its user name."""
    if ":" in by:
        return by
    query = select(account.c.id).where(account.c.username == by.lower())
    found = connection.execute(query).scalar()
    return by if found is None else f"{ACCOUNT}{found}"


def _entries(connection: Connection, rows: Sequence[RowMapping]) -> list[AuditedEntry]:
    names = _names(connection, {row["by"] for row in rows})
    return [
        AuditedEntry(
            **{**row, "detail": _detail(row["detail"])},
            who=names.get(row["by"], row["by"]),
        )
        for row in rows
    ]


def _names(connection: Connection, principals: Iterable[str]) -> dict[str, str]:
    """Return the names that accounts have now, by principal."""
    numbers = [one.removeprefix(ACCOUNT) for one in principals if one.startswith(ACCOUNT)]
    ids = [int(one) for one in numbers if one.isascii() and one.isdigit() and len(one) <= 16]
    if not ids:
        return {}
    query = select(account.c.id, account.c.name).where(
        account.c.id.in_(ids), account.c.state != GONE
    )
    return {f"{ACCOUNT}{row.id}": row.name for row in connection.execute(query) if row.name}


def _detail(text: str) -> dict[str, Any]:
    """Read a detail; one that was bent shows as it is, for it must not hide the others."""
    try:
        return _object.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"unreadable": text[:200]}
