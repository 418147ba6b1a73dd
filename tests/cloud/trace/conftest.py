"""A trace store on a database of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.model.database import Database
from cloud.trace.query.units import Units, load_units
from cloud.trace.store import SqlTraceStore
from tests.support.state_database import open_state

CONVERSIONS = Path(__file__).parents[3] / "firmware_config" / "epcis" / "conversions.toml"


@pytest.fixture(scope="session")
def units() -> Units:
    return load_units(CONVERSIONS)


@pytest.fixture
def state(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


@pytest.fixture
def store(state: Database, units: Units) -> SqlTraceStore:
    return SqlTraceStore(state, units=units)
