"""Random queries over random events are answered as a slow and obvious reader answers them."""

from typing import Any

import pytest

from cloud.model.principal import EVERYTHING
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


async def _fill(store: SqlTraceStore, events: Events, count: int) -> list[Seen]:
    seen: list[Seen] = []
    keys = set()
    for second in range(0, 60, 2):
        made = [event_of(events.next()) for _ in range(count // 30)]
        outcomes = await store.capture(made, organisation="a", recorded_at_us=second * 10**6)
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
    return seen


async def _answer(
    store: SqlTraceStore, standard: Standard, query: dict[str, Any]
) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    asked, position = read_query(query, standard, namespaces=NAMES), None
    while True:
        page = await store.find(asked, scope=EVERYTHING, after=position, limit=400)
        found += page.events
        position = page.next
        if position is None:
            return found


def _check(query: dict[str, Any], found: list[StoredEvent], seen: list[Seen]) -> int:
    expected = {at + 1 for at, one in enumerate(seen) if admits(query, one, WORLD)}
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
    seen = await _fill(store, made, events)
    asked, answered = Queries(SEED, made), 0
    for number in range(queries):
        query = asked.next()
        monkeypatch.setattr(sql, "FEW_MAX", (0, 30, 10_000)[number % 3])
        answered += _check(query, await _answer(store, standard, query), seen) > 0
    assert answered > queries / 4
