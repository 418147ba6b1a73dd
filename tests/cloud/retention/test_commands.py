"""`suyuan-cloud retention` as a process: counts, carries out, and is killed in the middle."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select
from typer.testing import CliRunner, Result

from cloud.commands_retention import retention
from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.tables import scan
from cloud.retention.runs import last_run, read_runs
from cloud.service import lock_folder
from protocols.clock import SystemClock
from tests.support.retention import DAY_MS
from tests.support.stack import Child, wait_until

OLD, YOUNG = 8_000, 500


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Path, Database]]:
    """A data folder with scans, most of them past their term."""
    state = Database(f"sqlite:///{tmp_path / 'state.db'}", name="state")
    migrate(state.engine, "state")
    log = Database(f"sqlite:///{tmp_path / 'log.db'}", name="log")
    migrate(log.engine, "log")
    log.close()
    now_ms = SystemClock().wall_ms()
    rows = [_scan(n, now_ms - (900 if n < OLD else 750) * DAY_MS) for n in range(OLD + YOUNG)]
    state.write_now(lambda c: c.execute(insert(scan), rows))
    yield tmp_path, state
    state.close()


def _scan(number: int, at: int) -> dict[str, object]:
    return {
        "gateway": "gw-1",
        "spool": "a" * 32,
        "stream": "data",
        "seq": number,
        "record_index": 0,
        "reader": "fill-1",
        "observed_at": at,
        "received_at": at,
        "time_unknown": False,
        "codes": "[]",
        "findings": "[]",
        "operator": f"op-{number % 3}",
    }


def suyuan(*words: str) -> Result:
    return CliRunner().invoke(retention, list(words))


def operators(state: Database) -> dict[str, int]:
    query = select(scan.c.operator, func.count()).group_by(scan.c.operator)
    return {row[0]: row[1] for row in state.read_now(lambda c: c.execute(query).all())}


def test_run_is_counted_killed_twice_and_ends(folder: tuple[Path, Database]) -> None:
    data, state = folder
    counted = suyuan("run", "--data", str(data), "--dry-run")
    assert "scan: delete scan, received_at before" in counted.stdout
    assert f": {OLD} rows would go" in counted.stdout
    assert sum(operators(state).values()) == OLD + YOUNG
    assert not (data / "pseudonym.key").exists()

    def some_went(upto: int) -> bool:
        run = state.read_now(last_run)
        return run is not None and any(one.rows > upto for one in run.report)

    for upto in (500, 3_000):
        child = Child("retention", ["cloud", "retention", "run", "--data", str(data)], data)
        child.start()
        wait_until(partial(some_went, upto), timeout_s=20, what="rows that went", every_s=0.01)
        child.kill()
    assert YOUNG < sum(operators(state).values()) < OLD + YOUNG - 3_000
    done = suyuan("run", "--data", str(data))
    assert f": {OLD} rows went" in done.stdout, done.stderr
    assert [one.ended_at > 0 for one in state.read_now(lambda c: read_runs(c, 9))] == [True]
    left = operators(state)
    assert sum(left.values()) == YOUNG
    assert len(left) == 3
    assert all(name.startswith("pseudonym:") for name in left)
    assert (data / "pseudonym.key").stat().st_mode & 0o777 == 0o600
    assert "readings, observed_at before" in done.stdout
    assert "left to the running service" in done.stdout


def test_run_beside_the_service_of_the_folder_is_refused(folder: tuple[Path, Database]) -> None:
    lock = lock_folder(folder[0])
    done = suyuan("run", "--data", str(folder[0]))
    lock.close()
    assert done.exit_code == 1
    assert "in use by another process" in done.stderr


def test_run_without_databases_is_refused_and_makes_none(tmp_path: Path) -> None:
    done = suyuan("run", "--data", str(tmp_path / "none"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert not (tmp_path / "none").exists()


def test_rules_are_shown_with_the_terms_of_the_settings(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text("schema = 1\n[scans]\nretention_days = 300\n")
    shown = suyuan("rules", "--config", str(config)).stdout
    assert "delete scan 300 days after received_at (scans.retention_days)" in shown
    assert "shorter than a source asks: 731 days" in shown
