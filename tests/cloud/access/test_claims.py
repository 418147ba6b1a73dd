"""Nobody gets at what belongs to others by naming it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from protocols.clock import ManualClock
from tests.support.cells import REACHES, Caller, City, open_city, things
from tests.support.http_services import World, open_world

FIRM = Caller("enterprise_manager", "firm-a")
OFFICE = Caller("regulator", "firm-a", *REACHES[1])
MINE = next(thing for thing in things() if thing.owner == "firm-a")
OTHERS = next(thing for thing in things() if thing.owner == "firm-b")
HEARD = things()[-1]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    yield world
    world.database.close()


@pytest.fixture
async def city(world: World) -> AsyncIterator[City]:
    async with open_city(world) as city:
        yield city


async def put(city: City, caller: Caller, asset: str, **body: Any) -> int:
    answer = await city.send(caller, "PUT", f"/api/v1/assets/{asset}", body)
    return answer.status_code


async def test_firm_names_its_own_gateways_only(city: City) -> None:
    assert await put(city, FIRM, "stall:new", gateways=[MINE.gateway]) == 201
    assert await put(city, FIRM, "stall:new", gateways=[OTHERS.gateway]) == 403
    assert await put(city, FIRM, "stall:new", gateways=["gw-nobody"]) == 403
    assert await put(city, FIRM, MINE.asset, gateways=[OTHERS.gateway]) == 403
    assert await put(city, FIRM, f"gateway:{OTHERS.gateway}") == 403
    assert await put(city, FIRM, "gateway:gw-nobody") == 403


async def test_gateway_given_to_a_firm_is_its_own(city: City, world: World) -> None:
    await world.registry.put(
        "gateway:gw-given",
        kind="gateway",
        name="",
        gateways=[],
        attributes={},
        parties={"owner": "firm-a"},
    )
    assert await put(city, FIRM, "stall:new", gateways=["gw-given"]) == 201


async def test_office_names_what_is_unclaimed_or_in_its_remit(city: City) -> None:
    place = {"district": "chuanying"}
    assert await put(city, OFFICE, "stall:new", attributes=place, gateways=["gw-nobody"]) == 201
    elsewhere = next(thing for thing in things() if thing.district == "longtan")
    gateways = [elsewhere.gateway]
    assert await put(city, OFFICE, "stall:new", attributes=place, gateways=gateways) == 403
    assert await put(city, OFFICE, "stall:other", attributes={"district": "longtan"}) == 403


async def test_firm_registers_what_was_heard_only_from_a_gateway_of_its_own(city: City) -> None:
    assert await put(city, FIRM, HEARD.asset) == 403
    assert await put(city, FIRM, HEARD.asset, gateways=[MINE.gateway]) == 403


async def test_firm_touches_no_part_of_another(city: City) -> None:
    both = {"owner": "firm-a", "maintainer": "firm-b"}
    assert await put(city, FIRM, MINE.asset, gateways=[MINE.gateway], parties=both) == 403
    assert await put(city, FIRM, OTHERS.asset) == 404
    assert await put(city, FIRM, OTHERS.asset, parties={"owner": "firm-a"}) == 404
    assert await put(city, FIRM, "stall:new", parties={"owner": "firm-b"}) == 403
    assert await put(city, FIRM, "stall:new", parties={}) == 403  # it would not see it itself
    assert await put(city, FIRM, "stall:new", organisation="firm-b") == 400
