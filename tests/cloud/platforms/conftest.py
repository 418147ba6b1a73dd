from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from protocols.clock import ManualClock
from tests.support.firms import firm_details, put
from tests.support.http_services import TOKEN, World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    for number, name in enumerate(("firm-a", "firm-b")):
        await put(world, name, firm_details(number))
    yield world
    world.database.close()


@pytest.fixture
async def nobody(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(world.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(world.app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers
    ) as client:
        yield client
