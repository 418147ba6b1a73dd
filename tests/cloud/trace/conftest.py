"""A trace store on a database of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.model.database import Database
from cloud.trace.store import SqlTraceStore
from protocols.epcis.standard import Standard, load_standard
from tests.support.state_database import open_state

EPCIS = Path(__file__).parents[3] / "firmware_config" / "epcis"


@pytest.fixture(scope="session")
def standard() -> Standard:
    return load_standard(EPCIS)


@pytest.fixture
def state(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


@pytest.fixture
def store(state: Database, standard: Standard) -> SqlTraceStore:
    return SqlTraceStore(state, standard=standard)
