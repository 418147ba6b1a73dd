"""A real state database."""

from sqlalchemy import Connection

from cloud.model.database import Database
from cloud.model.state_tables import state_metadata


def open_state(url: str) -> Database:
    """Open the database at `url`, making its tables when it is new."""
    database = Database(url, name="state")
    state_metadata.create_all(database.engine)
    return database


def empty_trace(url: str) -> None:
    """Forget all events, and whose they are, in a database that tests share."""

    def work(connection: Connection) -> None:
        for table in state_metadata.tables.values():
            if table.name.startswith(("trace_", "organisation_", "asset", "cursor")):
                connection.execute(table.delete())

    database = Database(url, name="state")
    database.write_now(work)
    database.close()
