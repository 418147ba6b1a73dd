"""Scans become events exactly once, in whatever order and however often they come."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from cloud.model.cursors import load_positions
from cloud.model.database import Database
from cloud.model.field_tables import trace_left_out
from cloud.model.logged import LoggedBatch
from cloud.model.principal import EVERYTHING, Scope
from cloud.model.tables import asset, asset_gateway, asset_party
from cloud.trace.base import StoredEvent
from cloud.trace.field.event import Place
from cloud.trace.field.keep import NAME, sightings
from cloud.trace.field.names import RecordKey
from cloud.trace.query.base import EventQuery
from cloud.trace.store import SqlTraceStore
from protocols.records import Code, Scan, Verdict
from tests.support.field_log import (
    BATCHES,
    ITEM,
    MAPPER,
    SCANS,
    STANDARD,
    ListLog,
    filled,
    follow,
    some_batches,
)
from tests.support.log_groups import NOON_MS, SPOOL, batch
from tests.support.state_database import open_state


async def stored(database: Database, scope: Scope = EVERYTHING) -> list[StoredEvent]:
    store = SqlTraceStore(database, standard=STANDARD)
    return (await store.find(EventQuery(), scope=scope, limit=1000)).events


async def left_out(database: Database) -> list[tuple[int, int, int, str]]:
    column = trace_left_out.c
    query = select(column.seq, column.record_index, column.code_index, column.reason)
    rows = await database.read(lambda c: c.execute(query.order_by(*query.selected_columns)).all())
    return [tuple(row) for row in rows]


def bodies(events: list[StoredEvent]) -> dict[str, dict[str, Any]]:
    assert len({one.event_id for one in events}) == len(events)
    return {one.event_id: one.body for one in events}


ALL = {
    made.event.event_id: made.event.body
    for one in some_batches()
    for seen in sightings(one)
    if (made := MAPPER.event_of(seen, Place())).event is not None
}
"""What is to be there, by the events' ids."""


async def test_events_lead_back_to_the_batch(state: Database) -> None:
    counted: Counter[str] = Counter()
    await follow(ListLog(some_batches()), state, lambda one: counted.update([one]))
    events = await stored(state)
    assert bodies(events) == ALL
    assert counted == {"stored": 2 * BATCHES, "do_not_fill": BATCHES}
    assert await left_out(state) == [(seq, 1, -1, "do_not_fill") for seq in range(1, BATCHES + 1)]
    first = events[0].body
    assert {name: first[f"suyuan:{name}"] for name in RecordKey.__struct_fields__} == {
        "gateway": "gw-1",
        "spool": SPOOL,
        "stream": "data",
        "seq": 1,
        "index": 0,
    }
    assert first["eventID"] == RecordKey("gw-1", SPOOL, "data", 1, 0).event_id()
    assert first["epcList"] == [f"{ITEM}2"]
    assert first["readPoint"] == {"id": "urn:suyuan:reader:gw-1:fill-1"}
    assert first["eventTime"] == "2025-11-24T20:00:00.001+08:00"
    assert first["eventTimeZoneOffset"] == "+08:00"


