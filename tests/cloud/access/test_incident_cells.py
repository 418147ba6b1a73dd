"""The table role x call x reach for rescues, every cell of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from tests.support.cells import City, callers, open_city
from tests.support.http_services import open_world
from tests.support.incident_cells import INCIDENT_PROBES, expected_of, settle_incidents


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        await settle_incidents(world)
        yield city
    world.database.close()


@pytest.mark.parametrize("call", sorted(INCIDENT_PROBES))
async def test_every_cell_is_open_or_shut_as_the_table_says(city: City, call: str) -> None:
    for caller in callers():
        shown = await INCIDENT_PROBES[call](city, caller)
        assert shown == expected_of(call, caller), (call, caller.token)
