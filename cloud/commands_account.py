"""`suyuan-cloud account`: the first administrator, and who cannot come in any more.

It works on the database of a service, running or stopped; a running one knows within seconds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy import Connection, insert, inspect, select, update

from cloud.access.codes import CODE_MS, Purpose, keep_code, new_code
from cloud.audit.key import fits, is_begun, read_key
from cloud.model.account import Username
from cloud.model.audit import Entry, append
from cloud.model.database import Database
from cloud.model.organisation import PLATFORM
from cloud.model.people_tables import account, audit_head, session
from cloud.roles.audit import key_file
from cloud.settings import Settings, load_settings
from protocols.clock import Clock, SystemClock, iso
from protocols.errors import FixConfiguration, RefuseInput, RetryLater, StopService

account_app = typer.Typer(no_args_is_help=True, help="Accounts, for who runs the service.")

Data = Annotated[Path, typer.Option(help="Data folder of a service, running or stopped")]
Name = Annotated[str, typer.Option(help="As the person signs in")]
Config = Annotated[Path | None, typer.Option(help="Settings file (TOML)")]
BY = "command"
CALL = "accounts.write"
CLOCK: Clock = SystemClock()


@account_app.command("create-admin")
def create_admin(data: Data, username: Name, config: Config = None) -> None:
    """Open an administrator's account; prints a code by which the person chooses a password."""
    with _opened(data, config) as (settings, write):
        code = write(lambda c, now_ms: _create(c, username, now_ms), "opened")
        _tell(settings, username, code)


@account_app.command()
def reset(data: Data, username: Name, config: Config = None) -> None:
    """Take password and second factor away; prints a code by which the person sets new ones."""
    with _opened(data, config) as (settings, write):
        code = write(lambda c, now_ms: _reset(c, username, now_ms), "reset")
        _tell(settings, username, code)


@account_app.command()
def unlock(data: Data, username: Name, config: Config = None) -> None:
    """Let somebody try again who was locked out by too many wrong passwords."""
    with _opened(data, config) as (_settings, write):
        write(lambda c, now_ms: _unlock(c, username, now_ms), "unlocked")
        typer.echo(f"{username}: not locked")


Change = Callable[[Connection, int], tuple[int, str, str]]
"""Makes a change at a time; returns the account, its organisation, and a code for the person."""
Write = Callable[[Change, str], str]


def _create(connection: Connection, username: str, now_ms: int) -> tuple[int, str, str]:
    name = _username(username)
    taken = select(account.c.id).where(account.c.username == name)
    if connection.execute(taken).first() is not None:
        raise RefuseInput("username_taken", f"{name}: there is such an account; see `reset`")
    row: dict[str, Any] = {
        "username": name,
        "name": name,
        "organisation": PLATFORM,
        "roles": '["administrator"]',
        "recovery": "[]",
        "state": "invited",
        "failures": 0,
        "created_at": now_ms,
        "updated_at": now_ms,
    }
    made = connection.execute(insert(account).values(**row)).inserted_primary_key
    assert made is not None  # noqa: S101  # an insert has one
    return int(made[0]), PLATFORM, _code(connection, int(made[0]), "invite", now_ms)


def _reset(connection: Connection, username: str, now_ms: int) -> tuple[int, str, str]:
    row = _find(connection, username)
    if row.state not in ("active", "invited"):
        raise RefuseInput("finished", f"{username}: the account is {row.state}")
    emptied = {"password": None, "second_factor": None, "second_factor_step": None}
    _change(connection, row.id, now_ms, **emptied, **_UNLOCKED, recovery="[]")
    open_ = session.c.account == row.id, session.c.ended_at.is_(None)
    connection.execute(update(session).where(*open_).values(ended_at=now_ms))
    purpose: Purpose = "invite" if row.state == "invited" else "reset"
    return row.id, row.organisation, _code(connection, row.id, purpose, now_ms)


def _unlock(connection: Connection, username: str, now_ms: int) -> tuple[int, str, str]:
    row = _find(connection, username)
    _change(connection, row.id, now_ms, **_UNLOCKED)
    return row.id, row.organisation, ""


_UNLOCKED: dict[str, Any] = {"failures": 0, "locked_until": None}


def _find(connection: Connection, username: str) -> Any:
    query = select(account).where(account.c.username == _username(username))
    row = connection.execute(query.with_for_update()).first()
    if row is None:
        raise RefuseInput("not_found", f"{username}: no such account")
    return row


def _change(connection: Connection, account_id: int, now_ms: int, **columns: Any) -> None:
    change = update(account).where(account.c.id == account_id)
    connection.execute(change.values(**columns, updated_at=now_ms))


def _code(connection: Connection, account_id: int, purpose: Purpose, now_ms: int) -> str:
    code = new_code()
    keep_code(connection, code, purpose, account_id, now_ms)
    return code


def _username(text: str) -> str:
    try:
        return msgspec.convert(text.strip().lower(), Username)
    except msgspec.ValidationError:
        expected = "3 to 64 of a-z, 0-9, dot, hyphen, underscore"
        raise RefuseInput("bad_request", f"--username: expected {expected}") from None


def _tell(settings: Settings, username: str, code: str) -> None:
    typer.echo(f"{username}: {code}")
    where = f"{settings.base_url.rstrip('/')}/redeem"
    until = iso(CLOCK.wall_ms() + CODE_MS)
    typer.echo(f"Good once, until {until}, at {where}. Hand it over in person.")


@contextmanager
def _opened(data: Path, config: Path | None) -> Iterator[tuple[Settings, Write]]:
    """Open the state database; errors become a line and an exit code."""
    try:
        settings = load_settings(config)
        file = data / "state.db"
        if not settings.database.state_url and not file.exists():
            raise StopService(f"{file} is missing: start the service once")
        database = Database(settings.database.state_url or f"sqlite:///{file}", name="account")
        try:
            yield settings, _writer(database, data, settings)
        finally:
            database.close()
    except FixConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (RefuseInput, StopService, RetryLater) as error:
        detail = error.detail if isinstance(error, RefuseInput) else str(error)
        typer.echo(detail, err=True)
        raise typer.Exit(1) from None


def _is_begun(connection: Connection) -> bool:
    return inspect(connection).has_table(audit_head.name) and is_begun(connection)


def _writer(database: Database, data: Path, settings: Settings) -> Write:
    """Return what carries a change out and notes it in the same transaction.

    Raises:
        StopService: the audit was not begun, or its key is not here.

    """
    if not database.read_now(_is_begun):
        raise StopService("the audit was not begun: start the service once")
    key = read_key(key_file(data, settings))

    def write(change: Change, what: str) -> str:
        now_ms = CLOCK.wall_ms()

        def work(connection: Connection) -> str:
            if not fits(connection, key):
                raise StopService("the key is not that of this audit, see audit.key_file")
            account_id, organisation, code = change(connection, now_ms)
            entry = Entry(
                recorded_at=now_ms,
                by=BY,
                organisation=organisation,
                call=CALL,
                subject=f"account:{account_id}",
                detail={"what": what},
            )
            append(connection, key, entry)
            return code

        return database.write_now(work)

    return write
