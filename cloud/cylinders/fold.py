"""What the steps of one opening of a gun say together. Pure, whatever order they came in."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.model.cylinder import json_text
from cloud.model.cylinder_fill import FillState, OverruledBy
from protocols.records import Fill, FillStep

RISE_KG = 0.5
"""Less than that is no gas: how exactly a filling scale weighs, as the gates judge it."""
PURGED = "purged"
"""The question of the checklist for a first filling."""
_WORD = 64
NAME_MAX = 128
_OWN: frozenset[FillStep] = frozenset({"released", "without_verdict", "interrupted"})
"""Steps that make a filling of their own where they name no opening."""


class Told(Struct, frozen=True, kw_only=True):
    """A step as the service has it."""

    record: Fill
    observed_at: int
    received_at: int
    time_unknown: bool


def opening_of(record: Fill) -> int | None:
    """Return the number of the opening that a step belongs to; None: it is of no filling."""
    if record.opening is not None:
        return record.opening
    return record.number if record.step in _OWN else None


def told_purged(record: Fill) -> bool:
    """Tell whether somebody answered that the cylinder was purged or evacuated."""
    return record.checks.get(PURGED) is True


def fold(steps: Iterable[Told], zone: ZoneInfo) -> dict[str, Any]:
    """Return the columns of a filling.

    Args:
        steps: its own, at least one.
        zone: in which days are counted.

    """
    told = sorted(steps, key=lambda one: (one.record.number, one.observed_at))
    records = [one.record for one in told]
    state, first = _state(records), _first(told)
    judged = first.record
    weighed = next((one for one in records if one.step == "weighed"), None)
    overruled = next((one.override for one in records if one.override is not None), None)
    return {
        "state": state,
        "asset_id": _any(records, lambda one: one.asset),
        "filler": _any(records, lambda one: one.filler)[:NAME_MAX],
        "gas": _any(records, lambda one: one.gas)[:NAME_MAX],
        "operator": _any(records, lambda one: one.operator)[:NAME_MAX],
        **_masses(judged, weighed, records),
        "decision": judged.decision,
        "reasons": json_text(judged.reasons),
        "rules_version": judged.rules_version[:_WORD],
        "snapshot_version": judged.snapshot_version[:_WORD],
        "judged_on": _day(judged.judged_on),
        "time_source": judged.time_source,
        "checks": json_text(_checks(records)),
        "overruled": json_text(overruled and OverruledBy(overruled.role, overruled.why)),
        "overruled_by": overruled.name if overruled else "",
        "codes": json_text(judged.codes),
        "faults": json_text(list(dict.fromkeys(f for one in records for f in one.faults))),
        "ended_by": _of(records, "ended", lambda one: one.why),
        "cleared_by": _of(records, "cleared", lambda one: one.operator)[:NAME_MAX],
        "began_at": first.observed_at,
        "released_at": next((o.observed_at for o in told if o.record.step == "released"), None),
        "ended_at": _ended_at(told),
        "filled_on": _filled_on(state, told, zone),
        "purged": any(told_purged(one) for one in records),
        "time_unknown": any(one.time_unknown for one in told),
        "steps": len(told),
        "received_at": min(one.received_at for one in told),
    }


def _state(records: Sequence[Fill]) -> FillState:
    found = {one.step for one in records}
    if "without_verdict" in found:
        return "without_verdict"
    if "interrupted" in found:
        return "interrupted"
    weighed = [one for one in records if one.step == "weighed"]
    if weighed:
        came = any(one.net_kg is None or one.net_kg > RISE_KG for one in weighed)
        return "filled" if came else "empty"
    return "ended" if found - {"released"} else "open"


def _first(told: Sequence[Told]) -> Told:
    """Return the record that opened it, or the earliest that tells what it rested on."""
    opened = (one for one in told if one.record.step in _OWN)
    return next(opened, told[0])


def _masses(judged: Fill, weighed: Fill | None, records: Sequence[Fill]) -> dict[str, float | None]:
    end = weighed or next((one for one in reversed(records) if one.after_kg is not None), judged)
    before = judged.before_kg if judged.before_kg is not None else end.before_kg
    limit = judged.limit_kg if judged.limit_kg is not None else end.limit_kg
    net = end.net_kg
    return {"before_kg": before, "after_kg": end.after_kg, "net_kg": net, "limit_kg": limit}


def _checks(records: Iterable[Fill]) -> dict[str, bool]:
    answers: dict[str, bool] = {}
    for one in records:
        answers |= one.checks
    return answers


def _ended_at(told: Sequence[Told]) -> int | None:
    ends = ("ended", "without_verdict", "interrupted", "weighed")
    found = {one.record.step: one.observed_at for one in reversed(told)}
    return next((found[step] for step in ends if step in found), None)


def _filled_on(state: FillState, told: Sequence[Told], zone: ZoneInfo) -> str | None:
    """Return the day of a filling that was weighed; nobody counts a day that nobody knows."""
    if state != "filled":
        return None
    return next((day for one in told if (day := day_of(one, zone)) is not None), None)


def day_of(one: Told, zone: ZoneInfo) -> str | None:
    """Return the local day of a step; None where nobody knows it, or it lies ahead of its receipt.

    A clock that runs ahead would else make a cylinder one that was filled tomorrow.
    """
    record, day = one.record, None
    if record.time_source == "trusted":
        day = _day(record.judged_on)
    if day is None and not one.time_unknown:
        day = _local(one.observed_at, zone)
    return day if day is not None and day <= _local(one.received_at, zone) else None


def _local(at_ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).date().isoformat()


def _day(text: str) -> str | None:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _any(records: Iterable[Fill], told: Callable[[Fill], str]) -> str:
    return next((text for one in records if (text := told(one))), "")


def _of(records: Iterable[Fill], step: FillStep, told: Callable[[Fill], str]) -> str:
    return next((told(one) for one in records if one.step == step), "")
