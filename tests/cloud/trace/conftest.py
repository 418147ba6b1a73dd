"""A trace store on a database of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.model.database import Database
from cloud.trace.store import SqlTraceStore
from protocols.epcis.standard import Standard, load_standard
from tests.support.postgres import Postgres
from tests.support.state_database import empty_trace, open_state

EPCIS = Path(__file__).parents[3] / "firmware_config" / "epcis"


@pytest.fixture(scope="session")
def standard() -> Standard:
    return load_standard(EPCIS)


@pytest.fixture(scope="session")
def shared_url(postgres: Postgres) -> str:
    """The URL of a database that tests share: making its tables takes longer than a test."""
    url = postgres.new_database()
    open_state(url).close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without events."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("shared_url")
    empty_trace(url)
    return url


@pytest.fixture
def state(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


@pytest.fixture
def store(state: Database, standard: Standard) -> SqlTraceStore:
    return SqlTraceStore(state, standard=standard)
