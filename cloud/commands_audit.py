"""`suyuan-cloud audit`: proves that the record of who did what is whole, and takes it along."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy import Connection, inspect, select

from cloud.audit.faults import Verdict
from cloud.audit.heads import ANY_FILE, HEADS_FILE
from cloud.audit.key import is_begun, read_key
from cloud.audit.verify import verify
from cloud.audit.witness import read_witnesses
from cloud.model.database import Database
from cloud.model.people_tables import audit, audit_head
from cloud.roles.audit import key_file
from cloud.settings import Settings, load_settings
from protocols.clock import iso
from protocols.errors import FixConfiguration, RetryLater, StopService

audit_app = typer.Typer(no_args_is_help=True, help="The record of who did and looked at what.")

Data = Annotated[Path, typer.Option(help="Data folder of a service, running or stopped")]
Config = Annotated[Path | None, typer.Option(help="Settings file (TOML)")]
Heads = Annotated[
    list[Path] | None,
    typer.Option(help="Further files of heads: of other processes, or copies kept elsewhere"),
]
EXPORT_MAX = 1_000_000
ROWS = 2_000


@audit_app.command("verify")
def verify_command(data: Data, config: Config = None, heads: Heads = None) -> None:
    """Read the whole audit: exit 0, or 1 with a line per fault and where it is."""
    with _opened(data, config) as (database, settings):
        lines, faults = verify_audit(database, data, settings, heads or [], progress=_progress)
    for line in lines:
        typer.echo(line)
    if faults:
        raise typer.Exit(1)


@audit_app.command()
def export(
    data: Data,
    config: Config = None,
    after: Annotated[int, typer.Option(help="Only entries with a larger number")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many")] = EXPORT_MAX,
) -> None:
    """Write entries as JSON, one a line, the oldest first."""

    def write(connection: Connection) -> None:
        query = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)
        rows = connection.execution_options(yield_per=ROWS).execute(query)
        for row in rows.mappings():
            sys.stdout.write(_json({**row}) + "\n")

    with _opened(data, config) as (database, _settings):
        database.read_now(write)


def verify_audit(
    database: Database,
    data: Path,
    settings: Settings,
    heads: Sequence[Path] = (),
    *,
    progress: Any = lambda _count: None,
) -> tuple[list[str], int]:
    """Verify the audit of a service; returns lines for people, and the number of faults.

    Raises:
        StopService: there are entries and no key, or a file cannot be read.

    """
    own = sorted(data.glob(ANY_FILE))
    witnesses = read_witnesses([*own, *heads])
    file, tables = key_file(data, settings), database.read_now(_has_tables)
    if not witnesses and not file.exists() and not (tables and database.read_now(is_begun)):
        return ["audit: nothing written yet"], 0
    if not tables:
        return ["audit: expected its tables, for it was begun; found none"], 1
    key = read_key(file)
    verdict = database.read_now(lambda c: verify(c, key, witnesses, progress=progress))
    lines, faults = _told(verdict), len(verdict.faults) + verdict.more
    if data / HEADS_FILE not in own:
        lines.append(f"audit: expected {data / HEADS_FILE}, found none")
        faults += 1
    end = "no fault" if not faults else f"{faults} faults"
    return [*lines, f"audit: {verdict.entries} entries, {len(witnesses)} heads, {end}"], faults


def _told(verdict: Verdict) -> list[str]:
    lines = [f"audit: {fault}" for fault in verdict.faults]
    if verdict.more:
        lines.append(f"audit: and {verdict.more} more")
    edited = sum(one.last - one.first + 1 for one in verdict.faults if one.kind == "edited")
    if verdict.entries and edited == verdict.entries:
        lines.append("audit: no entry fits this key: is it the key of this audit?")
    return lines


def _has_tables(connection: Connection) -> bool:
    """Tell whether an audit can be in the database; one of an older version has no place for it."""
    found = inspect(connection)
    return all(found.has_table(one.name) for one in (audit, audit_head))


def _progress(count: int) -> None:
    typer.echo(f"{count} entries …", err=True)


def _json(row: dict[str, Any]) -> str:
    """Write a row; what was bent until it is neither time nor JSON is written as it is."""
    if isinstance(row["recorded_at"], int):
        row["recorded_at"] = iso(row["recorded_at"])
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        row["detail"] = msgspec.json.decode(row["detail"])
    return msgspec.json.encode(row).decode()


@contextmanager
def _opened(data: Path, config: Path | None) -> Iterator[tuple[Database, Settings]]:
    """Open the state database as it is; errors become a line and an exit code."""
    try:
        settings = load_settings(config)
        file = data / "state.db"
        if not settings.database.state_url and not file.exists():
            raise StopService(f"{file} is missing")
        database = Database(settings.database.state_url or f"sqlite:///{file}", name="audit")
        try:
            yield database, settings
        finally:
            database.close()
    except FixConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (StopService, RetryLater) as error:
        typer.echo(f"stopped: {error}", err=True)
        raise typer.Exit(2) from None
