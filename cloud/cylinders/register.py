"""Writing the file of a cylinder: what must hold, what changed, one code for one cylinder."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select, update

from cloud.cylinders.changes import Turn
from cloud.cylinders.filled import settle_fillings
from cloud.cylinders.inspected import stamped
from cloud.cylinders.rows import FILE, Row, codes_of, columns_of, file_of, find_row
from cloud.model.cylinder import CylinderFile, FieldFault, FurtherCode, Outcome
from cloud.model.cylinder_tables import cylinder, cylinder_code, vehicle
from cloud.model.rows import insert_rows
from protocols.errors import RefuseInput

AS_REGISTERED = ("inspected_on", "inspection_due_on", "last_filled_on")
"""Taken from the file only when it is registered: inspections and fillings tell them later."""
FIELDS = (*FILE, "codes")
NEW: Mapping[str, Any] = {
    "state": "in_use",
    "blocks": 0,
    "life_extended": False,
    "purged": True,
    "scrapped_how": "",
    "scrapped_by": "",
    "scrapped_on": None,
    "scrapped_at": None,
}
"""Columns of a new row that its file does not tell."""


# made once: SQLAlchemy takes longer to make them than the database to carry them out
_TWINS = select(cylinder.c.asset_id, cylinder.c.manufactured_on).where(
    cylinder.c.serial_number == bindparam("serial_number"), cylinder.c.maker == bindparam("maker")
)
_WHOSE = select(cylinder_code.c.asset_id).where(
    cylinder_code.c.scheme == bindparam("scheme"), cylinder_code.c.value == bindparam("value")
)


class FieldRefused(RefuseInput):
    """A field that is refused with what was expected and found."""

    def __init__(self, reason: str, fault: FieldFault, twin: str = "") -> None:
        super().__init__(reason, str(fault))
        self.fault, self.twin = fault, twin
        """`twin`: the cylinder that was registered first; the caller may not know it."""


def write_file(turn: Turn, asset_id: str, file: CylinderFile) -> Outcome:
    """Register a cylinder or change its file.

    Raises:
        FieldRefused: `code_taken`, `registered_twice`, `wrong_state`, `bad_request`; nothing was
            written then.

    """
    row = find_row(turn.connection, asset_id)
    codes = codes_of(turn.connection, [asset_id]).get(asset_id, ()) if row else ()
    before = file_of(row, codes) if row else None
    after = _settled(asset_id, file, row)
    _check(turn, asset_id, row, before, after)
    if row is None:
        _insert(turn, asset_id, after)
        return "registered"
    told = differing(_fields(before), _fields(after), FIELDS) if before else ({}, {})
    if not told[1]:
        return "unchanged"
    columns = columns_of(after)
    changed = {name: columns[name] for name in (*told[1], "in_vehicle") if name in columns}
    turn.change(asset_id, "changed", changed, told=told)
    write_codes(turn, asset_id, codes, after.codes)
    return "changed"


def differing(
    before: Mapping[str, Any], after: Mapping[str, Any], names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that differ, as they were and as they are."""
    changed = [name for name in names if before[name] != after[name]]
    return {name: before[name] for name in changed}, {name: after[name] for name in changed}


def write_codes(
    turn: Turn, asset_id: str, before: Sequence[FurtherCode], after: Sequence[FurtherCode]
) -> None:
    """Put codes on and take codes off; one that is off stays this cylinder's for ever."""
    for code in set(before) - set(after):
        end_codes(turn, asset_id, code)
    for code in set(after) - set(before):
        add_code(turn, asset_id, code)


def add_code(turn: Turn, asset_id: str, code: FurtherCode) -> None:
    """Put a code on, for the first time or again."""
    here = (cylinder_code.c.scheme == code.scheme, cylinder_code.c.value == code.value)
    done = turn.connection.execute(update(cylinder_code).where(*here).values(ended_at=None))
    if done.rowcount == 0:
        insert_rows(turn.connection, cylinder_code, [_code_row(turn, asset_id, code)])


def _code_row(turn: Turn, asset_id: str, code: FurtherCode) -> dict[str, Any]:
    row = {"scheme": code.scheme, "value": code.value, "asset_id": asset_id}
    return {**row, "recorded_at": turn.now_ms, "ended_at": None}


def end_codes(turn: Turn, asset_id: str, code: FurtherCode | None = None) -> None:
    """Make a code void, None: all of a cylinder."""
    here = [cylinder_code.c.asset_id == asset_id, cylinder_code.c.ended_at.is_(None)]
    if code is not None:
        here += [cylinder_code.c.scheme == code.scheme, cylinder_code.c.value == code.value]
    turn.connection.execute(update(cylinder_code).where(*here).values(ended_at=turn.now_ms))


