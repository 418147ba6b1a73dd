"""The table role x call x reach for the trace repository, every cell of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from tests.support.cells import City, callers, open_city
from tests.support.http_services import open_world
from tests.support.organisation_cells import settle
from tests.support.trace_cells import TRACE_PROBES, expected, settle_events


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        await settle(world)
        await settle_events(world)
        yield city
    world.database.close()


@pytest.mark.parametrize("call", sorted(TRACE_PROBES))
async def test_every_cell_is_open_or_shut_as_the_table_says(city: City, call: str) -> None:
    for caller in callers():
        shown = await TRACE_PROBES[call](city, caller)
        assert shown == expected(call, caller), (call, caller.token)
