"""A real state database in a folder of the test's own."""

from pathlib import Path

from cloud.model.database import Database
from cloud.model.tables import state_metadata


def open_state(folder: Path) -> Database:
    """Open (and make, when new) `state.sqlite` in `folder`."""
    database = Database(f"sqlite:///{folder / 'state.sqlite'}", name="state")
    state_metadata.create_all(database.engine)
    return database
