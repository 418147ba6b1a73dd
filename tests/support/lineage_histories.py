"""Random histories of events: made, packed, re-packed, unpacked, voided, corrected."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from cloud.trace.lineage.base import (
    AGGREGATION,
    ASSOCIATION,
    OTHER,
    TRANSFORMATION,
    Trace,
    Uses,
    code_of,
)
from cloud.trace.lineage.segment import EventRows, Segment, build
from tests.support.lineage_oracle import Answer, Happening, Named

ROLES = ("epc", "parent", "child", "input", "output")
ACTIONS = ("ADD", "OBSERVE", "DELETE")
KINDS = {
    "ObjectEvent": OTHER,
    "TransactionEvent": OTHER,
    "TransformationEvent": TRANSFORMATION,
    "AggregationEvent": AGGREGATION,
    "AssociationEvent": ASSOCIATION,
}


def history(random: Random, *, items: int, events: int, times: int) -> list[Happening]:
    """Return events numbered from 1; few times, so that many fall together."""
    made = _history(random, items, events, times)
    return [h if h.declares else replace(h, name=h.number) for h in made]


def _history(random: Random, items: int, events: int, times: int) -> list[Happening]:
    made: list[Happening] = []
    voided: set[int] = set()
    while len(made) < events:
        number = len(made) + 1
        if made and random.random() < 0.08:
            wrong = random.choice(made)
            if not wrong.declares and wrong.number not in voided:
                voided.add(wrong.number)
                made.append(replace(wrong, number=number, declares=True, name=wrong.number))
                if random.random() < 0.7:  # the corrective event
                    made.append(_event(random, number + 1, items, times))
                continue
        made.append(_event(random, number, items, times))
    return made


def voided(happenings: Sequence[Happening]) -> frozenset[int]:
    """Return the events that are declared wrong: those that are the same but for that."""
    declared = {replace(h, number=0) for h in happenings if h.declares}
    return frozenset(
        h.number
        for h in happenings
        if not h.declares and replace(h, number=0, declares=True) in declared
    )


def _event(random: Random, number: int, items: int, times: int) -> Happening:
    kinds = ["AggregationEvent"] * 5 + ["TransformationEvent"] * 3
    kind = random.choice([*kinds, "AssociationEvent", "ObjectEvent", "TransactionEvent"])
    time = random.randrange(times)
    some = _some(random, items)
    if kind == "TransformationEvent":
        one_sided = random.random() < 0.3
        sides = [random.choice(("input", "output"))] if one_sided else ["input", "output"]
        named = [n for side in sides for n in _named(random, side, _some(random, items))]
        joined = one_sided or random.random() < 0.2
        name = f"t{random.randrange(3)}" if joined else None
        return Happening(number, time, kind, None, tuple(named), name)
    action = random.choices(ACTIONS, (5, 1, 4))[0]
    if kind == "ObjectEvent":
        return Happening(number, time, kind, action, tuple(_named(random, "epc", some)))
    role = "epc" if kind == "TransactionEvent" else "child"
    parent = random.choice(range(items - 4, items)) if random.random() < 0.8 else some[0]
    children = [] if action == "DELETE" and random.random() < 0.25 else some
    named = [Named("parent", parent), *_named(random, role, children)]
    return Happening(number, time, kind, action, tuple(named))


def _some(random: Random, items: int) -> list[int]:
    return random.sample(range(items), random.choice((1, 1, 2, 3)))


def _named(random: Random, role: str, items: list[int]) -> list[Named]:
    """Two of the items are lots, named by quantity."""
    return [
        Named(role, item, True, random.choice((None, 1.0, 2.0, 3.0)), random.choice((None, "KGM")))
        if item < 2
        else Named(role, item)
        for item in items
    ]


def segment(
    happenings: Sequence[Happening],
    *,
    first: int = 1,
    end: int | None = None,
    known: Sequence[int] = (),
) -> Segment:
    """Return the events [first, end) as a segment; `known` are voided before it was made."""
    end = len(happenings) + 1 if end is None else end
    mine = [h for h in happenings if first <= h.number < end]
    dead = voided([h for h in happenings if h.number < end])
    live = [h for h in mine if not h.declares and h.number not in dead]
    uses = [(h, n) for h in live for n in h.named]
    older = sorted(n for n in dead if n < first and n not in known)
    return build(first, end, _event_rows(live), _uses(uses), np.array(older, dtype=np.int64))


def _event_rows(live: Sequence[Happening]) -> EventRows:
    parents = [[n.item for n in h.named if n.role == "parent"] for h in live]
    kinds = [KINDS[h.type] + (ACTIONS.index(h.action or "ADD")) * (h.type[0] == "A") for h in live]
    groups = [0 if h.transformation is None else int(h.transformation[1:]) + 10**6 for h in live]
    childless = [not any(n.role == "child" for n in h.named) for h in live]
    return EventRows(
        np.array([h.number for h in live], dtype=np.int64),
        np.array([h.time for h in live], dtype=np.int64),
        np.array(kinds, dtype=np.uint8),
        np.array([p[0] if p else -1 for p in parents], dtype=np.int64),
        np.array(groups, dtype=np.int64),
        np.array(childless, dtype=np.bool_),
    )


def _uses(uses: Sequence[tuple[Happening, Named]]) -> Uses:
    quantities = [np.nan if n.quantity is None else n.quantity for _, n in uses]
    return Uses(
        np.array([n.item for _, n in uses], dtype=np.int64),
        np.array([h.number for h, _ in uses], dtype=np.int64),
        np.array([ROLES.index(n.role) for _, n in uses], dtype=np.uint8),
        np.array([n.by_class for _, n in uses], dtype=np.bool_),
        np.array(quantities, dtype=np.float64),
        np.array([code_of(n.uom) for _, n in uses], dtype=np.int64),
    )


def told(trace: Trace, lots: frozenset[int] = frozenset({0, 1})) -> Answer:
    """Return an answer in the oracle's words."""
    answer = Answer()
    answer.nodes = {n.item_no: (n.carrier, n.depth, n.at_us) for n in trace.nodes}
    answer.transformations = {t.number: (t.depth, t.at_us) for t in trace.transformations}
    for one in trace.links:
        if one.kind in ("aggregation", "association"):
            ends: tuple[object, ...] = (one.source, one.target, one.since_us, one.until_us)
            key = (one.kind, *ends, one.source in lots)
        elif one.kind == "input":
            key = (one.kind, one.source, one.target, one.event_no)
        else:
            key = (one.kind, one.target, one.source, one.event_no)
        assert key not in answer.links
        answer.links[key] = frozenset(one.reasons)
    answer.steps = {step.event_no for step in trace.steps}
    answer.cut_items, answer.beyond = trace.cut.items, trace.cut.beyond
    return answer


