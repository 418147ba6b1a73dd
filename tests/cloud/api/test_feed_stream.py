"""The feed over HTTP with the real store, stream and alarm desk behind it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cloud.alarms.desk import AlarmDesk
from cloud.api.app import create_app
from cloud.feed.sse import stream
from cloud.feed.store import FeedStore
from cloud.model.transition import Change, Transition
from tests.support.browser import serve
from tests.support.http_services import LIFT, TOKEN, World


class Site:
    """An application served on loopback, and a way to raise alarms."""

    def __init__(self, world: World) -> None:
        self.feed = FeedStore(world.database, world.clock)
        self.desk = AlarmDesk(
            database=world.database,
            clock=world.clock,
            append_feed=self.feed.append,
            on_commit=self.feed.committed,
        )
        stopping = world.services.stopping
        self.services = replace(
            world.services,
            alarms=self.desk,
            feed=self.feed,
            stream=lambda after, admits: stream(
                self.feed, after=after, admits=admits, lag_ms=lambda: 7, stopping=stopping
            ),
        )
        self._world = world

    async def change(self, change: Change) -> None:
        """Let the rules change their one alert."""
        now = self._world.clock.wall_ms()
        transition = Transition(
            asset=LIFT,
            alert="Entrapment",
            severity="emergency",
            change=change,
            at=now,
            observed_at=now,
            evidence="alarm_button",
        )
        await self._world.database.write(lambda c: self.desk.apply(c, [transition]))
        self.feed.committed()


@pytest.fixture
async def site(world: World) -> Site:
    return Site(world)


@pytest.fixture
async def caller(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(create_app(site.services), site.services.stopping) as address:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=10) as client:
            yield client


async def events(
    caller: httpx.AsyncClient, path: str = "/api/v1/feed", **headers: str
) -> AsyncGenerator[tuple[int, str, dict[str, Any]], None]:
    """Yield (offset, event, data) of the stream."""
    async with caller.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}


async def test_alarm_is_fed_acknowledged_and_resumed(site: Site, caller: httpx.AsyncClient) -> None:
    heard = events(caller)
    offset, event, data = await anext(heard)
    assert (offset, event, data["oldest_unprocessed_ms"]) == (0, "heartbeat", 7)

    await site.change("fired")
    offset, event, data = await anext(heard)
    assert (offset, event) == (1, "alarm")
    assert data["state"] == "unacknowledged"
    (alarm,) = (await caller.get("/api/v1/alarms?state=open")).json()
    for name in ("id", "alert", "asset", "severity", "evidence", "late", "values"):
        assert data[name] == alarm[name]
    for name in ("raised_at", "observed_at"):
        assert data[name] == alarm[name]

    answer = await caller.post(f"/api/v1/alarms/{alarm['id']}/acknowledge", json={"note": "ok"})
    assert answer.status_code == 200
    assert (await anext(heard))[2]["state"] == "acknowledged"
    await heard.aclose()

    await site.change("resolved")
    for resumed in (
        events(caller, **{"Last-Event-ID": "2"}),
        events(caller, "/api/v1/feed?after=2"),
        events(caller, "/api/v1/feed?after=0", **{"Last-Event-ID": "2"}),
    ):
        offset, _, data = await anext(resumed)
        assert (offset, data["state"]) == (3, "normal")
        await resumed.aclose()


async def test_server_that_stops_ends_the_streams(site: Site, caller: httpx.AsyncClient) -> None:
    heard = events(caller)
    await anext(heard)
    site.services.stopping.set()
    assert [one async for one in heard] == []
