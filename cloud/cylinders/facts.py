"""What bears on filling of each cylinder, and what of it changed since somebody asked."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from cloud.cylinders.rows import Row, codes_of, find_row, state_of
from cloud.model.cylinder import FurtherCode, read_marked
from cloud.model.cylinder_tables import cylinder, cylinder_change, cylinder_gone, cylinder_head
from cloud.model.cylinder_tables import vehicle as vehicle_table
from protocols.cylinders.base import Cylinder, MarkedDate, State, Vehicle

TAG_UID = "tag_uid"
COLUMNS = (
    *("asset_id", "change", "state", "blocks", "filler", "kind", "gas", "components", "standard"),
    *("manufactured_on", "design_life_years", "water_capacity_l", "tare_kg", "allowable_fill_kg"),
    *("use_registration", "vehicle", "inspected_on", "inspection_due_on", "life_extended"),
    *("purged", "last_filled_on"),
)
CODES_A_QUERY = 500
DENIED: tuple[State, ...] = ("lost", "scrapped")
"""States in which nobody fills it; `blocked` is told by its blocks."""
OPENED = ("unblocked", "found", "transferred")
"""What in a history may end that others must not fill it, or make it one's own."""


class Changes(Struct, frozen=True, kw_only=True):
    """What changed after a cursor."""

    cylinders: tuple[Cylinder, ...]
    """As they are now, each once."""
    gone: tuple[str, ...]
    """Asset ids that are the filler's no more."""
    denied: Mapping[str, State] = {}
    """Of other fillers, newly blocked, lost or scrapped, by asset id; empty where nobody's are
    asked for."""
    admitted: tuple[str, ...] = ()
    """Asset ids that were denied so, and are no longer."""
    cursor: int
    """What to ask with next time."""
    more: bool
    """There is more already."""


def read_facts(connection: Connection, asset_id: str) -> Cylinder | None:
    """Return what bears on filling of one cylinder; None: it is not registered."""
    row = find_row(connection, asset_id)
    return None if row is None else _all_facts(connection, [row])[0]


def read_all_facts(connection: Connection, asset_ids: Sequence[str]) -> dict[str, Cylinder]:
    """Return what bears on filling of several cylinders, by asset id; at most CODES_A_QUERY."""
    query = select(*(cylinder.c[name] for name in COLUMNS))
    rows = connection.execute(query.where(cylinder.c.asset_id.in_(asset_ids))).mappings().all()
    return {one.code: one for one in _all_facts(connection, rows)}


def changed_since(
    connection: Connection, cursor: int, filler: str | None, limit: int, *, vehicles: bool = False
) -> Changes:
    """Return what changed after a cursor, oldest first; 0: all there is.

    Args:
        connection: to read by.
        cursor: of the answer before.
        filler: whose cylinders; None: everybody's.
        limit: at most so many cylinders, and as many that are gone.
        vehicles: also all fuel tanks of vehicles, which anybody fills.

    """
    head = connection.execute(select(cylinder_head.c.change)).scalar() or 0
    within = (cylinder.c.change > cursor, cylinder.c.change <= head)
    rows: dict[str, Row] = {}
    for whose in _whose(filler, vehicles):
        query = select(*(cylinder.c[name] for name in COLUMNS)).where(*within, whose)
        query = query.order_by(cylinder.c.change).limit(limit + 1)
        rows |= {row["asset_id"]: row for row in connection.execute(query).mappings()}
    gone = _gone(connection, cursor, head, filler, limit) if filler is not None else []
    found = sorted(rows.values(), key=lambda row: row["change"])
    ends = [found[limit - 1]["change"]] if len(found) > limit else []
    ends += [gone[limit - 1][1]] if len(gone) > limit else []
    end = min(ends, default=head)
    shown = [row for row in found if row["change"] <= end]
    denied, admitted = _denials(connection, cursor, end, filler, vehicles) if filler else ({}, ())
    return Changes(
        cylinders=tuple(_all_facts(connection, shown)),
        gone=tuple(asset_id for asset_id, change in gone if change <= end and asset_id not in rows),
        denied=denied,
        admitted=admitted,
        cursor=end,
        more=bool(ends),
    )


def _whose(filler: str | None, vehicles: bool) -> list[ColumnElement[bool]]:
    if filler is None:
        return [and_(cylinder.c.change > 0)]
    return [cylinder.c.filler == filler, *([cylinder.c.in_vehicle.is_(True)] if vehicles else [])]