def renumbered(happenings: Sequence[Happening], order: Sequence[int]) -> list[Happening]:
    """Return the events as if they had been captured in another order of their places."""
    return [replace(happenings[place], number=n) for n, place in enumerate(order, 1)]


def body(happening: Happening) -> dict[str, Any]:
    """Return an event as it is captured; items are named by `item_id`."""
    made: dict[str, Any] = {
        "type": happening.type,
        "eventTime": f"2026-11-26T08:{happening.time // 60:02}:{happening.time % 60:02}.000+00:00",
        "eventTimeZoneOffset": "+00:00",
        "eventID": f"urn:x:event:{happening.name}",
    }
    if happening.action:
        made["action"] = happening.action
    if happening.transformation:
        made["transformationID"] = f"urn:x:{happening.transformation}"
    if happening.declares:
        made["errorDeclaration"] = {"declarationTime": "2026-11-26T10:00:00.000+00:00"}
    for named in happening.named:
        if named.role == "parent":
            made["parentID"] = item_id(named.item)
        elif named.by_class:
            element = {
                "epcClass": item_id(named.item),
                "quantity": named.quantity,
                "uom": named.uom,
            }
            told = {key: value for key, value in element.items() if value is not None}
            made.setdefault(_QUANTITY_LISTS[named.role], []).append(told)
        else:
            made.setdefault(_LISTS[named.role], []).append(item_id(named.item))
    return made


def item_id(item: int) -> str:
    """Return the identifier of an item."""
    return f"urn:x:item:{item}"


_LISTS = {
    "epc": "epcList",
    "child": "childEPCs",
    "input": "inputEPCList",
    "output": "outputEPCList",
}
_QUANTITY_LISTS = {
    "epc": "quantityList",
    "child": "childQuantityList",
    "input": "inputQuantityList",
    "output": "outputQuantityList",
}
