"""A registry of cylinders over a real database, with fillers, bodies and offices."""

from collections.abc import AsyncIterator

import pytest

from protocols.clock import ManualClock
from tests.support.cylinders import Yard, open_yard


@pytest.fixture
async def yard(database_url: str) -> AsyncIterator[Yard]:
    yard = await open_yard(database_url, ManualClock())
    yield yard
    yard.database.close()
