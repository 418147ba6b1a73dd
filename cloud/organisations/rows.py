"""Organisations as rows, and what a scope sees of them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    false,
    insert,
    or_,
    select,
    true,
)

from cloud.model.organisation import OPEN_STATES, Contact, Organisation
from cloud.model.people_tables import organisation, organisation_category, organisation_district
from cloud.model.principal import Scope
from cloud.model.rows import replace_rows
from cloud.model.visible import is_of_remit
from cloud.organisations.base import Wanted
from cloud.organisations.kinds import authorities

_JSON: Mapping[str, Any] = {
    "districts": tuple[str, ...],
    "categories": tuple[str, ...],
    "contact": Contact,
    "quotas": dict[str, int],
}


def sees_organisation(scope: Scope) -> ColumnElement[bool]:
    """Hold where the scope admits the row of `organisation`.

    A remit sees what is of its districts and categories and is no authority itself.
    """
    if scope.everything:
        return true()
    firm, id_ = organisation.c.kind.notin_(authorities()), organisation.c.id
    parts = [and_(firm, is_of_remit(remit, id_)) for remit in scope.remits]
    if scope.organisations:
        parts.append(organisation.c.id.in_(sorted(scope.organisations)))
    return or_(false(), *parts)


def find_row(
    connection: Connection, organisation_id: str, scope: Scope, *, lock: bool = False
) -> Organisation | None:
    """Return an organisation that the scope admits; `lock`: nobody else changes it meanwhile."""
    query = select(organisation).where(organisation.c.id == organisation_id)
    query = query.where(sees_organisation(scope))
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else from_row(row)


def find_rows(connection: Connection, scope: Scope, wanted: Wanted) -> list[Organisation]:
    """Return organisations that the scope admits, those that came first at the front."""
    column = organisation.c
    query: Select[Any] = select(organisation).where(sees_organisation(scope))
    if wanted.states:
        query = query.where(column.state.in_(list(wanted.states)))
    if wanted.kind is not None:
        query = query.where(column.kind == wanted.kind)
    if wanted.text is not None:
        whole = [column.id == wanted.text, column.credit_code == wanted.text.upper()]
        query = query.where(or_(column.name.contains(wanted.text, autoescape=True), *whole))
    if wanted.after is not None:
        at, id_ = wanted.after
        later = and_(column.applied_at == at, column.id > id_)
        query = query.where(or_(column.applied_at > at, later))
    query = query.order_by(column.applied_at, column.id).limit(wanted.limit)
    return [from_row(row) for row in connection.execute(query)]


def open_with_code(connection: Connection, credit_code: str) -> Organisation | None:
    """Return the one organisation that has this credit code and is neither refused nor gone."""
    column = organisation.c
    query = select(organisation).where(column.credit_code == credit_code, column.open == "y")
    row = connection.execute(query.with_for_update()).first()
    return None if row is None else from_row(row)


def write_row(connection: Connection, one: Organisation) -> None:
    """Write an organisation, new or changed."""
    replace_rows(connection, organisation, [_row(one)])
    for table, name, values in (
        (organisation_district, "district", one.districts),
        (organisation_category, "category", one.categories),
    ):
        connection.execute(delete(table).where(table.c.organisation == one.id))
        if values:
            rows = [{"organisation": one.id, name: value} for value in values]
            connection.execute(insert(table), rows)


def from_row(row: Any) -> Organisation:
    """Read a row."""
    fields: Mapping[str, Any] = row._mapping  # noqa: SLF001  # SQLAlchemy's public way to names
    plain = {name: fields[name] for name in Organisation.__struct_fields__ if name not in _JSON}
    parsed = {name: msgspec.json.decode(fields[name], type=type_) for name, type_ in _JSON.items()}
    return msgspec.convert({**plain, **parsed}, Organisation)


def _row(one: Organisation) -> dict[str, Any]:
    fields = msgspec.structs.asdict(one)
    for name in _JSON:
        fields[name] = msgspec.json.encode(fields[name]).decode()
    return {**fields, "open": "y" if one.state in OPEN_STATES else None}
