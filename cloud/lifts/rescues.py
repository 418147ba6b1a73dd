"""A rescue that was closed becomes an entry of its lift's record, in the transaction of its end."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, select

from cloud.lifts.append import Author, Recorder
from cloud.model.incident import Incident
from cloud.model.lift_tables import lift_record
from protocols.ids import scheme_of
from protocols.lifts.base import SCHEME
from protocols.lifts.chain import Entry, Kept, read_entry
from protocols.lifts.records import TEXT_CHARS_MAX, Draft, Value

SERVICE = Author("service", "")
MOMENTS = (
    *("trapped_at", "detected_at", "dispatched_at", "accepted_at", "arrived_at"),
    *("released_at", "called_back_at"),
)
TOLD = ("people", "released_people", "injured", "level", "unit", "cause", "satisfaction")


def record_rescue(
    connection: Connection, incident: Incident, recorder: Recorder, zone: ZoneInfo
) -> Kept | None:
    """Write a closed incident into the record of its lift, inside the caller's transaction.

    None: it ended otherwise (false alarm, cancelled, merged) or is of no lift; nothing was written.
    A drill is written as a drill. What comes after the end (a call back, the cause) is told by
    calling this again: the entry is corrected by a new one, and nothing is written where it tells
    the same.

    Raises:
        StopService: a signing key is damaged.

    """
    if incident.state != "closed" or scheme_of(incident.asset) != SCHEME:
        return None
    on = _day(incident.detected_at, zone)
    draft = _drill(incident, on) if incident.drill else _rescue(incident, on)
    before = _written(connection, incident, draft.kind)
    if before is not None:
        if (before.fields, before.note) == (draft.fields, draft.note):
            return None
        draft = msgspec.structs.replace(draft, about=before.seq)
    return recorder.append(connection, incident.asset, draft, SERVICE, any_state=True)


def _written(connection: Connection, incident: Incident, kind: str) -> Entry | None:
    """Return the newest entry of this incident; it is among the last of its lift."""
    column = lift_record.c
    query = select(column.body).where(
        column.asset_id == incident.asset,
        column.kind == kind,
        column.recorded_at >= incident.detected_at,
    )
    for body in connection.execute(query.order_by(column.seq.desc())).scalars():
        entry = read_entry(body)
        if entry is not None and incident.number in (
            entry.fields.get("number"),
            entry.fields.get("what"),
        ):
            return entry
    return None


def rescue_recorder(
    recorder: Recorder, zone: ZoneInfo
) -> Callable[[Connection, Incident], Kept | None]:
    """Return `record_rescue` for whoever closes incidents."""

    def record(connection: Connection, incident: Incident) -> Kept | None:
        return record_rescue(connection, incident, recorder, zone)

    return record


def _drill(incident: Incident, on: date) -> Draft:
    people = incident.released_people or incident.people
    fields: dict[str, Value] = {"what": incident.number}
    if people is not None:
        fields["people"] = people
    return Draft(kind="drill", on=on, fields=fields, note=incident.narrative[:TEXT_CHARS_MAX])


def _rescue(incident: Incident, on: date) -> Draft:
    fields: dict[str, Value] = {"number": incident.number, "source": incident.source}
    for name in (*MOMENTS, *TOLD, "evidence"):
        value = getattr(incident, name)
        if value is not None and value != "":
            fields[name] = value
    if incident.ended_at is not None:
        fields["closed_at"] = incident.ended_at
    return Draft(kind="rescue", on=on, fields=fields, note=incident.narrative[:TEXT_CHARS_MAX])


def _day(at_ms: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).astimezone(zone).date()
