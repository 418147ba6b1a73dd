"""The table role x call x reach for accounts and keys, every cell of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from tests.support.account_cells import ACCOUNT_PROBES, reached, settle_accounts
from tests.support.cells import City, callers, open_city
from tests.support.handheld_cells import HANDHELD_PROBES
from tests.support.http_services import open_world
from tests.support.organisation_cells import settle


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        await settle(world)
        await settle_accounts(world)
        yield city
    world.database.close()


PROBES = ACCOUNT_PROBES | HANDHELD_PROBES


@pytest.mark.parametrize("call", sorted(PROBES))
async def test_every_cell_is_open_or_shut_as_the_table_says(city: City, call: str) -> None:
    probe, of = PROBES[call]
    for caller in callers():
        assert await probe(city, caller) == reached(call, caller, of), (call, caller.token)
