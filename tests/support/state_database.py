"""A real state database."""

from cloud.model.database import Database
from cloud.model.state_tables import state_metadata


def open_state(url: str) -> Database:
    """Open the database at `url`, making its tables when it is new."""
    database = Database(url, name="state")
    state_metadata.create_all(database.engine)
    return database
