"""What is captured can be found again, once, by those who may see it."""

import asyncio
from typing import Any

import pytest

from cloud.model.database import Database
from cloud.model.people_tables import organisation_category, organisation_district
from cloud.model.principal import EVERYTHING, NOTHING, Remit, Scope
from cloud.model.rows import insert_rows
from cloud.trace.base import Captured, NamedQuery, Position, StoredEvent
from cloud.trace.query.base import EventQuery, TooLarge
from cloud.trace.query.parse import read_query
from cloud.trace.store import SqlTraceStore
from protocols.epcis.standard import Standard, load_standard
from protocols.errors import RefuseInput
from tests.cloud.trace.conftest import EPCIS
from tests.support.state_database import open_state
from tests.support.trace_events import NAMESPACES, event_of

ITEM = "https://id.gs1.org/01/06901234567892/21/"
EVERY = EventQuery()
STANDARD = load_standard(EPCIS)


def read(query: dict[str, Any]) -> EventQuery:
    return read_query(query, STANDARD, namespaces=NAMESPACES)


def body(**more: Any) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": "2026-11-26T08:00:00.000+08:00",
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "epcList": [f"{ITEM}1", f"{ITEM}2"],
        "bizStep": "shipping",
        **more,
    }


async def capture(
    store: SqlTraceStore, *bodies: dict[str, Any], organisation: str = "a", **more: Any
) -> list[Captured]:
    events = [event_of(one) for one in bodies]
    return await store.capture(events, organisation=organisation, recorded_at_us=1_000, **more)


async def found(store: SqlTraceStore, scope: Scope = EVERYTHING) -> list[StoredEvent]:
    return (await store.find(EVERY, scope=scope, limit=1000)).events


def firm(*names: str) -> Scope:
    return Scope(organisations=frozenset(names))


async def test_captured_event_is_found_as_it_was_captured(store: SqlTraceStore) -> None:
    event = event_of(body(eventID="urn:uuid:1", **{"ex:a": {"ex:b": ["1", 2]}}))
    [outcome] = await store.capture([event], organisation="a", recorded_at_us=5)
    assert (outcome.outcome, outcome.event_no, outcome.event_id) == ("stored", 1, "urn:uuid:1")
    [stored] = await store.event("urn:uuid:1", scope=EVERYTHING)
    assert stored.body == event.body
    assert stored.contexts == event.contexts
    assert (stored.hash, stored.organisation, stored.record_time_us) == (event.hash, "a", 5)


async def test_event_without_id_is_found_by_its_hash(store: SqlTraceStore) -> None:
    event = event_of(body())
    [outcome] = await capture(store, body())
    assert outcome.event_id == event.hash
    [stored] = await store.event(event.hash, scope=EVERYTHING)
    assert "eventID" not in stored.body
    query = read({"EQ_eventID": [event.hash]})
    assert len((await store.find(query, scope=EVERYTHING, limit=9)).events) == 1


async def test_same_event_again_is_a_duplicate(store: SqlTraceStore) -> None:
    one = body(eventID="urn:uuid:1")
    outcomes = await capture(store, one, one)
    assert [(o.outcome, o.event_no) for o in outcomes] == [("stored", 1), ("duplicate", 1)]
    [again] = await capture(store, one)
    assert (again.outcome, again.event_no) == ("duplicate", 1)
    assert len(await found(store)) == 1


async def test_taken_event_id_under_rollback_leaves_nothing(store: SqlTraceStore) -> None:
    await capture(store, body(eventID="urn:uuid:1"))
    other = body(eventID="urn:uuid:1", bizStep="receiving")
    outcomes = await capture(store, body(eventID="urn:uuid:2"), other, body(eventID="urn:uuid:1"))
    assert [o.outcome for o in outcomes] == ["stored", "conflict", "duplicate"]
    assert [o.event_no for o in outcomes] == [None, None, 1]
    assert len(await found(store)) == 1
    assert [o.event_no for o in await capture(store, body(eventID="urn:uuid:3"))] == [2]


async def test_taken_event_id_under_proceed_lets_the_others_through(store: SqlTraceStore) -> None:
    first, second = body(eventID="urn:uuid:1"), body(eventID="urn:uuid:1", bizStep="receiving")
    outcomes = await capture(store, first, second, body(), behaviour="proceed")
    assert [(o.outcome, o.event_no) for o in outcomes] == [
        ("stored", 1),
        ("conflict", None),
        ("stored", 2),
    ]


