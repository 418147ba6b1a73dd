"""From a scan to its event: pure, so that a log read again makes the same."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.trace.field.codes import WHOLE, Item, LeftOut, Told, read_codes
from cloud.trace.field.names import NAMESPACE, PREFIX, RecordKey, read_point
from cloud.trace.field.steps import Role, Step
from protocols.codes.registry import SchemeRegistry
from protocols.epcis.event import Event
from protocols.epcis.read import read_event
from protocols.epcis.standard import Standard
from protocols.records import Scan

_LISTS: Mapping[Role, str] = {
    "epc": "epcList",
    "child": "childEPCs",
    "quantity": "quantityList",
    "child_quantity": "childQuantityList",
}
_DAYS_MS = (946_684_800_000, 253_402_214_400_000)
"""2000 to 9999: what a gateway may say, and what a date can hold."""


class Place(Struct, frozen=True):
    """Where a gateway is, as far as it is registered."""

    location: str | None = None
    """Canonical identifier; None: not known, or several."""
    organisations: Mapping[str, str] = {}
    """By the part that it plays for the gateway's assets, where one alone does."""


class Sighting(Struct, frozen=True, kw_only=True):
    """A scan as the log has it."""

    key: RecordKey
    scan: Scan
    observed_at_ms: int
    received_at_ms: int
    time_unknown: bool


class Made(Struct, frozen=True, kw_only=True):
    """What became of a scan."""

    event: Event | None = None
    organisation: str = ""
    """For which it is captured; empty for none."""
    left_out: tuple[LeftOut, ...] = ()


class Mapper:
    """Makes events of scans."""

    def __init__(
        self,
        steps: Mapping[str, Step],
        *,
        standard: Standard,
        registry: SchemeRegistry,
        zone: ZoneInfo,
    ) -> None:
        """Build it.

        Args:
            steps: by each word for them.
            standard: what events are held against.
            registry: what codes are held against.
            zone: in which events tell their time.

        """
        self._steps, self._standard, self._registry = steps, standard, registry
        self._zone = zone
        self._contexts: list[str | Mapping[str, Any]] = [
            next(iter(standard.contexts)),
            {PREFIX: NAMESPACE},
        ]

    def event_of(self, one: Sighting, place: Place) -> Made:
        """Make the event of a scan; one without a step has none, and nothing is left out."""
        if one.scan.step is None:
            return Made()
        step = self._steps.get(one.scan.step)
        if step is None:
            return _none("unknown_step", one.scan.step)
        if (refused := _undone(one, step)) is not None:
            return refused
        told = read_codes(one.scan, self._registry)
        placed, unmapped = _by_role(told, step)
        left_out = (*told.left_out, *unmapped)
        if not placed:
            return _none("no_code", ", ".join(one.scan.findings), *left_out)
        if len(placed.get("parent", ())) > 1:
            return _none("two_parents", "", *left_out)
        if left_out and not placed.keys() - {"parent"}:  # alone it would speak of all its children
            return _none("no_children", "", *left_out)
        body = {**self._when_and_where(one, place), **_what(step, placed, told)}
        return self._read(body, one, step, place, left_out)

    def _when_and_where(self, one: Sighting, place: Place) -> dict[str, Any]:
        at = datetime.fromtimestamp(one.observed_at_ms / 1000, self._zone)
        written = at.isoformat(timespec="milliseconds")
        body: dict[str, Any] = {
            "eventID": one.key.event_id(),
            "eventTime": written,
            "eventTimeZoneOffset": written[-6:],
            "readPoint": {"id": read_point(one.key.gateway, one.scan.reader)},
        }
        if place.location is not None:
            body["bizLocation"] = {"id": place.location}
        return body | one.key.extension()

    def _read(
        self,
        body: dict[str, Any],
        one: Sighting,
        step: Step,
        place: Place,
        left_out: tuple[LeftOut, ...],
    ) -> Made:
        reading = read_event(
            body, self._standard, now_us=one.received_at_ms * 1000, contexts=self._contexts
        )
        if reading.event is None:
            worst = next(fault for fault in reading.faults if fault.severity == "error")
            return _none("bad_event", f"{worst.rule} {worst.pointer}", *left_out)
        known = place.organisations
        organisation = next((known[part] for part in step.captured_by if part in known), "")
        return Made(event=reading.event, organisation=organisation, left_out=left_out)


def _none(reason: str, detail: str, *others: LeftOut) -> Made:
    return Made(left_out=(*others, LeftOut(WHOLE, reason, detail)))


def _undone(one: Sighting, step: Step) -> Made | None:
    """Tell of a scan that must not become an event, whatever its codes say."""
    scan = one.scan
    if scan.verdict is not None and scan.verdict.decision in step.undone_by:
        return _none(scan.verdict.decision, ", ".join(scan.verdict.reasons)[:200])
    if "codes_disagree" in scan.findings:
        return _none("codes_disagree", ", ".join(scan.findings))
    if one.time_unknown:
        return _none("time_unknown", "")
    if not _DAYS_MS[0] <= one.observed_at_ms < _DAYS_MS[1]:
        return _none("bad_time", str(one.observed_at_ms))
    return None


def _by_role(told: Told, step: Step) -> tuple[dict[Role, list[Item]], list[LeftOut]]:
    placed: dict[Role, list[Item]] = {}
    left_out: list[LeftOut] = []
    for item in told.items:
        role = step.by_scheme.get(item.scheme) or step.by_granularity.get(item.granularity)
        if role is None:
            left_out.append(LeftOut(item.index, "not_mapped", f"{item.scheme}, {item.granularity}"))
        elif role != "aside":
            placed.setdefault(role, []).append(item)
    return placed, left_out


def _what(step: Step, placed: Mapping[Role, list[Item]], told: Told) -> dict[str, Any]:
    body: dict[str, Any] = {"type": step.type, "action": step.action, "bizStep": step.biz_step}
    if step.disposition:
        body["disposition"] = step.disposition
    for role, items in placed.items():
        if role == "parent":
            body["parentID"] = items[0].id
        elif role in ("quantity", "child_quantity"):
            body[_LISTS[role]] = [{"epcClass": one.id} for one in items]
        else:
            body[_LISTS[role]] = [one.id for one in items]
    ilmd = {part.name: told.elements[part.ai] for part in step.ilmd if part.ai in told.elements}
    return body | ({"ilmd": ilmd} if ilmd else {})
