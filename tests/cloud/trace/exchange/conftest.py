"""Two repositories: ours, on SQLite and where a test asks so on PostgreSQL, and a partner's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from tests.support.exchange import Side, open_side
from tests.support.state_database import empty_trace


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path / 'ours.db'}"
    url: str = request.getfixturevalue("shared_url")
    empty_trace(url)
    return url


@pytest.fixture
async def ours(tmp_path: Path, clock: ManualClock, database_url: str) -> AsyncIterator[Side]:
    folder = tmp_path / "ours"
    async with open_side(folder, clock, database_url=database_url, served=False) as side:
        yield side


@pytest.fixture
async def theirs(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Side]:
    async with open_side(tmp_path / "theirs", clock) as side:
        yield side