def own_code(asset_id: str) -> FurtherCode:
    """Return the code that an asset id is made of."""
    scheme, _, value = asset_id.partition(":")
    return FurtherCode(scheme, value)


def twins(turn: Turn, asset_id: str, file: CylinderFile) -> list[str]:
    """Return other cylinders with the same maker, serial number and year of manufacture."""
    if not (file.serial_number and file.maker):
        return []
    same = {"serial_number": file.serial_number, "maker": file.maker}
    return [
        row.asset_id
        for row in turn.connection.execute(_TWINS, same)
        if row.asset_id != asset_id and _same_year(row.manufactured_on, file.manufactured_on)
    ]


def _same_year(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one[:4] == other[:4]


def _settled(asset_id: str, file: CylinderFile, row: Row | None) -> CylinderFile:
    """Return the file as it will be written: codes in order, what others tell as they told it."""
    fields: dict[str, Any] = {name: getattr(file, name) for name in FILE}
    fields["codes"] = tuple(sorted({*file.codes} - {own_code(asset_id)}))
    if row is not None:
        fields |= {name: row[name] for name in AS_REGISTERED}
    return CylinderFile(**fields)


def _fields(file: CylinderFile) -> dict[str, Any]:
    return {name: getattr(file, name) for name in FIELDS}


def _insert(turn: Turn, asset_id: str, file: CylinderFile) -> None:
    told = {name: value for name, value in _fields(file).items() if value not in (None, "", ())}
    number = turn.note(asset_id, "registered", {}, told)
    columns = {**columns_of(file), **NEW, "asset_id": asset_id, "change": number}
    columns |= {"registered_at": turn.now_ms, "updated_at": turn.now_ms}
    insert_rows(turn.connection, cylinder, [columns])
    insert_rows(
        turn.connection,
        cylinder_code,
        [_code_row(turn, asset_id, code) for code in (own_code(asset_id), *file.codes)],
    )
    if file.inspected_on:
        stamped(turn, asset_id, file.inspected_on, file.inspection_due_on)
    settle_fillings(turn, asset_id)  # gates may have filled it before


def _check(
    turn: Turn, asset_id: str, row: Row | None, before: CylinderFile | None, file: CylinderFile
) -> None:
    for reason, fault in _faults(turn, asset_id, row, before, file):
        raise FieldRefused(reason, fault)
    if before is None or before.serial_number != file.serial_number or before.maker != file.maker:
        for twin in twins(turn, asset_id, file):
            expected = "one that no other cylinder of its maker has"
            fault = _fault("serial_number", expected, f"{file.serial_number} of {file.maker}")
            raise FieldRefused("registered_twice", fault, twin)


def _faults(
    turn: Turn, asset_id: str, row: Row | None, before: CylinderFile | None, file: CylinderFile
) -> Iterator[tuple[str, FieldFault]]:
    if row is not None and row["state"] == "scrapped":
        yield "wrong_state", _fault("code", "a cylinder that is not scrapped", asset_id)
    if before is not None and before.filler != file.filler:
        expected = f"{before.filler or 'none'} until it is transferred"
        yield "wrong_state", _fault("filler", expected, file.filler or "none")
    if file.vehicle and (before is None or before.vehicle != file.vehicle):
        known = select(vehicle.c.id).where(vehicle.c.id == file.vehicle)
        if turn.connection.execute(known).first() is None:
            yield "bad_request", _fault("vehicle", "a vehicle that is registered", file.vehicle)
    new = set(file.codes) - set(before.codes if before else ())
    for code in taken_codes(turn, asset_id, [*new, *([] if row else [own_code(asset_id)])]):
        name = "code" if code == own_code(asset_id) else "codes"
        yield "code_taken", _fault(name, "a code that no other cylinder ever had", str(code))


def taken_codes(turn: Turn, asset_id: str, codes: Sequence[FurtherCode]) -> list[FurtherCode]:
    """Return those that tell of another cylinder, or once did."""
    own, found = own_code(asset_id), []
    for code in codes:
        named = {"scheme": code.scheme, "value": code.value}
        whose = turn.connection.execute(_WHOSE, named).scalar()
        # its own code is taken where it is known and the cylinder is not: that one is gone
        if whose is not None and (whose != asset_id or code == own):
            found.append(code)
    return found


def _fault(field: str, expected: str, found: str) -> FieldFault:
    return FieldFault(field=field, expected=expected, found=found)
