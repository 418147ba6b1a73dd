"""The table role x call x reach for lifts, every cell of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from tests.support.cells import City, callers, open_city
from tests.support.http_services import open_world
from tests.support.lift_cells import LIFT_PROBES, expected, settle_lifts
from tests.support.organisation_cells import settle


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        await settle(world)
        await settle_lifts(world)
        yield city
    world.database.close()


@pytest.mark.parametrize("call", sorted(LIFT_PROBES))
async def test_every_cell_is_open_or_shut_as_the_table_says(city: City, call: str) -> None:
    for caller in callers():
        shown = await LIFT_PROBES[call](city, caller)
        assert shown == expected(call, caller), (call, caller.token)


async def test_firm_writes_only_what_its_part_may(city: City) -> None:
    """The owner may record a fault, and no maintenance: that is the maintenance firm's."""
    own = next(one for one in callers() if one.role == "enterprise_manager")
    code = next(number for number in sorted(expected("lifts.record", own)))
    draft = {
        "kind": "maintenance",
        "on": "2020-01-01",
        "fields": {"level": "yearly"},
        "signers": [{"role": "worker", "name": "张保"}],
    }
    answer = await city.send(own, "POST", f"/api/v1/lifts/{code:04}/records", draft)
    assert (answer.status_code, "maintainer" in answer.text) == (403, True), answer.text
