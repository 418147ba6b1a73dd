"""The desk's calls: links reach as far as its verbs do, shift notes stay in their organisation."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from tests.support.cells import City, callers, open_city
from tests.support.desk_cells import expected_links, handovers, links
from tests.support.http_services import open_world
from tests.support.incident_cells import settle_incidents


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        await settle_incidents(world)
        yield city
    world.database.close()


async def test_links_are_made_where_the_table_says(city: City) -> None:
    one_of_each_role = {caller.role: caller for caller in callers()}
    for caller in one_of_each_role.values():
        assert await links(city, caller) == expected_links(caller), caller.token


async def test_shift_notes_stay_in_their_organisation(city: City) -> None:
    for caller in callers():
        found = await handovers(city, caller)
        assert found == ({"firm-a"} if expected_links(caller) else set()), caller.token