@pytest.mark.parametrize("seed", range(3))
async def test_batches_in_any_order_and_twice_make_the_same_events(
    state: Database, seed: int
) -> None:
    rng = random.Random(seed)
    order = [*some_batches(), *rng.sample(some_batches(), BATCHES // 2)]
    rng.shuffle(order)
    await follow(ListLog(order), state)
    assert bodies(await stored(state)) == ALL
    assert len(await left_out(state)) == BATCHES


async def test_a_log_read_again_from_its_start_makes_nothing_new(state: Database) -> None:
    await follow(ListLog(some_batches()), state)
    before = await stored(state)
    counted: Counter[str] = Counter()
    await state.write(lambda c: c.exec_driver_sql("DELETE FROM cursor"))
    await follow(ListLog(some_batches()), state, lambda one: counted.update([one]))
    assert await stored(state) == before
    assert counted == {"duplicate": 2 * BATCHES, "do_not_fill": BATCHES}
    assert len(await left_out(state)) == BATCHES


@pytest.mark.parametrize("outcomes", [1, 2, SCANS + 1])
async def test_a_follower_killed_between_capture_and_cursor_goes_on(
    database_url: str, outcomes: int
) -> None:
    command = [sys.executable, "-m", "tests.support.field_log", database_url, str(outcomes)]
    done = await asyncio.to_thread(subprocess.run, command, check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    database = open_state(database_url)
    through = (outcomes - 1) // SCANS
    assert len(await stored(database)) == 2 * through
    cursor = await database.read(lambda c: load_positions(c, NAME))
    assert cursor == ({"all/data": through} if through else {})
    await follow(ListLog(some_batches()), database)
    assert bodies(await stored(database)) == ALL
    database.close()


async def test_an_event_is_captured_for_the_firm_of_the_gateways_assets(state: Database) -> None:
    await state.write(_register)
    await follow(ListLog(some_batches()[:1]), state)
    assert await stored(state, Scope(organisations=frozenset({"owner"}))) == []
    events = await stored(state, Scope(organisations=frozenset({"filler"})))
    assert len(events) == 2
    assert {one.body["bizLocation"]["id"] for one in events} == {
        "https://id.gs1.org/414/0614141123452"
    }


def _register(connection: Any) -> None:
    for number, gln in enumerate(('{"gln":"0614141123452"}', "{}")):
        id_ = f"scale:fill-{number}"
        row = {"asset_id": id_, "kind": "scale", "name": "", "gateways": '["gw-1"]'}
        row |= {"attributes": gln, "district": "", "category": "", "updated_at": 1}  # type: ignore[dict-item]
        connection.execute(insert(asset).values(row))
        connection.execute(insert(asset_gateway).values(asset_id=id_, gateway_id="gw-1"))
        for part in ("filler", "owner"):
            party = {"asset_id": id_, "part": part, "organisation": part}
            connection.execute(insert(asset_party).values(party))


async def test_an_id_that_another_event_has_is_told(state: Database) -> None:
    one, other = batch(filled(1), seq=1), batch(filled(2), seq=1)
    await follow(ListLog([one, other]), state)
    assert [event.body["epcList"] for event in await stored(state)] == [[f"{ITEM}1"]]
    assert await left_out(state) == [(1, 0, -1, "event_id_taken")]


TEXT = st.text(max_size=20)
SCAN = st.builds(
    Scan,
    reader=st.text(min_size=1, max_size=10),
    at=st.integers(-(2**53), 2**53),
    codes=st.lists(
        st.builds(
            Code,
            st.sampled_from(
                ["grai", "raw", "gs1_element_string", "gs1_digital_link", "sscc", "cylinder", "\0"]
            )
            | TEXT.filter(bool),
            st.sampled_from(
                ["006141411234524001", "(01)06901234567892(21)A/b", "106141412345678908", "\0"]
            )
            | TEXT.filter(bool),
        ),
        min_size=1,
        max_size=5,
    ),
    step=st.sampled_from([None, "filling", "packing", "unpacking", "commissioning", "\0 none"]),
    verdict=st.none() | st.builds(Verdict, st.sampled_from(["fill", "cannot_decide"])),
    findings=st.lists(st.sampled_from(["ambiguous", "codes_cut"]) | TEXT, max_size=2),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(SCAN, min_size=1, max_size=3), st.sampled_from(["as_sent", "unknown"]))
def test_whatever_a_gateway_says_becomes_an_event_or_a_reason(
    scans: list[Scan], placing: Any
) -> None:
    one: LoggedBatch = batch(*scans, placing=placing)
    for seen in sightings(one):
        made = MAPPER.event_of(seen, Place())
        assert made == MAPPER.event_of(seen, Place())
        assert (made.event is None) == (
            seen.scan.step is None or any(left.index == -1 for left in made.left_out)
        )
        assert all(0 < len(left.reason) <= 32 for left in made.left_out)


async def test_hostile_scans_do_not_stop_the_follower(state: Database) -> None:
    odd = Scan(
        reader="\0",
        at=NOON_MS,
        codes=[Code("\0", "\0"), Code("gs1_element_string", "(01)\0")],
        step="receiving",
        findings=["x" * 128],
    )
    unknown = Scan(reader="\0", at=NOON_MS, codes=odd.codes, step="\0" * 128)
    late = filled(1, at=2**52)
    await follow(ListLog([batch(odd, unknown, late, seq=1), batch(filled(2), seq=2)]), state)
    assert len(await stored(state)) == 1
    assert await left_out(state) == [
        (1, 0, -1, "no_code"),
        (1, 0, 0, "unknown_scheme"),
        (1, 0, 1, "bad_element_string"),
        (1, 1, -1, "unknown_step"),
        (1, 2, -1, "bad_time"),
    ]
