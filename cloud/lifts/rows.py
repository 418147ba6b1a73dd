"""Lifts and their records as rows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, select

from cloud.model.lift import Lift
from cloud.model.lift_tables import NEVER, lift, lift_record
from cloud.model.tables import asset_party
from protocols.lifts.base import LiftFile, State
from protocols.lifts.chain import FIRST, Entry, Head, Kept, read_entry
from protocols.lifts.due import Plan, plan
from protocols.lifts.rules import CalendarRules, Event

_BY_ID = select(lift).where(lift.c.asset_id == bindparam("wanted"))
_files = msgspec.json.Decoder(LiftFile)
_events = msgspec.json.Decoder(tuple[Event, ...])
_pairs = msgspec.json.Decoder(tuple[tuple[str, str], ...])
CODES = ("registration_code", "equipment_code", "rescue_code")
"""Of a file, by which a lift is found."""


def json_text(value: object) -> str:
    """Write a value as a text column keeps it."""
    return msgspec.json.encode(value).decode()


def find_row(connection: Connection, asset_id: str, *, lock: bool = False) -> RowMapping | None:
    """Return the row of a lift; `lock`: nobody else changes it until this transaction ends."""
    query = _BY_ID.with_for_update() if lock else _BY_ID
    return connection.execute(query, {"wanted": asset_id}).mappings().first()


def file_of(row: RowMapping) -> LiftFile:
    """Return the static data in a row."""
    return _files.decode(row["file"])


def events_in(row: RowMapping) -> tuple[Event, ...]:
    """Return what its calendar rests on."""
    return _events.decode(row["events"])


def plan_of(row: RowMapping, rules: CalendarRules, today: date) -> Plan:
    """Return its calendar."""
    return plan(file_of(row), events_in(row), rules, today)


def columns_of_plan(made: Plan) -> dict[str, Any]:
    """Return the columns that tell of a calendar."""
    first = made.next
    return {
        "state": state_of(made),
        "next_due_on": first.due_on.isoformat() if first else NEVER,
        "next_kind": first.kind if first else "",
        "overdue": len(made.overdue),
    }


def state_of(made: Plan) -> State:
    """Return the state that a lift's record tells."""
    if made.scrapped_on is not None:
        return "scrapped"
    return "stopped" if made.stopped_since is not None else "in_use"


def new_columns(file: LiftFile, now_ms: int) -> dict[str, Any]:
    """Return the columns of a lift without a record, but those of its calendar."""
    return {
        **file_columns(file),
        "events": "[]",
        "seq": 0,
        "hash": FIRST,
        "judged_on": "",
        "scrapped_at": None,
        "registered_at": now_ms,
        "updated_at": now_ms,
    }


def file_columns(file: LiftFile) -> dict[str, Any]:
    """Return the columns that a file fills."""
    return {"file": json_text(file), **{name: getattr(file, name) for name in CODES}}


def lift_of(row: RowMapping, parties: Mapping[str, str]) -> Lift:
    """Return the lift in a row."""
    due = row["next_due_on"]
    return Lift(
        asset_id=row["asset_id"],
        file=file_of(row),
        parties=parties,
        state=row["state"],
        next_due_on=None if due == NEVER else due,
        next_kind=row["next_kind"],
        overdue=row["overdue"],
        records=Head(row["seq"], row["hash"]),
        registered_at=row["registered_at"],
        updated_at=row["updated_at"],
    )


def parties_of(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the parties of lifts."""
    found: dict[str, dict[str, str]] = {one: {} for one in ids}
    query = select(asset_party).where(asset_party.c.asset_id.in_(ids))
    for row in connection.execute(query):
        found[row.asset_id][row.part] = row.organisation
    return found


def record_columns(asset_id: str, kept: Kept) -> dict[str, Any]:
    """Return an entry as a row."""
    return {
        "asset_id": asset_id,
        "seq": kept.seq,
        "body": kept.body,
        "hash": kept.hash,
        "signatures": json_text(kept.signatures),
        "kind": kept.kind,
        "happened_on": kept.on,
        "recorded_at": kept.recorded_at,
        "about": kept.about,
        "organisation": kept.organisation,
    }


def read_kept(connection: Connection, asset_id: str) -> list[Kept]:
    """Return all that is kept of a lift's record, by its numbers."""
    column = lift_record.c
    query = select(lift_record).where(column.asset_id == asset_id).order_by(column.seq)
    return [_kept(row) for row in connection.execute(query).mappings()]


def _kept(row: RowMapping) -> Kept:
    try:
        signatures = _pairs.decode(row["signatures"])
    except msgspec.DecodeError:
        signatures = ()
    return Kept(
        seq=row["seq"],
        body=row["body"],
        hash=row["hash"],
        signatures=signatures,
        kind=row["kind"],
        on=row["happened_on"],
        recorded_at=row["recorded_at"],
        about=row["about"],
        organisation=row["organisation"],
    )


def entries_of(kept: Iterable[Kept]) -> list[Entry]:
    """Return the entries; one that cannot be read any more is for `verify` to tell."""
    return [entry for one in kept if (entry := read_entry(one.body)) is not None]
