"""A real state database."""

from cloud.model.database import Database
from cloud.model.people_tables import account
from cloud.model.trace_tables import trace_event


def open_state(url: str) -> Database:
    """Open the database at `url`, making its tables when it is new."""
    database = Database(url, name="state")
    assert account.metadata is trace_event.metadata
    account.metadata.create_all(database.engine)
    return database
