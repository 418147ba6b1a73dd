"""Random queries over random events are answered as a slow and obvious reader answers them."""

from typing import Any

import pytest

from cloud.model.principal import EVERYTHING, Scope
from cloud.trace.base import StoredEvent
from cloud.trace.query import sql
from cloud.trace.query.parse import read_query
from cloud.trace.store import SqlTraceStore
from protocols.epcis.document import MasterElement
from protocols.epcis.standard import Standard
from tests.support.trace_events import NAMESPACES, event_of
from tests.support.trace_generator import ATTRIBUTES, CHILDREN, Events, Queries
from tests.support.trace_oracle import Seen, World, admits

SEED = 20261126
EVENTS, QUERIES, QUICK = 1600, 2000, 100
WORLD = World(CHILDREN, ATTRIBUTES)
NAMES = {"ex": NAMESPACES["ex"]}
SCOPES = (EVERYTHING, *(Scope(organisations=frozenset(some)) for some in ("a", "b", "ab", "c")))


async def _fill(
    store: SqlTraceStore, events: Events, count: int
) -> tuple[list[Seen], dict[str, set[int]]]:
    """Fill it; return its events, and the numbers of those that each organisation sent."""
    seen: list[Seen] = []
    sent: dict[str, set[int]] = {"a": set(), "b": set(), "c": set()}
    keys = set()
    for second in range(0, 60, 2):
        made = [event_of(events.next()) for _ in range(count // 30)]
        sender = "aab"[second // 2 % 3]
        outcomes = await store.capture(made, organisation=sender, recorded_at_us=second * 10**6)
        sent[sender] |= {outcome.event_no for outcome in outcomes if outcome.event_no}
        for event, outcome in zip(made, outcomes, strict=True):
            if outcome.event_no not in keys:
                keys.add(outcome.event_no)
                seen.append(Seen(event.body, outcome.event_id, second * 10**6))
    elements = [
        MasterElement(
            type="urn:epcglobal:epcis:vtype:any",
            id=id_,
            attributes=tuple(ATTRIBUTES.get(id_, {}).items()),
            children=CHILDREN.get(id_, ()),
        )
        for id_ in {*ATTRIBUTES, *CHILDREN}
    ]
    await store.capture([], organisation="a", recorded_at_us=0, master=elements)
    return seen, sent


async def _answer(
    store: SqlTraceStore, standard: Standard, query: dict[str, Any], scope: Scope
) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    asked, position = read_query(query, standard, namespaces=NAMES), None
    while True:
        page = await store.find(asked, scope=scope, after=position, limit=100)
        found += page.events
        position = page.next
        if position is None:
            return found


def _check(
    query: dict[str, Any], found: list[StoredEvent], seen: list[Seen], visible: set[int]
) -> int:
    expected = {no for no in visible if admits(query, seen[no - 1], WORLD)}
    numbers = [one.event_no for one in found]
    limit = query.get("eventCountLimit")
    assert len(numbers) == len(set(numbers))
    if limit is None:
        assert set(numbers) == expected, query
    else:
        assert set(numbers) <= expected, query
        assert len(numbers) == min(limit, len(expected)), query
    _check_order(query, found, [seen[number - 1] for number in expected])
    return len(expected)


def _check_order(query: dict[str, Any], found: list[StoredEvent], expected: list[Seen]) -> None:
    if query.get("orderBy") not in ("eventTime", "recordTime"):
        return
    of_time = query["orderBy"] == "eventTime"
    times = [one.event_time_us if of_time else one.record_time_us for one in found]
    descending = query["orderDirection"] == "DESC"
    assert times == sorted(times, reverse=descending), query
    every = [
        event_of(one.body).event_time_us if of_time else one.record_time_us for one in expected
    ]
    assert times == sorted(every, reverse=descending)[: len(times)], query


@pytest.mark.parametrize(
    ("events", "queries"),
    [
        pytest.param(300, QUICK, id="quick"),
        pytest.param(
            EVENTS, QUERIES, id="whole", marks=[pytest.mark.long, pytest.mark.timeout(1800)]
        ),
    ],
)
async def test_queries_are_answered_as_the_oracle_says(
    store: SqlTraceStore,
    standard: Standard,
    monkeypatch: pytest.MonkeyPatch,
    events: int,
    queries: int,
) -> None:
    made = Events(SEED)
    seen, sent = await _fill(store, made, events)
    asked, answered = Queries(SEED, made), 0
    for number in range(queries):
        query = asked.next()
        monkeypatch.setattr(sql, "FEW_MAX", (0, 30, 10_000)[number % 3])
        scope = SCOPES[number // 3 % len(SCOPES)]
        found = await _answer(store, standard, query, scope)
        visible = set[int]().union(*(sent[one] for one in scope.organisations))
        whole = set(range(1, len(seen) + 1))
        answered += _check(query, found, seen, whole if scope.everything else visible) > 0
    assert answered > queries / 4
