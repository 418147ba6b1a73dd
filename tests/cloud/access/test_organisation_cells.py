"""The table role x call x reach for organisations, every cell of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from tests.support.cells import City, callers, open_city
from tests.support.http_services import open_world
from tests.support.organisation_cells import ALL, BASE, ORGANISATION_PROBES, may_reach, settle


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        await settle(world)
        yield city
    world.database.close()


@pytest.mark.parametrize("call", sorted(ORGANISATION_PROBES))
async def test_every_cell_is_open_or_shut_as_the_table_says(city: City, call: str) -> None:
    for caller in callers():
        shown = await ORGANISATION_PROBES[call](city, caller)
        assert shown == may_reach(call, caller), (call, caller.token)


async def test_file_is_written_by_administrators_alone(city: City) -> None:
    body = {"kind": "rescue_centre", "name": "120"}
    for caller in callers():
        answer = await city.send(caller, "PUT", f"{BASE}/new", body)
        expected = (200, 201) if caller.role == "administrator" else (403,)
        assert answer.status_code in expected, caller.token
    assert "new" not in ALL
