"""Calls to the centre: each is kept, whether its lift is known or not."""

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from cloud.incidents.rows import to_call
from cloud.incidents.steps import NAME_CHARS_MAX, NOTE_CHARS_MAX, NUMBER_MAX, PEOPLE_MAX, check_text
from cloud.model.incident import Call, CallOutcome, KeptCall
from cloud.model.incident_tables import rescue_call
from cloud.model.principal import Scope
from cloud.model.visible import sees_asset
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id

CODE_CHARS_MAX = 32
_row = rescue_call.c


def check_call(call: Call) -> None:
    """Refuse a call that cannot be taken down; RefuseInput `bad_request`, naming the field."""
    check_text("note", call.note, NOTE_CHARS_MAX)
    check_text("caller_name", call.caller_name, NAME_CHARS_MAX)
    check_text("caller_phone", call.caller_phone, NAME_CHARS_MAX)
    check_text("rescue_code", call.rescue_code, CODE_CHARS_MAX)
    if call.people is not None and not 0 <= call.people <= PEOPLE_MAX:
        raise RefuseInput("bad_request", f"people: expected 0 to {PEOPLE_MAX}, found {call.people}")
    if call.call is not None and not 1 <= call.call <= NUMBER_MAX:
        raise RefuseInput("not_found", f"no call {call.call}"[:80])
    if call.asset is not None:
        check_asset_id(call.asset)
    elif not call.rescue_code.strip():
        raise RefuseInput("bad_request", "rescue_code: expected the plate's code, or an asset")


def fill_from(connection: Connection, call: Call, scope: Scope) -> Call:
    """Return a call with what an earlier one of the same person told; RefuseInput `not_found`."""
    if call.call is None:
        return call
    query = select(rescue_call).where(_row.id == call.call, _seen(scope))
    row = connection.execute(query).mappings().first()
    if row is None or row["incident"] is not None:
        raise RefuseInput("not_found", f"no call {call.call} that waits for its lift")
    kept = to_call(row)
    return replace(
        call,
        rescue_code=call.rescue_code or kept.rescue_code,
        people=kept.people if call.people is None else call.people,
        caller_name=call.caller_name or kept.caller_name,
        caller_phone=call.caller_phone or kept.caller_phone,
        note=call.note or kept.note,
        drill=call.drill or kept.drill,
    )


def keep_call(
    connection: Connection,
    call: Call,
    *,
    asset: str | None,
    incident: int | None,
    outcome: CallOutcome,
    by: str,
    now_ms: int,
) -> None:
    """Write a call; one that was kept before is placed."""
    came_of_it = {"asset": asset, "incident": incident, "outcome": outcome}
    if call.call is not None:
        connection.execute(update(rescue_call).where(_row.id == call.call).values(came_of_it))
        return
    row = {
        "recorded_at": now_ms,
        "rescue_code": call.rescue_code,
        "people": call.people,
        "caller_name": call.caller_name,
        "caller_phone": call.caller_phone,
        "note": call.note,
        "drill": call.drill,
        "by": by,
    }
    connection.execute(insert(rescue_call).values({**row, **came_of_it}))


def find_calls(
    connection: Connection, scope: Scope, *, unplaced: bool, before_id: int | None, limit: int
) -> list[KeptCall]:
    """Return calls, newest first: of assets that the scope admits, and those of no asset."""
    query = select(rescue_call).where(_seen(scope)).order_by(_row.id.desc()).limit(limit)
    if unplaced:
        query = query.where(_row.incident.is_(None))
    if before_id is not None:
        query = query.where(_row.id < before_id)
    return [to_call(row) for row in connection.execute(query).mappings()]


def _seen(scope: Scope) -> ColumnElement[bool]:
    return or_(_row.asset.is_(None), and_(_row.asset.is_not(None), sees_asset(scope, _row.asset)))
