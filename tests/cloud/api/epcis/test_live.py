"""Subscriptions over WebSockets: a real server, a client of another hand, a real repository."""

import pytest
from websockets.asyncio.client import connect

from tests.support.epcis import ADMIN, Asked
from tests.support.epcis_bodies import event
from tests.support.sockets import closing, document, nothing, open_line, serials

QUERY = {"name": "shipped", "query": {"EQ_bizStep": ["shipping"]}}


async def test_events_come_as_they_are_recorded(asked: Asked) -> None:
    await asked.post("/queries", QUERY)
    await asked.capture(event(1))
    async with open_line(asked) as line, line.follow() as link:
        await asked.capture(event(2), event(3), event(4, bizStep="receiving"))
        told = await document(link)
        assert told["queryName"] == "shipped"
        assert len(told["subscriptionID"]) == 32
        items = [one["epcList"][0][-1] for one in told["resultsBody"]["eventList"]]
        assert items == ["2", "3"]
        await asked.capture(event(5))
        assert await serials(link) == [5]
        assert await nothing(link)
