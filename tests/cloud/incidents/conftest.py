"""A rescue desk over a real database, with a lift of firm-a and stations around it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.rescues import Centre, open_centre
from tests.support.state_database import open_state


@pytest.fixture
async def centre(database_url: str) -> AsyncIterator[Centre]:
    centre = await open_centre(open_state(database_url))
    await centre.lift(code="100001")
    yield centre
    centre.database.close()
