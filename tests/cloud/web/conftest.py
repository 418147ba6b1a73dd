from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from protocols.clock import ManualClock
from tests.support.http_services import TOKEN, World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(tmp_path, clock=ManualClock())
    yield world
    world.database.close()


@pytest.fixture
async def visitor(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(world.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
async def operator(visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    answer = await visitor.post("/login", data={"token": TOKEN, "person": "王五"})
    assert answer.status_code == 303
    return visitor