@pytest.mark.parametrize("declaration_first", [False, True])
async def test_error_declaration_voids_its_event_in_any_order(
    store: SqlTraceStore, declaration_first: bool
) -> None:
    right = {"declarationTime": "2026-11-27T08:00:00.000+08:00", "reason": "incorrect_data"}
    event, declaration = (
        body(eventID="urn:uuid:1"),
        body(eventID="urn:uuid:1", errorDeclaration=right),
    )
    bodies = [declaration, event] if declaration_first else [event, declaration]
    for one in bodies:
        assert [o.outcome for o in await capture(store, one)] == ["stored"]
    both = await store.event("urn:uuid:1", scope=EVERYTHING)
    voided = {one.declared_at_us is not None: one.voided_by for one in both}
    assert voided == {True: None, False: 1 if declaration_first else 2}


async def test_nobody_voids_the_event_of_another(store: SqlTraceStore) -> None:
    right = {"declarationTime": "2026-11-27T08:00:00.000+08:00"}
    await capture(store, body(eventID="urn:uuid:1"), organisation="a")
    await capture(store, body(eventID="urn:uuid:1", errorDeclaration=right), organisation="b")
    assert [one.voided_by for one in await found(store)] == [None, None]


async def test_record_time_never_falls(store: SqlTraceStore) -> None:
    await store.capture([event_of(body())], organisation="a", recorded_at_us=9)
    await store.capture([event_of(body(bizStep="packing"))], organisation="a", recorded_at_us=3)
    assert [one.record_time_us for one in await found(store)] == [9, 9]
    assert await store.head() == (2, 9)


async def test_firm_sees_what_it_captured_sent_again_or_is_named_in(store: SqlTraceStore) -> None:
    party = "https://id.gs1.org/417/6901234000016"
    await store.put_party("b", party)
    named = [{"type": "owning_party", "destination": party}]
    await capture(store, body(), body(destinationList=named), organisation="a")
    assert len(await found(store, firm("a"))) == 2
    assert [one.event_no for one in await found(store, firm("b"))] == [2]
    assert await found(store, firm("c")) == []
    await capture(store, body(), organisation="c")
    assert [one.event_no for one in await found(store, firm("c"))] == [1]
    assert await found(store, NOTHING) == []


async def test_firm_sees_what_named_it_before_it_was_known(store: SqlTraceStore) -> None:
    party = "https://id.gs1.org/417/6901234000016"
    named = [{"type": "owning_party", "source": party}]
    await capture(store, body(sourceList=named), body(), organisation="a")
    assert await found(store, firm("b")) == []
    for _ in range(2):
        await store.put_party("b", party)
        assert [one.event_no for one in await found(store, firm("b"))] == [1]


async def test_regulator_sees_the_events_of_its_firms(
    store: SqlTraceStore, state: Database
) -> None:
    district = {"organisation": "a", "district": "chuanying"}
    category = {"organisation": "a", "category": "food"}
    state.write_now(lambda c: insert_rows(c, organisation_district, [district]))
    state.write_now(lambda c: insert_rows(c, organisation_category, [category]))
    await capture(store, body(), organisation="a")
    await capture(store, body(bizStep="packing"), organisation="b")

    def remit(district: str | None, category: str | None) -> Scope:
        districts = frozenset([district]) if district else None
        categories = frozenset([category]) if category else None
        return Scope(remits=(Remit(districts, categories),))

    assert len(await found(store, remit("chuanying", None))) == 1
    assert len(await found(store, remit("chuanying", "food"))) == 1
    assert len(await found(store, remit("chuanying", "drugs"))) == 0
    assert len(await found(store, remit("longtan", None))) == 0
    assert len(await found(store, remit(None, None))) == 2


async def test_listings_hold_what_visible_events_say(store: SqlTraceStore) -> None:
    place = {"id": "https://id.gs1.org/414/6901234000016"}
    await capture(store, body(readPoint=place), organisation="a")
    await capture(store, body(epcList=[f"{ITEM}3"], bizStep="packing"), organisation="b")
    seen = firm("a")
    assert await store.listing("epcs", scope=seen, limit=9) == [f"{ITEM}1", f"{ITEM}2"]
    assert await store.listing("epcs", scope=EVERYTHING, after=f"{ITEM}1", limit=1) == [f"{ITEM}2"]
    step = "https://ref.gs1.org/cbv/BizStep-shipping"
    assert await store.listing("bizSteps", scope=seen, limit=9) == [step]
    assert await store.listing("readPoints", scope=seen, limit=9) == [place["id"]]
    assert await store.listing("bizLocations", scope=seen, limit=9) == []
    assert await store.listing("eventTypes", scope=seen, limit=9) == ["ObjectEvent"]


