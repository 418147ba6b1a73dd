"""`suyuan-cloud check` and `shards`: the databases as they lie there."""

from pathlib import Path
from typing import Annotated

import typer

from cloud.check import check_stores
from cloud.model.database import Database
from cloud.model.ownership import read_all, want
from cloud.settings import load_settings
from protocols.errors import FixConfiguration, StopService


def shards(
    config: Annotated[Path, typer.Option(help="Settings file (TOML) that names the databases")],
    move: Annotated[str, typer.Option(help="Group to move, as this command lists it")] = "",
    to: Annotated[str, typer.Option(help="Name of the ingester to move it to")] = "",
) -> None:
    """Show which ingester owns which shards; move a group while its gateways send."""
    try:
        url = load_settings(config).database.log_url
        if not url:
            raise StopService(f"{config}: database.log_url is empty: one process owns all shards")
        database = Database(url, name="log")
    except (FixConfiguration, StopService) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    try:
        if move and not database.write_now(lambda c: want(c, move, to or None)):
            typer.echo(f"--move: no group is called {move!r}", err=True)
            raise typer.Exit(2)
        for row in database.read_now(read_all):
            wanted = f", wanted at {row.wanted}" if row.wanted else ""
            typer.echo(f"{row.name}: {row.owner or 'nobody'}, epoch {row.epoch}{wanted}")
    finally:
        database.close()


def check(
    data: Annotated[Path, typer.Option(help="Folder of the databases of a stopped service")],
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML)")] = None,
) -> None:
    """Verify the stores: exit 0, or 1 with a line per fault."""
    try:
        report = check_stores(data, load_settings(config))
    except FixConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    for line in report.lines:
        typer.echo(line)
    if report.faults:
        raise typer.Exit(1)
