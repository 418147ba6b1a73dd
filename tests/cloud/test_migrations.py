"""Databases are brought to the newest schema, and newer ones are refused."""

from itertools import product
from typing import get_args

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData, insert, text

from cloud.migrations import FOLDER, migrate
from cloud.model import state_tables, tables, trust_tables
from cloud.model.cylinder import json_text
from cloud.model.database import open_engine
from protocols.cylinders.base import Decision
from protocols.errors import StopService
from protocols.records import Fill, FillStep


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


def test_events_that_were_there_are_ordered_by_their_times(database_url: str) -> None:
    engine = open_engine(database_url)
    _upgrade(engine, "state_0013")
    event = state_tables.state_metadata.tables["trace_event"]
    row = {"record_time_us": 1, "id_key": 1, "hash": b"", "type": 1, "organisation": 1}
    row |= {"context_no": 1, "body": b""}
    with engine.begin() as connection:
        for number in (1, 2):
            key = {"event_no": number, "event_key": bytes([number]), "event_time_us": number * 7}
            connection.execute(insert(event).values(row | key))
        sights = "INSERT INTO trace_sight (event_no, organisation) VALUES (1, 1), (1, 2), (2, 1)"
        connection.exec_driver_sql(sights)
    migrate(engine, "state")
    with engine.connect() as connection:
        query = text("SELECT * FROM trace_sight ORDER BY event_no, organisation")
        assert connection.execute(query).all() == [(1, 1, 7), (1, 2, 7), (2, 1, 14)]
    engine.dispose()


def test_decisions_that_were_there_are_found_by_their_word(database_url: str) -> None:
    engine = open_engine(database_url)
    _upgrade(engine, "state_0017")
    words: tuple[Decision, ...] = get_args(Decision)
    steps: tuple[FillStep, ...] = ("decided", "released")
    keeper = "INSERT INTO cylinder_fill_step (gateway, spool, stream, seq, record_index, gate,"
    keeper += " number, step, asset_id, filler, purged, observed_at, received_at, time_unknown,"
    keeper += " body) VALUES ('gw', 'a', 'data', :seq, 0, 'g', :seq, :step, '', '', :no, 1, 1,"
    keeper += " :no, :body)"
    with engine.begin() as connection:
        for seq, (step, word) in enumerate(product(steps, words)):
            fill = Fill(gate="g", at=1, number=seq, step=step, asset='"decision":"', decision=word)
            row = {"seq": seq, "step": step, "no": False, "body": json_text(fill)}
            connection.execute(text(keeper), row)
    migrate(engine, "state")
    with engine.connect() as connection:
        query = text("SELECT decision FROM cylinder_fill_step ORDER BY seq")
        assert connection.execute(query).scalars().all() == [*words, None, None, None]
    engine.dispose()


def _upgrade(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("version_locations", str(FOLDER / "state"))
    config.set_main_option("path_separator", "newline")
    with engine.begin() as connection:
        config.attributes.update(connection=connection, name="state")
        command.upgrade(config, revision)
