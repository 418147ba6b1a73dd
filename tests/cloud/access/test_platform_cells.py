"""The table role x call x reach for enterprise platforms, every cell of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from tests.support.cells import City, callers, open_city
from tests.support.http_services import open_world
from tests.support.organisation_cells import FIRMS, may_reach, settle
from tests.support.platform_cells import PLATFORM_PROBES, SEND, settle_platforms


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        await settle(world)
        await settle_platforms(city)
        yield city
    world.database.close()


@pytest.mark.parametrize("call", sorted(PLATFORM_PROBES))
async def test_every_cell_is_open_or_shut_as_the_table_says(city: City, call: str) -> None:
    for caller in callers():
        shown = await PLATFORM_PROBES[call](city, caller)
        expected = set() if call == SEND else may_reach(call, caller) & set(FIRMS)
        assert shown == expected, (call, caller.token)
