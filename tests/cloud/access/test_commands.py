"""`suyuan-cloud account`: the first administrator comes in, and who is locked out comes back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud.access.attempts import FREE_FAILURES
from cloud.access.desk import AccountDesk
from cloud.audit.key import KEY_FILE, make_key, read_key
from cloud.commands_account import account_app
from cloud.commands_audit import verify_audit
from cloud.migrations import migrate
from cloud.model.audit import open_head
from cloud.model.database import Database
from cloud.model.session import Session
from cloud.settings import Settings
from protocols.clock import ManualClock, SystemClock
from tests.support.people import PASSWORD, Door, open_door, unnoted


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Door]:
    """What a running service has of its people."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}", name="state")
    migrate(database.engine, "state")
    make_key(tmp_path / KEY_FILE)
    key = read_key(tmp_path / KEY_FILE)
    database.write_now(lambda connection: open_head(connection, key))
    clock = ManualClock(wall_ms=SystemClock().wall_ms())
    yield await open_door(database, clock, tmp_path)
    database.close()


def suyuan(door: Door, command: str, username: str) -> Result:
    words = [command, "--data", str(door.folder), "--username", username]
    return CliRunner().invoke(account_app, words)


def code_in(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return str(result.output.splitlines()[0].partition(": ")[2])


async def test_first_administrator_chooses_a_password_and_comes_in(running: Door) -> None:
    code = code_in(suyuan(running, "create-admin", "Zhang.San"))
    await running.refresh()
    desk = AccountDesk(running.database, running.clock, running.book, running.organisations)
    made = await desk.redeem(code, PASSWORD, unnoted)
    assert (made.username, made.organisation) == ("zhang.san", "platform")
    session = await running.log_in("zhang.san")
    assert isinstance(session, Session)
    assert set(session.principal.may) == {"account.use"}  # until the second factor is set up
    again = suyuan(running, "create-admin", "zhang.san")
    assert (again.exit_code, "reset" in again.output) == (1, True)


async def test_reset_ends_what_was_and_unlock_lets_try_again(running: Door) -> None:
    account = await running.account("root", "administrator")
    session = await running.opened(account, second_factor=True)
    for number in range(FREE_FAILURES + 1):
        await running.log_in("root", "wrong", address=f"10.0.0.{number}")
    assert await running.log_in("root") is None
    assert suyuan(running, "unlock", "root").exit_code == 0
    assert await running.log_in("root") is not None
    code_in(suyuan(running, "reset", "root"))
    await running.refresh()
    assert running.book.session(session.cookie) is None
    assert await running.log_in("root") is None


async def test_commands_are_noted_and_the_audit_stays_whole(running: Door) -> None:
    suyuan(running, "create-admin", "zhang.san")
    suyuan(running, "unlock", "zhang.san")
    lines, _ = verify_audit(running.database, running.folder, Settings())
    assert "2 entries" in lines[-1]


@pytest.mark.parametrize("username", ["", "x", "../x", "王五", "a b c", "root'--"])
async def test_username_that_is_none_is_refused(running: Door, username: str) -> None:
    result = suyuan(running, "create-admin", username)
    assert result.exit_code == 1
    assert "expected" in result.output


async def test_what_is_not_there_is_said_in_a_line(running: Door, tmp_path: Path) -> None:
    for command in ("reset", "unlock"):
        result = suyuan(running, command, "nobody")
        assert (result.exit_code, result.output) == (1, "nobody: no such account\n")
    words = ["reset", "--data", str(tmp_path / "none"), "--username", "root"]
    result = CliRunner().invoke(account_app, words)
    assert result.exit_code == 1
    assert "start the service once" in result.output
    (running.folder / KEY_FILE).unlink()
    result = suyuan(running, "create-admin", "zhang.san")
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
