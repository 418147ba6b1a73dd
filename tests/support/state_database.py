"""A real state database."""

import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, create_engine, inspect

from cloud.model.database import Database
from cloud.model.state_tables import state_metadata
from tests.support.postgres import carry_out

_SQLITE = "sqlite:///"


def open_state(url: str) -> Database:
    """Open the database at `url`, making its tables when it is new."""
    file = Path(url.removeprefix(_SQLITE))
    if url.startswith(_SQLITE) and not file.exists():
        file.write_bytes(_new_file())
        return Database(url, name="state")
    database = Database(url, name="state")
    if not database.read_now(lambda c: inspect(c).has_table("asset")):
        database.close()
        _copy(url)
        database = Database(url, name="state")
    return database


def _copy(url: str) -> None:
    """Put a copy in place of an empty database: making its tables takes longer than a test."""
    server, _, name = url.replace("postgresql://", "postgresql+psycopg://").rpartition("/")
    template = _template(server)
    carry_out(
        f"{server}/postgres",
        f"DROP DATABASE {name}",
        f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy",
    )


@cache
def _template(server: str) -> str:
    """Make all tables once in a server."""
    carry_out(f"{server}/postgres", "CREATE DATABASE state_template")
    engine = create_engine(f"{server}/state_template")
    state_metadata.create_all(engine)
    engine.dispose()
    return "state_template"


@cache
def _new_file() -> bytes:
    """Make all tables once for all tests of a process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "new.db"
        database = Database(f"{_SQLITE}{file}", name="state")
        state_metadata.create_all(database.engine)
        database.close()
        return file.read_bytes()


def empty_trace(url: str) -> None:
    """Forget all events, and whose they are, in a database that tests share."""

    def work(connection: Connection) -> None:
        for table in state_metadata.tables.values():
            if table.name.startswith(("trace_", "organisation_", "asset", "cursor")):
                connection.execute(table.delete())

    database = Database(url, name="state")
    database.write_now(work)
    database.close()
