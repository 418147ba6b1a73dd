"""Rescues as rows of the state database, and as items of the feed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from cloud.incidents.deadlines import urgent_at, waits
from cloud.incidents.draft import SYSTEM
from cloud.model.incident import Deadline, Entry, Incident, KeptCall, RescueUnit
from protocols.clock import iso

COLUMNS = tuple(name for name in Incident.__struct_fields__ if name != "deadlines")
ENTRY = Entry.__struct_fields__
UNIT = RescueUnit.__struct_fields__
CALL = KeptCall.__struct_fields__
_TIMES = tuple(name for name in COLUMNS if name.endswith("_at"))
_FED = (
    *("id", "number", "asset", "alarm", "alert", "state", "level", "source", "drill", "evidence"),
    *("people", "unit", "operator", "released_people", "cause", "merged_into", "version"),
)
"""Nothing of the caller: a feed goes to many."""
_json = msgspec.json.Encoder()


def to_incident(row: Any, deadlines: Sequence[Deadline]) -> Incident:
    """Build an incident from a row's mapping."""
    return Incident(**{name: row[name] for name in COLUMNS}, deadlines=tuple(deadlines))


def to_row(incident: Incident) -> dict[str, Any]:
    """Build the columns of an incident, all but its id and those that never change."""
    found = {name: getattr(incident, name) for name in COLUMNS if name != "id"}
    return found | {"open": "y" if incident.open else None, "urgent_at": urgent_at(incident)}


def to_deadline(row: Any) -> Deadline:
    """Build a deadline from a row's mapping."""
    return Deadline(
        kind=row["kind"],
        level=row["level"],
        due_at=row["due_at"],
        fired_at=row["fired_at"],
        settled_at=row["settled_at"],
    )


def deadline_row(incident_id: int, position: int, one: Deadline) -> dict[str, Any]:
    """Build the columns of a deadline."""
    found = {name: getattr(one, name) for name in Deadline.__struct_fields__}
    waiting = "y" if waits(one) else None
    return {"incident": incident_id, "position": position, **found, "waiting": waiting}


def to_entry(row: Any) -> Entry:
    """Build an entry from a row's mapping."""
    return Entry(**{name: row[name] for name in ENTRY})


def to_unit(row: Any) -> RescueUnit:
    """Build a unit from a row's mapping."""
    return RescueUnit(**{name: row[name] for name in UNIT})


def to_call(row: Any) -> KeptCall:
    """Build a call from a row's mapping."""
    return KeptCall(**{name: row[name] for name in CALL})


def feed_data(incident: Incident, entry: Entry) -> str:
    """Write an incident as the one line of JSON that the feed carries for an entry.

    `to`: which contact or organisation the service tells of what (`note`); what people write stays
    in the record.
    """
    found: dict[str, Any] = {"change": entry.what, "severity": "emergency"}
    if entry.by == SYSTEM and entry.to:
        found |= {"to": entry.to, "note": entry.note}
    found |= {name: getattr(incident, name) for name in _FED}
    for name in _TIMES:
        if (value := getattr(incident, name)) is not None:
            found[name] = iso(value)
    found["deadlines"] = [deadline_fields(one) for one in incident.deadlines]
    return _json.encode(found).decode()


def deadline_fields(one: Deadline) -> dict[str, Any]:
    """Return a deadline as JSON-ready fields."""
    found: dict[str, Any] = {"kind": one.kind, "level": one.level}
    for name in ("due_at", "fired_at", "settled_at"):
        value = getattr(one, name)
        found[name] = None if value is None else iso(value)
    return found
