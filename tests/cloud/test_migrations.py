"""Databases are brought to the newest schema, and newer ones are refused."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData

from cloud.migrations import migrate
from cloud.model import state_tables, tables, trust_tables
from cloud.model.database import open_engine
from protocols.errors import StopService


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        ("log", tables.log_metadata),
        ("state", state_tables.state_metadata),
        ("trust", trust_tables.trust_metadata),
    ],
)
def test_migrate_makes_what_the_tables_say(
    database_url: str, name: str, metadata: MetaData
) -> None:
    engine = open_engine(database_url)
    migrate(engine, name)
    migrate(engine, name)
    with engine.connect() as connection:
        options = {"version_table": f"schema_version_{name}"}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrate_newer_database_refused(database_url: str) -> None:
    engine = open_engine(database_url)
    migrate(engine, "log")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE schema_version_log SET version_num = 'log_9999'")
    with pytest.raises(StopService, match="newer version"):
        migrate(engine, "log")
    engine.dispose()
