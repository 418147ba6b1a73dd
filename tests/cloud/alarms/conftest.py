from collections.abc import Iterator

import pytest

from tests.support.alarms import Desk
from tests.support.state_database import open_state


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    database = open_state(database_url)
    yield Desk(database)
    database.close()
