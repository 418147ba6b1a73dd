"""Finding cylinders that a scope admits."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Select, select, union

from cloud.cylinders.base import Wanted
from cloud.cylinders.rows import codes_of, record_of
from cloud.model.cylinder import SCHEME, Change, CylinderRecord
from cloud.model.cylinder_tables import cylinder, cylinder_change, cylinder_code
from cloud.model.principal import Scope
from cloud.model.tables import asset
from cloud.model.visible import sees_asset


def find_cylinders(connection: Connection, scope: Scope, wanted: Wanted) -> list[CylinderRecord]:
    """Return cylinders by their asset ids, those after `wanted.after`."""
    column = cylinder.c
    joined = cylinder.join(asset, asset.c.asset_id == column.asset_id)
    query: Select[Any] = select(cylinder, asset.c.district).select_from(joined)
    query = query.where(sees_asset(scope, column.asset_id), column.asset_id > wanted.after)
    for name in ("filler", "kind", "gas"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(column[name] == value)
    if wanted.district is not None:
        query = query.where(asset.c.district == wanted.district)
    if wanted.due_before is not None:
        query = query.where(column.inspection_due_on < wanted.due_before)
    query = _in_state(_with_text(query, wanted.text), wanted.state)
    query = query.order_by(column.asset_id).limit(wanted.limit)
    rows = connection.execute(query).mappings().all()
    codes = codes_of(connection, [row["asset_id"] for row in rows])
    return [
        record_of(row, codes.get(row["asset_id"], ()), district=row["district"]) for row in rows
    ]


def history_of(
    connection: Connection, asset_id: str, before: int | None, limit: int
) -> list[Change]:
    """Return changes of a cylinder, the latest first."""
    table = cylinder_change
    query = select(table).where(table.c.asset_id == asset_id)
    if before is not None:
        query = query.where(table.c.change < before)
    query = query.order_by(table.c.change.desc()).limit(limit)
    return [_change(dict(row)) for row in connection.execute(query).mappings()]


def _change(fields: dict[str, Any]) -> Change:
    told = {name: msgspec.json.decode(fields[name]) for name in ("before", "after")}
    return Change(**{**fields, **told})


def _with_text(query: Select[Any], text: str | None) -> Select[Any]:
    if not text:
        return query
    code = cylinder_code.c
    value = text.removeprefix(f"{SCHEME}:")
    told = select(code.asset_id).where(code.value == value)
    numbered = select(cylinder.c.asset_id).where(cylinder.c.serial_number == text)
    # one list of ids, for with an OR both databases read the whole table
    return query.where(cylinder.c.asset_id.in_(union(told, numbered)))


def _in_state(query: Select[Any], state: str | None) -> Select[Any]:
    column = cylinder.c
    match state:
        case None:
            return query
        case "scrapped":
            return query.where(column.state == state)
        case "blocked":
            return query.where(column.blocks > 0, column.state != "scrapped")
        case _:
            return query.where(column.state == state, column.blocks == 0)
