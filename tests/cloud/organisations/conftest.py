from collections.abc import Iterator

import pytest

from cloud.model.database import Database
from cloud.organisations.book import OrganisationBook
from protocols.clock import ManualClock
from tests.support.state_database import open_state


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


@pytest.fixture
async def book(database: Database, clock: ManualClock) -> OrganisationBook:
    book = OrganisationBook(database, clock)
    await book.load()
    return book
