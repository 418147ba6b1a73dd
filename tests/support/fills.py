"""Records of a filling place, as its gateway would have made them."""

from datetime import datetime
from typing import Any

from protocols.records import Fill, FillStep
from tests.support.cylinders import CODE, ZONE
from tests.support.log_groups import NOON_MS

GATE = "hall-1"
BEFORE_KG, AFTER_KG = 17.0, 31.0


def day_of(at_ms: int) -> str:
    """Return the local day of a moment."""
    return datetime.fromtimestamp(at_ms / 1000, ZONE).date().isoformat()


def step(told: FillStep, number: int, *, at: int = NOON_MS, **fields: Any) -> Fill:
    """Return one record."""
    given: dict[str, Any] = {
        "gate": GATE,
        "at": at,
        "asset": CODE,
        "decision": "fill",
        "rules_version": "r1",
        "snapshot_version": "7",
        "judged_on": day_of(at),
        "filler": "gas-a",
        "gas": "lpg",
        "operator": "op-7",
        "checks": {"no_damage": True},
        "limit_kg": 31.4,
    }
    return Fill(step=told, number=number, **{**given, **fields})


def visit(first: int, *, at: int = NOON_MS, **fields: Any) -> list[Fill]:
    """Return what a gate records of a good filling: decided, released, ended, weighed, checked."""
    opening = first + 1
    before, after = fields.pop("before_kg", BEFORE_KG), fields.pop("after_kg", AFTER_KG)
    mass = {"before_kg": before, "after_kg": after, "net_kg": round(after - before, 3)}
    told = {"opening": opening, **fields}
    return [
        step("decided", first, at=at, **fields),
        step("released", opening, at=at + 1_000, before_kg=before, **fields),
        step("ended", first + 2, at=at + 61_000, why="full", before_kg=before, **told),
        step("weighed", first + 3, at=at + 63_000, **{**told, **mass}),
        step("checked", first + 4, at=at + 70_000, **{**told, **mass}),
    ]
