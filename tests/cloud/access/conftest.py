from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.access import passwords
from cloud.model.database import Database
from protocols.clock import ManualClock
from tests.support.people import HASH, QUICK, Door, open_door
from tests.support.state_database import open_state


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def quick_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests that are about something else the cost of a hash."""
    if "slow_passwords" not in request.keywords:
        monkeypatch.setattr(passwords, "_hasher", QUICK)
        monkeypatch.setattr(passwords, "NOBODYS", HASH)


@pytest.fixture
async def door(database: Database, clock: ManualClock, tmp_path: Path) -> Door:
    return await open_door(database, clock, tmp_path)


@pytest.fixture
async def firm(door: Door) -> Door:
    """A door with a firm."""
    await door.organisation("firm-a", districts=["chuanying"])
    return door


@pytest.fixture
async def manager(firm: Door) -> int:
    """The account of the firm's manager."""
    return await firm.account("li", "enterprise_manager", organisation="firm-a")


@pytest.fixture
async def root(door: Door) -> int:
    """An administrator's account."""
    return await door.account("root", "administrator")
