"""Samples in rule files: a cylinder, what the gate sees of it, and all that must be said."""

from contextlib import suppress
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct

from protocols.border import convert
from protocols.cylinders.base import Cylinder, MarkedDate, Seen
from protocols.cylinders.book import Kind, RuleBook
from protocols.cylinders.verdict import fill_verdict
from protocols.errors import Fault, RefuseInput

_FILLER = "org:sample"
_MARKED = ("manufactured_on", "inspected_on", "inspection_due_on", "certificate_valid_until")


class Sample(Struct, frozen=True, kw_only=True):
    """As it stands in a file; what is left out of `cylinder` and `seen` is as in daily use."""

    about: str
    on: date
    cylinder: dict[str, Any] | None = None
    """Without it: nobody knows the code."""
    seen: dict[str, Any] = {}
    reasons: tuple[str, ...] = ()
    """All of them, the gravest first; empty: fill."""
    due_on: date | None = None
    life_ends_on: date | None = None
    limit_kg: float | None = None


def sample_faults(tables: list[Any], kind: Kind | None, book: RuleBook, file: str) -> list[Fault]:
    """Judge each sample of one file; return what does not come out."""
    faults: list[Fault] = []
    for index, table in enumerate(tables):
        key = f"samples[{index}]"
        sample = convert(table, Sample, file=file, faults=faults, key=key)
        asked = None if sample is None else read_sample(sample, kind, file, key, faults)
        if sample is not None and asked is not None:
            faults += [
                Fault(file, f"{key}.{name}", expected, found)
                for name, expected, found in _differences(sample, *asked, book)
            ]
    return faults


def read_sample(
    sample: Sample, kind: Kind | None, file: str, key: str, faults: list[Fault]
) -> tuple[Cylinder | None, Seen] | None:
    """Make what `fill_verdict` takes; on faults append them and return None."""
    cylinder = None
    before = len(faults)
    if sample.cylinder is not None:
        usual: dict[str, Any] = {
            "code": "cylinder:sample",
            "filler": _FILLER,
            "kind": kind.id if kind else None,
        }
        facts = _dated(usual | sample.cylinder)
        cylinder = convert(facts, Cylinder, file=file, faults=faults, key=f"{key}.cylinder")
    gas = cylinder.gas if cylinder else "lpg"
    components = cylinder.components if cylinder else ()
    daily = {"filler": _FILLER, "gas": gas, "components": components, "on": sample.on}
    seen = convert(daily | sample.seen, Seen, file=file, faults=faults, key=f"{key}.seen")
    return None if len(faults) > before or seen is None else (cylinder, seen)


def _dated(table: dict[str, Any]) -> dict[str, Any]:
    """Put the parts of marked dates in the place of their texts."""
    found = {}
    for name, value in table.items():
        found[name] = _dated(value) if isinstance(value, dict) else value
        if name in _MARKED and isinstance(value, str):
            with suppress(RefuseInput):  # as it is, it is refused with its key
                found[name] = msgspec.structs.asdict(MarkedDate.parse(value))
    return found


def _differences(
    sample: Sample, cylinder: Cylinder | None, seen: Seen, book: RuleBook
) -> list[tuple[str, str, str]]:
    verdict = fill_verdict(cylinder, seen, book)
    pairs = {
        "reasons": (list(sample.reasons), [one.reason for one in verdict.reasons]),
        "due_on": (sample.due_on, verdict.due_on),
        "life_ends_on": (sample.life_ends_on, verdict.life_ends_on),
        "limit_kg": (sample.limit_kg, verdict.limit_kg),
    }
    return [
        (name, str(expected), str(found))
        for name, (expected, found) in pairs.items()
        if expected != found and (name == "reasons" or expected is not None)
    ]