def _denials(
    connection: Connection, cursor: int, end: int, filler: str, vehicles: bool
) -> tuple[dict[str, State], tuple[str, ...]]:
    """Return what of others must not be filled from now on, and what may be again."""
    column, history = cylinder.c, cylinder_change.c
    others = [column.filler != filler, *([column.in_vehicle.is_(False)] if vehicles else [])]
    shut = or_(column.blocks > 0, column.state.in_(DENIED))
    query = select(column.asset_id, column.state, column.blocks)
    query = query.where(column.change > cursor, column.change <= end, *others, shut)
    denied = {row["asset_id"]: state_of(row) for row in connection.execute(query).mappings()}
    if cursor == 0:
        return denied, ()
    within = (history.change > cursor, history.change <= end, history.what.in_(OPENED))
    opened = set(connection.execute(select(history.asset_id).where(*within)).scalars())
    return denied, tuple(sorted(opened - _still_shut(connection, sorted(opened), filler)))


def _still_shut(connection: Connection, asset_ids: Sequence[str], filler: str) -> set[str]:
    column, found = cylinder.c, set[str]()
    for start in range(0, len(asset_ids), CODES_A_QUERY):
        named = column.asset_id.in_(asset_ids[start : start + CODES_A_QUERY])
        query = select(column.asset_id, column.state, column.blocks, column.filler).where(named)
        found |= {
            row["asset_id"]
            for row in connection.execute(query).mappings()
            if row["filler"] != filler and state_of(row) in ("blocked", *DENIED)
        }
    return found


def _gone(
    connection: Connection, cursor: int, head: int, filler: str, limit: int
) -> Sequence[tuple[str, int]]:
    gone = cylinder_gone.c
    here = (gone.filler == filler, gone.change > cursor, gone.change <= head)
    query = select(gone.asset_id, gone.change).where(*here).order_by(gone.change)
    return [(row.asset_id, row.change) for row in connection.execute(query.limit(limit + 1))]


def _all_facts(connection: Connection, rows: Sequence[Row]) -> list[Cylinder]:
    codes: dict[str, tuple[FurtherCode, ...]] = {}
    for start in range(0, len(rows), CODES_A_QUERY):
        part = [row["asset_id"] for row in rows[start : start + CODES_A_QUERY]]
        codes |= codes_of(connection, part)
    vehicles = _vehicles(connection, sorted({row["vehicle"] for row in rows} - {""}))
    return [_facts(row, codes.get(row["asset_id"], ()), vehicles) for row in rows]


def _vehicles(connection: Connection, ids: Sequence[str]) -> dict[str, Vehicle]:
    found = {}
    for start in range(0, len(ids), CODES_A_QUERY):
        named = vehicle_table.c.id.in_(ids[start : start + CODES_A_QUERY])
        for row in connection.execute(select(vehicle_table).where(named)):
            found[row.id] = Vehicle(
                taxi=row.taxi,
                use_registered=bool(row.use_registration),
                certificate_valid_until=_marked(row.certificate_valid_until),
                scrapped=row.scrapped_on is not None,
            )
    return found


def _facts(row: Row, codes: tuple[FurtherCode, ...], vehicles: Mapping[str, Vehicle]) -> Cylinder:
    filled: Any = row["last_filled_on"]
    vehicle = vehicles.get(row["vehicle"])
    return Cylinder(
        code=row["asset_id"],
        kind=row["kind"],
        gas=row["gas"],
        components=msgspec.json.decode(row["components"], type=tuple[str, ...]),
        standard=row["standard"],
        state=state_of(row),
        use_registered=bool(row["use_registration"]) or bool(vehicle and vehicle.use_registered),
        manufactured_on=_marked(row["manufactured_on"]),
        design_life_years=row["design_life_years"],
        inspected_on=_marked(row["inspected_on"]),
        inspection_due_on=_marked(row["inspection_due_on"]),
        life_extended=row["life_extended"],
        last_filled_on=date.fromisoformat(filled) if filled else None,
        purged=row["purged"],
        filler=row["filler"],
        tare_kg=row["tare_kg"],
        water_capacity_l=row["water_capacity_l"],
        allowable_fill_kg=row["allowable_fill_kg"],
        vehicle=vehicle,
        tag_uids=tuple(code.value for code in codes if code.scheme == TAG_UID),
    )


def _marked(text: str | None) -> MarkedDate | None:
    return read_marked(text) if text else None
