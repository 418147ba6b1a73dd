"""Which parts may run apart, and what a process is told that cannot."""

from collections.abc import Collection
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.__main__ import app
from cloud.ingest.subscriber import BrokerAddress
from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.ownership import ensure
from cloud.service import Role, Service
from cloud.settings import DatabaseSettings, Settings, TelemetrySettings
from protocols.errors import FixConfiguration
from tests.support.postgres import Postgres

PG = "postgresql://suyuan@localhost/suyuan"


def refused(
    tmp_path: Path, roles: Collection[Role], *, log: str = "", state: str = "", telemetry: str = ""
) -> list[str]:
    settings = Settings(
        database=DatabaseSettings(log_url=log, state_url=state),
        telemetry=TelemetrySettings(url=telemetry),
    )
    with pytest.raises(FixConfiguration) as caught:
        Service(
            data=tmp_path,
            http=("127.0.0.1", 1),
            broker=BrokerAddress(host="localhost", port=1883),
            settings=settings,
            admin_token=None,
            roles=roles,
        )
    return [fault.key for fault in caught.value.faults]


def test_service_parts_apart_need_postgresql(tmp_path: Path) -> None:
    assert refused(tmp_path, [Role.INGEST]) == ["database.log_url"]
    assert refused(tmp_path, [Role.CONSUME, Role.API]) == ["database.log_url"]


def test_service_one_database_of_two_is_not_enough(tmp_path: Path) -> None:
    assert refused(tmp_path, list(Role), log=PG) == ["database"]
    assert refused(tmp_path, list(Role), state=PG) == ["database"]


def test_service_serving_alone_needs_an_engine(tmp_path: Path) -> None:
    assert refused(tmp_path, [Role.API], log=PG, state=PG) == ["telemetry.url"]


def test_shards_lists_and_notes_where_a_group_is_wanted(tmp_path: Path, postgres: Postgres) -> None:
    url, file = postgres.new_database(), tmp_path / "cloud.toml"
    file.write_text(f'schema = 1\n[database]\nlog_url = "{url}"\nstate_url = "{url}"\n')
    database = Database(url, name="log")
    migrate(database.engine, "log")
    database.write_now(lambda c: ensure(c, ["00-7f", "80-ff"]))
    database.close()
    run = CliRunner().invoke(
        app, ["shards", "--config", str(file), "--move", "80-ff", "--to", "ingest-2"]
    )
    assert run.output.splitlines() == [
        "00-7f: nobody, epoch 0",
        "80-ff: nobody, epoch 0, wanted at ingest-2",
    ]
    wrong = CliRunner().invoke(app, ["shards", "--config", str(file), "--move", "no", "--to", "x"])
    assert (wrong.exit_code, wrong.output) == (2, "--move: no group is called 'no'\n")


def test_shards_on_sqlite_says_who_owns_all(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text("schema = 1\n")
    run = CliRunner().invoke(app, ["shards", "--config", str(file)])
    assert run.exit_code == 2
    assert "one process owns all shards" in run.output
