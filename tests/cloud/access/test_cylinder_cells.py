"""The table role x call x reach for cylinders, every cell of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from tests.support.cells import City, callers, open_city
from tests.support.cylinder_cells import (
    CYLINDER_PROBES,
    closed,
    expected,
    expected_permits,
    permits,
    settle_cylinders,
    told,
)
from tests.support.http_services import open_world
from tests.support.organisation_cells import may_reach, settle


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        await settle(world)
        await settle_cylinders(world)
        yield city
    world.database.close()


@pytest.mark.parametrize("call", sorted(CYLINDER_PROBES))
async def test_every_cell_is_open_or_shut_as_the_table_says(city: City, call: str) -> None:
    for caller in callers():
        shown = await CYLINDER_PROBES[call](city, caller)
        assert shown == expected(call, caller), (call, caller.token)


async def test_permits_are_written_by_the_office_that_looks_after_the_firm(city: City) -> None:
    for caller in callers():
        assert await permits(city, caller) == expected_permits(caller), caller.token


async def test_cases_are_closed_by_those_who_may_settle_them(city: City) -> None:
    for caller in callers():
        assert await closed(city, caller) == expected("cylinders.resolve", caller), caller.token


async def test_each_says_for_its_own_organisation_who_is_told(city: City) -> None:
    for caller in callers():
        own = may_reach("notices.write", caller) & {caller.organisation}
        assert await told(city, caller) == own, caller.token