async def test_listings_follow_who_comes_to_see_an_event(store: SqlTraceStore) -> None:
    party = "https://id.gs1.org/417/6901234000016"
    named = body(sourceList=[{"type": "owning_party", "source": party}])
    await capture(store, named, organisation="a")
    step = "https://ref.gs1.org/cbv/BizStep-shipping"
    assert await store.listing("bizSteps", scope=firm("b"), limit=9) == []
    await store.put_party("b", party)
    await capture(store, named, organisation="c")
    for organisation in ("b", "c"):
        assert await store.listing("bizSteps", scope=firm(organisation), limit=9) == [step]
        assert len(await store.listing("epcs", scope=firm(organisation), limit=9)) == 2


async def test_pages_hold_every_event_once_while_others_come_in(store: SqlTraceStore) -> None:
    for query in (EVERY, read({"orderBy": "eventTime", "orderDirection": "ASC"})):
        before = {one.event_no for one in await found(store)}
        await capture(store, *(body(**{"ex:n": [len(before), n]}) for n in range(7)))
        every = {one.event_no for one in await found(store)}
        seen: list[int] = []
        position: Position | None = None
        while True:
            page = await store.find(query, scope=EVERYTHING, after=position, limit=3)
            seen += [one.event_no for one in page.events]
            position = page.next
            if position is None:
                break
            await capture(store, body(**{"ex:late": [len(before), len(seen)]}))
        assert sorted(seen) == sorted(every)


async def test_event_count_limit_holds_over_pages(store: SqlTraceStore) -> None:
    await capture(store, *(body(**{"ex:n": n}) for n in range(9)))
    query = read({"orderBy": "recordTime", "eventCountLimit": 5})
    first = await store.find(query, scope=EVERYTHING, limit=3)
    second = await store.find(query, scope=EVERYTHING, after=first.next, limit=3)
    assert [one.event_no for one in first.events] == [9, 8, 7]
    assert [one.event_no for one in second.events] == [6, 5]
    assert second.next is None


async def test_more_than_max_event_count_is_refused(store: SqlTraceStore) -> None:
    await capture(store, *(body(**{"ex:n": n}) for n in range(4)))
    assert len((await store.find(read({"maxEventCount": 4}), scope=EVERYTHING, limit=2)).events)
    with pytest.raises(TooLarge):
        await store.find(read({"maxEventCount": 3}), scope=EVERYTHING, limit=2)


async def test_named_queries_are_each_organisations_own(store: SqlTraceStore) -> None:
    one = NamedQuery(
        name="q", query={"EQ_action": ["ADD"]}, by="x", organisation="a", created_at_ms=1
    )
    await store.put_query(one)
    assert await store.get_query("a", "q") == one
    with pytest.raises(RefuseInput, match="name_taken"):
        await store.put_query(one)
    with pytest.raises(RefuseInput, match="not_found"):
        await store.get_query("b", "q")
    assert await store.queries("a", limit=9) == [one]
    await store.delete_query("a", "q")
    assert await store.queries("a", limit=9) == []


async def test_texts_longer_than_an_index_takes_are_found(store: SqlTraceStore) -> None:
    long = "长" * 5000
    more = {"ex:text": long, "readPoint": {"id": f"https://example.com/{long}"}}
    await capture(store, body(epcList=[f"urn:x:{long}"], transformationID=long, **more))
    for query in (
        {"EQ_ex:text": [long]},
        {"MATCH_epc": [f"urn:x:{long}"]},
        {"EQ_readPoint": [f"https://example.com/{long}"]},
    ):
        asked = read(query)
        assert len((await store.find(asked, scope=EVERYTHING, limit=9)).events) == 1


async def test_two_writers_give_every_event_one_number(shared_url: str, standard: Standard) -> None:
    databases = [open_state(shared_url) for _ in range(2)]
    stores = [SqlTraceStore(database, standard=standard) for database in databases]
    head, _ = await stores[0].head()

    def events(at: int) -> list[dict[str, Any]]:
        own = [body(eventID=f"urn:uuid:{head}-{at}-{n}", **{"ex:n": [at, n]}) for n in range(5)]
        return [*own, body(**{"ex:both": [head, at // 2]})]

    outcomes = await asyncio.gather(*(capture(stores[at % 2], *events(at)) for at in range(20)))
    every = [one for part in outcomes for one in part]
    numbers = {one.event_no for one in every}
    assert numbers == set(range(head + 1, head + 1 + 20 * 5 + 10))
    assert sum(one.outcome == "duplicate" for one in every) == 10
    for database in databases:
        database.close()
