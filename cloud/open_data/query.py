"""The rule of an open table as one query: its cells, how many there are in each, and means."""

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, case, distinct, func, select

from cloud.model.data_rule import DAY_MS, SUPPRESSED_BELOW, Cell, Mean, Open
from cloud.model.people_tables import account
from cloud.model.tables import asset, asset_gateway

COUNT = "count"


def build_query(about: Open, *, offset_ms: int, now_ms: int, limit: int) -> Select[Any]:
    """Build the query; small cells are left out by the database already.

    Columns: the cells, the count, and of each mean its number and its ms.

    Args:
        about: what is published.
        offset_ms: of local time, for days.
        now_ms: a day that is not over is not given out: its counts would tell each event as it is.
        limit: at most so many rows, those of the newest days.

    """
    table = account.metadata.tables[about.table]
    (key,) = table.primary_key
    source, where = table, []
    cells = []
    for cell in about.cell:
        source = _joined(source, table, cell)
        cells.append(_column(table, cell, offset_ms).label(cell.name))
        if cell.coarse == "day":
            today_ms = (now_ms + offset_ms) // DAY_MS * DAY_MS - offset_ms
            where.append(table.c[cell.column] < today_ms)
    count = func.count(distinct(key)).label(COUNT)
    means = [part for mean in about.mean for part in _mean(table, mean)]
    first, *others = cells
    newest = first.desc() if about.cell[0].coarse == "day" else first
    return (
        select(*cells, count, *means)
        .select_from(source)
        .where(*where)
        .group_by(*cells)
        .having(count >= SUPPRESSED_BELOW)
        .order_by(newest, *others)
        .limit(limit)
    )


def _joined(source: Any, table: Table, cell: Cell) -> Any:
    """Join what tells the district."""
    named = table.c[cell.column]
    if cell.coarse == "district_of_asset":
        return source.outerjoin(asset, asset.c.asset_id == named)
    if cell.coarse == "district_of_gateway":
        source = source.outerjoin(asset_gateway, asset_gateway.c.gateway_id == named)
        return source.outerjoin(asset, asset.c.asset_id == asset_gateway.c.asset_id)
    return source


def _column(table: Table, cell: Cell, offset_ms: int) -> ColumnElement[Any]:
    if cell.coarse == "day":
        return (table.c[cell.column] + offset_ms) // DAY_MS
    if cell.coarse == "itself":
        return table.c[cell.column]
    return func.coalesce(asset.c.district, "")


def _mean(table: Table, mean: Mean) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    since, until = table.c[mean.since], table.c[mean.until]
    taken = case((until >= since, until - since))  # NULL where there is no end, or before its start
    return (
        func.count(taken).label(f"{mean.name}_n"),
        func.avg(taken).label(f"{mean.name}_ms"),
    )
