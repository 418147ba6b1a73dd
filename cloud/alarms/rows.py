"""Alarms as rows of the state database, and as items of the feed."""

from typing import Any

import msgspec
from sqlalchemy import Row

from cloud.model.alarm import Alarm, Reason
from cloud.model.transition import Change
from protocols.clock import iso

FIELDS: tuple[str, ...] = tuple(field.name for field in msgspec.structs.fields(Alarm))
FEED_FIELDS = (
    "id",
    "alert",
    "asset",
    "severity",
    "state",
    "raised_at",
    "observed_at",
    "changed_at",
    "evidence",
    "late",
    "stale",
    "values",
    "acknowledged_at",
    "acknowledged_by",
    "returned_at",
    "active",
    "shelved_at",
    "shelve_ends_at",
    "shelved_by",
    "shelve_reason",
    "repeats",
)
_JSON = ("values", "annotations")
_json = msgspec.json.Encoder()
_objects = msgspec.json.Decoder(dict[str, Any])
_reasons = msgspec.json.Decoder(tuple[Reason, ...])


def to_alarm(row: Row[Any]) -> Alarm:
    """Build an alarm from a row of the table."""
    found = {name: row._mapping[name] for name in FIELDS}  # noqa: SLF001 - SQLAlchemy's own name
    found |= {name: _objects.decode(found[name]) for name in _JSON}
    return Alarm(**found | {"reasons": _reasons.decode(found["reasons"])})


def to_row(alarm: Alarm) -> dict[str, Any]:
    """Build the columns of an alarm, all but its id."""
    found: dict[str, Any] = {name: getattr(alarm, name) for name in FIELDS if name != "id"}
    found |= {name: _json.encode(found[name]).decode() for name in (*_JSON, "reasons")}
    return found | {"open": None if alarm.state == "normal" else "y"}


def feed_data(alarm: Alarm, change: Change | str) -> str:
    """Write an alarm as the one line of JSON that the feed carries."""
    found: dict[str, Any] = {"change": change}
    for name in FEED_FIELDS:
        value = getattr(alarm, name)
        is_time = name.endswith("_at") and value is not None
        found[name] = iso(value) if is_time else value
    found["reasons"] = reasons_fields(alarm)
    for name in ("summary", "summary_zh"):
        found[name] = alarm.annotations.get(name, "")
    return _json.encode(found).decode()


def reasons_fields(alarm: Alarm) -> list[dict[str, Any]]:
    """Return why an alarm was raised as JSON-ready fields, times as text."""
    return [msgspec.structs.asdict(one) | {"since_at": iso(one.since_at)} for one in alarm.reasons]
