"""Subscriptions in memory: where they begin, what they wait for."""

import asyncio
from datetime import UTC
from functools import partial
from typing import Any

import pytest

from cloud.model.database import Database
from cloud.model.principal import EVERYTHING
from cloud.roles.trace_delivery import Writer
from cloud.trace import live
from cloud.trace.base import NamedQuery
from cloud.trace.due import Reader
from cloud.trace.live import LiveDesk, LiveSubscription
from cloud.trace.query.parse import read_query
from cloud.trace.store import SqlTraceStore
from protocols.clock import ManualClock
from protocols.epcis.standard import Standard
from protocols.errors import RetryLater
from tests.support.epcis_bodies import event
from tests.support.trace_events import event_of


class Stage:
    """A store, and who follows it."""

    def __init__(self, state: Database, standard: Standard) -> None:
        self.clock = ManualClock()
        self.store = SqlTraceStore(state, standard=standard)
        query = partial(read_query, standard=standard)
        reader = Reader(self.store, clock=self.clock, zone=UTC, read_query=query)
        self.desk = LiveDesk(self.store, reader, Writer(standard), clock=self.clock, zone=UTC)

    async def capture(self, *serials: int) -> None:
        """Store an event for each."""
        at_us = self.clock.wall_ms() * 1000
        events = [event_of(event(one)) for one in serials]
        await self.store.capture(events, organisation="a", recorded_at_us=at_us)

    async def begin(self, **more: Any) -> LiveSubscription:
        """Follow all events."""
        given: dict[str, Any] = {
            "principal": "account:1",
            "account": 1,
            "schedule": {},
            "report_if_empty": False,
            "initial_us": None,
            "epc_format": "Always_GS1_Digital_Link",
            "document_bytes": 1_000_000,
            "rights": lambda: EVERYTHING,
        }
        return await self.desk.begin("a", "all", **{**given, **more})


@pytest.fixture
async def stage(state: Database, standard: Standard) -> Stage:
    stage = Stage(state, standard)
    query = NamedQuery(name="all", query={}, by="", organisation="a", created_at_ms=0)
    await stage.store.put_query(query)
    return stage


async def test_run_at_once_goes_back_to_no_event_from_before(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.begin()  # what is newest was looked up, and is known for a while
    await stage.capture(1)
    one = await stage.begin(schedule={"second": "[0-59]"}, report_if_empty=True)
    monkeypatch.setattr(live, "LOOK_S", 0.01)
    documents = one.documents()
    for serial in (2, 3):
        await stage.capture(serial)
        stage.clock.advance(1_000)
        await asyncio.sleep(0.3)
        text = await anext(documents)
        assert b"/21/1" not in text
        assert f"/21/{serial}".encode() in text
    await documents.aclose()


async def test_database_that_is_away_is_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, head, failures = await stage.begin(), stage.store.head, [RetryLater("away")] * 3

    async def failing() -> tuple[int, int]:
        if failures:
            raise failures.pop()
        return await head()

    monkeypatch.setattr(live, "LOOK_S", 0.01)
    monkeypatch.setattr(stage.store, "head", failing)
    await asyncio.sleep(0.3)
    await stage.capture(1)
    documents = one.documents()
    assert b"/21/1" in await anext(documents)
    assert not failures
    await documents.aclose()
