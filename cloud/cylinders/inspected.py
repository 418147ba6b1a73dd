"""Writing inspections, and what a cylinder is good for after them."""

from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from cloud.cylinders.blocks import add_block, lift_cause
from cloud.cylinders.changes import Turn, existing
from cloud.cylinders.filled import settle_fillings
from cloud.cylinders.permits import permits_of
from cloud.cylinders.rows import Row
from cloud.model.cylinder import Document, json_text
from cloud.model.cylinder_records import AS_REGISTERED, Inspection, InspectionReport
from cloud.model.cylinder_tables import cylinder_inspection as table
from protocols.errors import RefuseInput

_JSON: dict[str, Any] = {"findings": tuple[str, ...], "documents": tuple[Document, ...]}


def read_inspections(connection: Connection, asset_id: str) -> list[Inspection]:
    """Return the inspections of a cylinder, the latest first."""
    query = select(table).where(table.c.asset_id == asset_id)
    query = query.order_by(table.c.inspected_on.desc(), table.c.id.desc())
    return [_inspection(row) for row in connection.execute(query).mappings()]


def stamped(turn: Turn, asset_id: str, inspected_on: str, due_on: str | None) -> None:
    """Keep what a stamp told when the cylinder was registered, as the first inspection."""
    report = InspectionReport(inspected_on=inspected_on, result="passed", next_due_on=due_on)
    _insert(turn, asset_id, report, "", AS_REGISTERED)


def record(turn: Turn, asset_id: str, report: InspectionReport, body: str) -> None:
    """Write an inspection and what follows from it; RefuseInput, nothing was written then."""
    row = existing(turn, asset_id)
    made = row["manufactured_on"]
    if made and report.inspected_on[:7] < made[:7]:
        expected = f"{made} or later, when it was made"
        raise RefuseInput("bad_request", f"inspected_on: expected {expected}")
    _check_approved(turn.connection, row, report, body)
    if report.life_extended and report.result != "passed":
        raise RefuseInput("bad_request", "life_extended: expected a passed inspection")
    if report.life_extended and row["life_extended"]:
        raise RefuseInput("wrong_state", "life_extended: it was granted once before")
    same = [table.c.asset_id == asset_id, table.c.inspected_on == report.inspected_on]
    same += [table.c.kind == report.kind, table.c.open == "y"]
    if turn.connection.execute(select(table.c.id).where(*same)).first() is not None:
        detail = f"{report.kind} inspection on {report.inspected_on}"
        raise RefuseInput("already_there", detail)
    _insert(turn, asset_id, report, body, report.kind)
    told = {"inspection": report.kind, **msgspec.structs.asdict(report), "body": body}
    del told["kind"]
    told = {name: value for name, value in told.items() if value not in (None, "", (), False)}
    _settle(turn, asset_id, "inspected", {}, told, "")


def withdraw(turn: Turn, asset_id: str, inspection_id: int, reason: str, mine: str | None) -> None:
    """Take one back; `mine`: only that body's, None: anybody's. RefuseInput as `Inspections`."""
    existing(turn, asset_id)
    here = (table.c.asset_id == asset_id, table.c.id == inspection_id)
    row = turn.connection.execute(select(table).where(*here)).first()
    if row is None:
        raise RefuseInput("not_found", f"no inspection {inspection_id} of {asset_id}")
    if mine is not None and row.body != mine:
        raise RefuseInput("forbidden", "its own body takes it back")
    if row.withdrawn_at is not None:
        raise RefuseInput("wrong_state", f"inspection {inspection_id} is withdrawn")
    values = {
        "withdrawn_at": turn.now_ms,
        "withdrawn_by": turn.actor.by,
        "withdrawn_reason": reason,
        "open": None,
    }
    turn.connection.execute(update(table).where(*here).values(**values))
    told = {"inspected_on": row.inspected_on, "result": row.result, "body": row.body}
    _settle(turn, asset_id, "inspection_withdrawn", told, {}, reason)


def _settle(
    turn: Turn,
    asset_id: str,
    what: str,
    before: dict[str, Any],
    after: dict[str, Any],
    reason: str,
) -> None:
    """Write into the cylinder what its inspections say together, after one came or went."""
    row, counting = existing(turn, asset_id), _counting(turn.connection, asset_id)
    passed = next((one for one in counting if _renews(one)), None)
    inspected_on = passed.inspected_on if passed else None
    columns = {
        "inspected_on": inspected_on,
        "inspection_due_on": passed.next_due_on if passed else None,
        "life_extended": any(one.life_extended for one in counting),
    }
    if inspected_on != row["inspected_on"] and what == "inspected":
        columns["purged"] = False  # the first filling after it must find it purged
    turn.change(asset_id, what, columns, told=(before, after), reason=reason)
    settle_fillings(turn, asset_id)  # gates may have told of a purge since its day
    if counting and counting[0].result == "failed":
        add_block(turn, asset_id, "inspection_failed", counting[0].inspected_on)
    else:
        reason = counting[0].inspected_on if counting else reason
        lift_cause(turn, asset_id, "inspection_failed", reason)


def _renews(one: Inspection) -> bool:
    """Tell whether the next one is counted from it; an assessment tells of the life alone."""
    return one.result == "passed" and one.kind != "assessment"


def _counting(connection: Connection, asset_id: str) -> list[Inspection]:
    """Return those that are not withdrawn, the latest first."""
    return [one for one in read_inspections(connection, asset_id) if one.withdrawn_at is None]


def _check_approved(connection: Connection, row: Row, report: InspectionReport, body: str) -> None:
    approvals = permits_of(connection, body, "inspection")
    if not any(one.covers(row["kind"], report.inspected_on) for one in approvals):
        expected = f"an approval for {row['kind']} on {report.inspected_on}"
        raise RefuseInput("forbidden", f"body: expected {expected}, found none of {body}")


def _insert(turn: Turn, asset_id: str, report: InspectionReport, body: str, kind: str) -> None:
    fields = msgspec.structs.asdict(report)
    values = {
        **fields,
        **{name: json_text(fields[name]) for name in _JSON},
        "kind": kind,
        "asset_id": asset_id,
        "body": body,
        "by": turn.actor.by,
        "recorded_at": turn.now_ms,
        "withdrawn_by": "",
        "withdrawn_reason": "",
        "open": "y",
    }
    turn.connection.execute(insert(table).values(**values))


def _inspection(row: Row) -> Inspection:
    fields = {name: row[name] for name in Inspection.__struct_fields__}
    parsed = {name: msgspec.json.decode(fields[name], type=type_) for name, type_ in _JSON.items()}
    return Inspection(**{**fields, **parsed})
