"""Events are sent to whoever subscribed: all, in order, signed, and to no place inside."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cloud.model.database import Database
from cloud.model.principal import EVERYTHING, NOTHING
from cloud.model.principal import Scope as Reach
from cloud.outbound.caller import Caller
from cloud.outbound.policy import read_policy
from cloud.roles.trace_delivery import Writer
from cloud.trace.base import NamedQuery, Subscription
from cloud.trace.delivery import FAILURES_MAX, Deliveries, pause_s
from cloud.trace.due import Reader, is_due
from cloud.trace.query.parse import read_query
from cloud.trace.store import SqlTraceStore
from cloud.trace.subscription_rows import active
from cloud.trace.subscriptions import SqlSubscriptions
from protocols.clock import ManualClock
from protocols.epcis.standard import Standard
from protocols.errors import RefuseInput
from tests.support.browser import serve
from tests.support.epcis_bodies import event
from tests.support.trace_events import event_of
from tests.support.trace_world import OpenSeal

SECRET = "13df38d8275b13f05704629e5f1cf3d45d6132d5"


@dataclass
class Receiver:
    """A web server that takes what it is sent, or does not."""

    statuses: list[int] = field(default_factory=list)
    """What it answers, one after the other; then 200."""
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken.append((dict(request.headers), body))
        await Response(status_code=status)(scope, receive, send)

    def serials(self) -> list[list[int]]:
        """Return the numbers of the items in each document."""
        return [[int(one["epcList"][0][-1]) for one in events_in(body)] for _, body in self.taken]


def events_in(body: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = results(body)["resultsBody"]["eventList"]
    return found


def results(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)["epcisBody"]["queryResults"]
    return found


@dataclass
class Stage:
    """A store with subscriptions, and what sends."""

    database: Database
    store: SqlTraceStore
    subscriptions: SqlSubscriptions
    deliveries: Deliveries
    clock: ManualClock
    receiver: Receiver
    dest: str
    reach: dict[str, Reach]

    async def capture(self, *serials: int) -> None:
        """Store an event for each."""
        events = [event_of(event(one)) for one in serials]
        at_us = self.clock.wall_ms() * 1000
        await self.store.capture(events, organisation="a", recorded_at_us=at_us)

    async def subscribe(self, **more: Any) -> Subscription:
        """Subscribe."""
        given: dict[str, Any] = {
            "principal": "account:1",
            "account": 1,
            "dest": self.dest,
            "secret": SECRET,
            "schedule": {},
            "report_if_empty": False,
            "initial_us": None,
            "epc_format": "Always_GS1_Digital_Link",
        }
        return await self.subscriptions.subscribe("a", "shipped", **{**given, **more})

    async def shown(self, one: Subscription) -> Subscription:
        """Look at one."""
        return await self.subscriptions.get("a", "shipped", one.subscription_id)


@asynccontextmanager
async def open_stage(state: Database, standard: Standard, *allowed: str) -> AsyncIterator[Stage]:
    clock, receiver = ManualClock(), Receiver()
    store = SqlTraceStore(state, standard=standard)
    seal, reach = OpenSeal(), {"account:1": EVERYTHING}
    async with serve(receiver, asyncio.Event()) as address:
        port = int(address.rpartition(":")[2])
        caller = Caller(read_policy((port,), allowed), timeout_s=5, answer_bytes_max=65_536)
        deliveries = Deliveries(
            state,
            store,
            outbound=caller,
            seal=seal,
            clock=clock,
            rights=lambda principal, _account: reach[principal],
            reader=Reader(
                store, clock=clock, zone=UTC, read_query=partial(read_query, standard=standard)
            ),
            write=Writer(standard),
        )
        query = NamedQuery(
            name="shipped",
            query={"EQ_bizStep": ["shipping"]},
            by="",
            organisation="a",
            created_at_ms=0,
        )
        await store.put_query(query)
        made = SqlSubscriptions(state, store, seal=seal, clock=clock, zone=UTC)
        dest = f"{address}/callback"
        yield Stage(state, store, made, deliveries, clock, receiver, dest, reach)


@pytest.fixture
async def stage(state: Database, standard: Standard) -> AsyncIterator[Stage]:
    async with open_stage(state, standard, "127.0.0.1") as stage:
        yield stage


async def test_new_events_are_sent_once_in_order_and_signed(stage: Stage) -> None:
    await stage.capture(1)
    one = await stage.subscribe()
    await stage.capture(2, 3)
    await stage.deliveries.look()
    await stage.deliveries.look()
    await stage.capture(4)
    await stage.deliveries.look()
    assert stage.receiver.serials() == [[2, 3], [4]]
    for headers, body in stage.receiver.taken:
        expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert headers["gs1-signature"] == expected
        assert results(body)["subscriptionID"] == one.subscription_id
        assert results(body)["queryName"] == "shipped"
    assert (await stage.shown(one)).notified_at_ms == stage.clock.wall_ms()


async def test_events_from_an_initial_record_time_on_are_sent(stage: Stage) -> None:
    for serial in (1, 2, 3):
        await stage.capture(serial)
        stage.clock.advance(1_000)
    await stage.subscribe(initial_us=(stage.clock.wall_ms() - 2_000) * 1000)
    await stage.deliveries.look()
    assert stage.receiver.serials() == [[2, 3]]


async def test_what_is_sent_is_what_the_subscriber_may_see_then(stage: Stage) -> None:
    await stage.subscribe()
    stage.reach["account:1"] = NOTHING
    await stage.capture(1)
    await stage.deliveries.look()
    stage.reach["account:1"] = EVERYTHING
    await stage.capture(2)
    await stage.deliveries.look()
    assert stage.receiver.serials() == [[2]]


async def test_address_that_fails_is_tried_again_later_and_loses_nothing(stage: Stage) -> None:
    one = await stage.subscribe()
    await stage.capture(1)
    stage.receiver.statuses = [500, 503]
    await stage.deliveries.look()
    assert (await stage.shown(one)).error == "answered with status 500"
    await stage.capture(2)
    await stage.deliveries.look()  # too early
    assert stage.receiver.statuses == [503]
    for failures in (1, 2):
        stage.clock.advance(int(pause_s(failures) * 1000))
        await stage.deliveries.look()
    assert stage.receiver.serials() == [[1, 2]]
    assert (await stage.shown(one)).error == ""


async def test_address_that_always_fails_is_given_up(stage: Stage) -> None:
    one = await stage.subscribe()
    await stage.capture(1)
    stage.receiver.statuses = [500] * (FAILURES_MAX + 1)
    for _ in range(FAILURES_MAX + 1):
        await stage.deliveries.look()
        stage.clock.advance(3_600_000)
    assert len(stage.receiver.statuses) == 1
    assert (await stage.shown(one)).state == "given_up"


async def test_address_that_bears_little_gets_smaller_batches(stage: Stage) -> None:
    await stage.subscribe()
    await stage.capture(1, 2, 3, 4, 5)
    stage.receiver.statuses = [413, 413]
    await stage.deliveries.look()
    assert stage.receiver.serials() == [[1], [2], [3], [4], [5]]


async def test_schedule_sends_what_came_since_and_an_empty_one_where_asked(stage: Stage) -> None:
    await stage.subscribe(schedule={"second": "0"})
    await stage.subscribe(schedule={"second": "0"}, report_if_empty=True)
    await stage.capture(1)
    await stage.deliveries.look()
    assert stage.receiver.serials() == []
    stage.clock.advance(60_000)
    await stage.deliveries.look()
    assert stage.receiver.serials() == [[1], [1]]
    stage.clock.advance(60_000)
    await stage.deliveries.look()
    assert stage.receiver.serials() == [[1], [1], []]


async def test_run_that_failed_sends_no_more_than_was_there_when_it_was_due(stage: Stage) -> None:
    await stage.subscribe(schedule={"minute": "0"})
    await stage.capture(1)
    stage.receiver.statuses = [500]
    stage.clock.advance(3_600_000)
    await stage.deliveries.look()
    await stage.capture(2)
    stage.clock.advance(60_000)
    await stage.deliveries.look()
    assert stage.receiver.serials() == [[1]]


async def test_subscription_that_ends_is_sent_nothing_more(stage: Stage) -> None:
    one = await stage.subscribe()
    await stage.capture(1)
    await stage.subscriptions.unsubscribe("a", "shipped", one.subscription_id)
    await stage.deliveries.look()
    assert stage.receiver.taken == []


async def test_address_that_came_to_point_inside_is_not_called(
    state: Database, standard: Standard
) -> None:
    async with open_stage(state, standard) as stage:
        one = await stage.subscribe()
        await stage.capture(1)
        await stage.deliveries.look()
        assert stage.receiver.taken == []
        assert "may not be called" in (await stage.shown(one)).error


async def test_an_organisation_has_so_many_at_most(stage: Stage) -> None:
    for _ in range(100):
        await stage.subscribe()
    with pytest.raises(RefuseInput, match="quota_reached"):
        await stage.subscribe()


async def test_what_is_due_is_told_by_numbers_and_times(stage: Stage) -> None:
    await stage.subscribe()
    await stage.subscribe(schedule={"hour": "1"})
    found = {bool(one.subscription.schedule): one for one in stage.database.read_now(active)}
    stream, scheduled = found[False], found[True]
    assert scheduled.next_at_ms is not None
    assert [is_due(stream, head, 0) for head in (0, 1)] == [False, True]
    later = scheduled.next_at_ms
    assert [is_due(scheduled, 9, at) for at in (later - 1, later)] == [False, True]
