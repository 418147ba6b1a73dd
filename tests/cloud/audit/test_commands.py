"""`suyuan-cloud audit` and the audit's part of `suyuan-cloud check`, on real data folders."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from typer.testing import CliRunner, Result

from cloud.__main__ import app
from cloud.audit import verify as verify_module
from cloud.audit.heads import HEADS_FILE
from cloud.audit.key import KEY_FILE
from cloud.model.database import Database
from cloud.model.people_tables import audit, audit_head
from cloud.roles.audit import AuditPart
from cloud.roles.common import Common
from cloud.settings import DatabaseSettings, Settings
from protocols.clock import ManualClock
from tests.cloud.audit.test_append import entry
from tests.support.postgres import Postgres


async def _serve(data: Path, url: str = "") -> None:
    """Let a service write 20 entries and stop."""
    data.mkdir(exist_ok=True)
    settings = Settings(database=DatabaseSettings(log_url=url, state_url=url))
    common = Common(
        data=data, settings=settings, name="t", admin_token="t" * 20, clock=ManualClock()
    )
    part = AuditPart(common)
    await part.book.note(*(entry(number) for number in range(20)))
    part.keep_head()
    await common.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[list[str], Database]]:
    """Options of the commands, and the database."""
    data, file = tmp_path / "data", tmp_path / "cloud.toml"
    url = ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    file.write_text(f'schema = 1\n[database]\nlog_url = "{url}"\nstate_url = "{url}"\n')
    await _serve(data, url)
    database = Database(url or f"sqlite:///{data / 'state.db'}", name="test")
    yield ["--data", str(data), "--config", str(file)], database
    database.close()


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_verify_says_that_all_is_well(
    site: tuple[list[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "PROGRESS_EACH", 10)
    done = run("audit", "verify", *site[0])
    assert (done.exit_code, done.stdout) == (0, "audit: 20 entries, 2 heads, no fault\n")
    assert done.stderr == "10 entries …\n20 entries …\n"


def test_verify_and_check_tell_each_fault(site: tuple[list[str], Database]) -> None:
    options, database = site
    database.write_now(lambda c: c.execute(update(audit).where(audit.c.seq == 3).values(by="x")))
    database.write_now(lambda c: c.execute(delete(audit).where(audit.c.seq > 18)))
    done = run("audit", "verify", *options)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("audit: entry 3: edited: expected seal ")
    assert lines[1].startswith("audit: entries 19 to 20: cut: expected entries through 20")
    assert lines[2] == "audit: 18 entries, 2 heads, 2 faults"
    checked = run("check", *options)
    assert checked.exit_code == 1
    assert set(lines) <= set(checked.stdout.splitlines())


def test_verify_finds_a_database_put_back_by_its_heads(
    site: tuple[list[str], Database], tmp_path: Path
) -> None:
    options, database = site
    file = tmp_path / "data" / HEADS_FILE
    copy = shutil.copy(file, tmp_path / "kept elsewhere")
    for table in (audit, audit_head):
        database.write_now(lambda c, t=table: c.execute(delete(t)))  # type: ignore[misc]
    assert "entries 1 to 20: cut" in run("audit", "verify", *options).stdout
    file.unlink()
    assert "head in the database, found none" in run("audit", "verify", *options).stdout
    outside = run("audit", "verify", *options, "--heads", str(copy))
    assert outside.exit_code == 1
    assert "entries 1 to 20: cut" in outside.stdout
    assert f"expected {file}, found none" in outside.stdout


def test_verify_with_another_key_says_so(site: tuple[list[str], Database], tmp_path: Path) -> None:
    key = tmp_path / "data" / KEY_FILE
    key.write_bytes(bytes(32))
    done = run("audit", "verify", *site[0])
    assert done.exit_code == 1
    assert "no entry fits this key: is it the key of this audit?" in done.stdout
    key.unlink()
    without = run("audit", "verify", *site[0])
    assert (without.exit_code, without.stdout) == (2, "")
    assert "the key of the audit" in without.stderr
    assert not key.exists()


def test_verify_of_an_empty_or_older_folder(tmp_path: Path) -> None:
    missing = run("audit", "verify", "--data", str(tmp_path))
    assert (missing.exit_code, "state.db is missing" in missing.stderr) == (2, True)
    (tmp_path / "state.db").touch()
    empty = run("audit", "verify", "--data", str(tmp_path))
    assert (empty.exit_code, empty.stdout) == (0, "audit: nothing written yet\n")
    (tmp_path / KEY_FILE).write_bytes(bytes(32))
    assert run("audit", "verify", "--data", str(tmp_path)).exit_code == 1


def test_export_writes_lines_from_anywhere(site: tuple[list[str], Database]) -> None:
    options, database = site
    bent = update(audit).where(audit.c.seq == 2).values(detail="{")
    database.write_now(lambda c: c.execute(bent))
    done = run("audit", "export", *options)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["seq"] for one in lines] == list(range(1, 21))
    assert lines[0]["recorded_at"] == "2025-11-24T16:00:00.000Z"
    assert (lines[0]["detail"], lines[1]["detail"]) == ({"fields": ["name"]}, "{")
    part = run("audit", "export", *options, "--after", "5", "--limit", "3")
    assert [json.loads(line)["seq"] for line in part.stdout.splitlines()] == [6, 7, 8]
