"""What is kept of an organisation, table by table, read page by page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, Table, func, select, union

from cloud.model import tables
from cloud.model.people_tables import account, api_key, audit, device, organisation
from protocols.clock import iso

PAGE_ROWS = 500
OUTER_MAX = 200
"""Things or gateways looked through for one page: a page may be empty, and is not the last."""
_GATEWAY = "gateway:"

Row = dict[str, Any]
After = tuple[Any, ...]


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One table of an export."""

    name: str
    table: Table
    columns: Mapping[str, ColumnElement[Any]]
    json: frozenset[str] = frozenset()
    """Columns that hold JSON."""
    key: str
    """Column that orders the rows and names each of them, or each within its outer value."""
    of: Callable[[str], ColumnElement[bool]] | None = None
    """Builds what holds for the rows of an organisation."""
    outer: str = ""
    """Without `of`: the column whose values `values` lists, each with rows of its own."""
    values: Callable[[str], Select[Any]] | None = None

    def page(
        self, connection: Connection, organisation_id: str, after: After
    ) -> tuple[list[Row], After | None]:
        """Return the rows behind `after` (empty: from the start), and where to go on if at all."""
        if self.of is None:
            return self._nested_page(connection, organisation_id, after)
        rows = self._rows(connection, self.of(organisation_id), after[0] if after else None)
        return rows, (rows[-1][self.key],) if len(rows) == PAGE_ROWS else None

    def _nested_page(
        self, connection: Connection, organisation_id: str, after: After
    ) -> tuple[list[Row], After | None]:
        value, key = after or (None, None)
        rows: list[Row] = []
        for _ in range(OUTER_MAX):
            if value is not None:
                mine = self.table.c[self.outer] == value
                rows += self._rows(connection, mine, key, PAGE_ROWS - len(rows))
            if len(rows) == PAGE_ROWS:
                return rows, (value, rows[-1][self.key])
            value, key = self._next(connection, organisation_id, value), None
            if value is None:
                return rows, None
        return rows, (value, None)

    def _next(self, connection: Connection, organisation_id: str, value: Any) -> Any:
        assert self.values is not None  # noqa: S101  # stands beside `outer`
        query = self.values(organisation_id)
        column = query.selected_columns[0]
        query = query if value is None else query.where(column > value)
        return connection.execute(query.distinct().order_by(column).limit(1)).scalar()

    def _rows(
        self,
        connection: Connection,
        mine: ColumnElement[bool],
        after: Any,
        limit: int = PAGE_ROWS,
    ) -> list[Row]:
        key = self.table.c[self.key]
        query = select(*[column.label(name) for name, column in self.columns.items()])
        query = query.where(mine).order_by(key).limit(limit)
        query = query if after is None else query.where(key > after)
        found = connection.execute(query).mappings()
        return [{name: self._value(name, row[name]) for name in self.columns} for row in found]

    def _value(self, name: str, value: Any) -> Any:
        if name in self.json and value is not None:
            return msgspec.json.decode(value)
        return iso(value) if name.endswith("_at") and isinstance(value, int) else value


def _columns(table: Table, *without: str) -> dict[str, ColumnElement[Any]]:
    return {column.name: column for column in table.c if column.name not in without}


def _things(organisation_id: str) -> Select[Any]:
    party = tables.asset_party.c
    return select(party.asset_id).where(party.organisation == organisation_id)


def _gateways(organisation_id: str) -> Select[Any]:
    """Return the gateways that its things name, and those that are its things themselves."""
    gateway, party = tables.asset_gateway.c, tables.asset_party.c
    named = select(gateway.gateway_id).where(gateway.asset_id.in_(_things(organisation_id)))
    mine = party.organisation == organisation_id, party.asset_id.startswith(_GATEWAY)
    itself = select(func.substr(party.asset_id, len(_GATEWAY) + 1)).where(*mine)
    return select(union(named, itself).subquery().c.gateway_id)


LISTINGS: Sequence[Listing] = (
    Listing(
        name="organisation",
        table=organisation,
        columns=_columns(organisation, "open", "repeated", "repeated_at"),
        json=frozenset({"districts", "categories", "contact", "quotas"}),
        key="id",
        of=lambda one: organisation.c.id == one,
    ),
    Listing(
        name="accounts",
        table=account,
        columns={
            **_columns(account, "password", "second_factor_step", "recovery"),
            "second_factor": account.c.second_factor.is_not(None),
        },
        json=frozenset({"roles", "districts", "categories"}),
        key="id",
        of=lambda one: account.c.organisation == one,
    ),
    Listing(
        name="api_keys",
        table=api_key,
        columns=_columns(api_key, "sha256"),
        json=frozenset({"calls"}),
        key="id",
        of=lambda one: api_key.c.organisation == one,
    ),
    Listing(
        name="devices",
        table=device,
        columns=_columns(device, "sha256", "previous_sha256"),
        key="id",
        of=lambda one: device.c.organisation == one,
    ),
    Listing(
        name="assets",
        table=tables.asset,
        columns=_columns(tables.asset),
        json=frozenset({"gateways", "attributes"}),
        key="asset_id",
        of=lambda one: tables.asset.c.asset_id.in_(_things(one)),
    ),
    Listing(
        name="parties",
        table=tables.asset_party,
        columns=_columns(tables.asset_party),
        key="part",
        outer="asset_id",
        values=_things,
    ),
    Listing(
        name="alarms",
        table=tables.alarm,
        columns=_columns(tables.alarm, "open"),
        json=frozenset({"values", "annotations"}),
        key="id",
        outer="asset",
        values=_things,
    ),
    Listing(
        name="scans",
        table=tables.scan,
        columns=_columns(tables.scan),
        json=frozenset({"codes", "findings", "verdict"}),
        key="id",
        outer="gateway",
        values=_gateways,
    ),
    Listing(
        name="audit",
        table=audit,
        columns=_columns(audit),
        json=frozenset({"detail"}),
        key="seq",
        of=lambda one: audit.c.organisation == one,
    ),
)
