"""Cylinders as rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, select

from cloud.model.cylinder import (
    Block,
    CylinderFile,
    CylinderRecord,
    Document,
    FurtherCode,
    Valve,
    json_text,
)
from cloud.model.cylinder_tables import cylinder, cylinder_block, cylinder_code
from cloud.model.tables import asset
from protocols.cylinders.base import State

JSON: Mapping[str, Any] = {
    "components": tuple[str, ...],
    "valve": Valve | None,
    "documents": tuple[Document, ...],
}
"""Columns that hold JSON, and what is in it."""
FILE = tuple(name for name in CylinderFile.__struct_fields__ if name != "codes")
"""Columns of the file; its codes have a table of their own."""

Row = RowMapping


_BY_ID = select(cylinder).where(cylinder.c.asset_id == bindparam("asset_id"))
# made once: SQLAlchemy takes longer to make it than the database to carry it out


def columns_of(file: CylinderFile) -> dict[str, Any]:
    """Return the columns that a file fills."""
    fields = {name: getattr(file, name) for name in FILE}
    told = {name: json_text(fields[name]) for name in JSON}
    return {**fields, **told, "in_vehicle": file.vehicle != ""}


def state_of(row: Row) -> State:
    """Return the state that counts: a block goes before whatever may end by itself."""
    if row["blocks"] and row["state"] != "scrapped":
        return "blocked"
    state: State = row["state"]
    return state


def find_row(connection: Connection, asset_id: str) -> Row | None:
    """Return the row of a cylinder."""
    return connection.execute(_BY_ID, {"asset_id": asset_id}).mappings().first()


def codes_of(
    connection: Connection, asset_ids: Sequence[str]
) -> dict[str, tuple[FurtherCode, ...]]:
    """Return the further codes that are on, by cylinder; its own is not among them."""
    code, found = cylinder_code.c, dict[str, list[FurtherCode]]()
    on = (code.ended_at.is_(None), code.asset_id.in_(asset_ids))
    query = select(code.scheme, code.value, code.asset_id).where(*on)
    for scheme, value, asset_id in connection.execute(query):
        if f"{scheme}:{value}" != asset_id:
            found.setdefault(asset_id, []).append(FurtherCode(scheme, value))
    return {asset_id: tuple(sorted(codes)) for asset_id, codes in found.items()}


def file_of(row: Row, codes: tuple[FurtherCode, ...]) -> CylinderFile:
    """Return the file in a row."""
    fields = {name: row[name] for name in FILE}
    parsed = {name: msgspec.json.decode(row[name], type=type_) for name, type_ in JSON.items()}
    return CylinderFile(**{**fields, **parsed, "codes": codes})


def read_record(connection: Connection, asset_id: str) -> CylinderRecord | None:
    """Return a cylinder with all that is shown of it."""
    row = find_row(connection, asset_id)
    if row is None:
        return None
    place = select(asset.c.district).where(asset.c.asset_id == asset_id)
    block = cylinder_block
    query = select(block).where(block.c.asset_id == asset_id).order_by(block.c.id.desc())
    return record_of(
        row,
        codes_of(connection, [asset_id]).get(asset_id, ()),
        district=connection.execute(place).scalar() or "",
        blocks=[_block(one) for one in connection.execute(query).mappings()],
    )


def record_of(
    row: Row,
    codes: tuple[FurtherCode, ...],
    *,
    district: str = "",
    blocks: Iterable[Block] = (),
) -> CylinderRecord:
    """Return the cylinder in a row."""
    return CylinderRecord(
        asset_id=row["asset_id"],
        file=file_of(row, codes),
        state=state_of(row),
        life_extended=row["life_extended"],
        purged=row["purged"],
        registered_at=row["registered_at"],
        updated_at=row["updated_at"],
        change=row["change"],
        district=district,
        scrapped_how=row["scrapped_how"],
        scrapped_on=row["scrapped_on"],
        scrapped_by=row["scrapped_by"],
        blocks=tuple(blocks),
    )


def _block(row: Row) -> Block:
    return Block(**{name: row[name] for name in Block.__struct_fields__})
