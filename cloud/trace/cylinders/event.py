"""From an entry of the registry to its event: pure, so that it is the same at each reading."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.trace.cylinders.steps import Step, Told
from cloud.trace.field.names import NAMESPACE, PREFIX, RecordKey, read_point
from protocols.clock import parse_time
from protocols.codes.registry import SchemeRegistry
from protocols.epcis.event import Event
from protocols.epcis.read import read_event
from protocols.epcis.standard import Standard

CATEGORY = "cylinder"
_EVENT_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:suyuan:cylinder:")


class Source(Struct, frozen=True, kw_only=True):
    """Where an entry stands."""

    change: int | None = None
    """Its number in the history of the registry."""
    record: RecordKey | None = None
    """Its place in the log."""
    gate: str = ""
    """Of the gateway that recorded it."""


class Made(Struct, frozen=True, kw_only=True):
    """What became of an entry."""

    event: Event | None = None
    left_out: str = ""
    """Why there is none, in a closed word; empty: there is one."""


class CylinderMapper:
    """Makes events of entries."""

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        standard: Standard,
        registry: SchemeRegistry,
        zone: ZoneInfo,
    ) -> None:
        """Build it.

        Args:
            steps: what entries become.
            standard: what events are held against.
            registry: how things are named.
            zone: in which events tell their time.

        """
        self._steps, self._standard, self._registry, self._zone = steps, standard, registry, zone
        self._contexts: list[str | Mapping[str, Any]] = [
            next(iter(standard.contexts)),
            {PREFIX: NAMESPACE},
        ]

    def event_of(self, told: Told, source: Source, *, now_ms: int) -> Made:
        """Make the event of an entry; `no_step`: it is none of the data's steps."""
        step = next((one for one in self._steps if one.fits(told)), None)
        if step is None:
            return Made(left_out="no_step")
        reading = read_event(
            self._body(step, told, source),
            self._standard,
            now_us=now_ms * 1000,
            contexts=self._contexts,
        )
        return Made(event=reading.event, left_out="" if reading.event else "bad_event")

    def _body(self, step: Step, told: Told, source: Source) -> dict[str, Any]:
        scheme, _, code = told.asset_id.partition(":")
        written = self._moment(step, told).isoformat(timespec="milliseconds")
        body: dict[str, Any] = {
            "type": "ObjectEvent",
            "eventID": _id_of(told, source),
            "eventTime": written,
            "eventTimeZoneOffset": written[-6:],
            "epcList": [self._registry.id_of(scheme, code)],
            "action": step.action,
            "bizStep": step.biz_step,
            f"{PREFIX}:category": CATEGORY,
        }
        if step.disposition:
            body["disposition"] = step.disposition
        if source.record is not None:
            body |= source.record.extension()
            body["readPoint"] = {"id": read_point(source.record.gateway, source.gate)}
        if source.change is not None:
            body[f"{PREFIX}:change"] = source.change
        for name in step.told:
            if (value := told.after.get(name)) not in (None, ""):
                body[f"{PREFIX}:{name}"] = value
        return body

    def _moment(self, step: Step, told: Told) -> datetime:
        """Return when it was done; of what tells its day alone, the beginning of that day.

        The registry wrote moments by itself, so that they can be read.
        """
        moment = told.after.get(step.at) if step.at else None
        at_ms = parse_time(moment) if isinstance(moment, str) else told.at_ms
        at = datetime.fromtimestamp(at_ms / 1000, self._zone)
        day = told.after.get(step.day) if step.day else None
        if not isinstance(day, str):
            return at
        on = date.fromisoformat(day)
        return at if on >= at.date() else datetime.combine(on, time(), self._zone)


def _id_of(told: Told, source: Source) -> str:
    if source.record is not None:
        return source.record.event_id()
    text = f"{told.asset_id}/{source.change}/{told.at_ms}"
    return f"urn:uuid:{uuid.uuid5(_EVENT_IDS, text)}"
