"""The command line of the cloud: `suyuan-cloud serve`, `check`, `shards`, and who may come in."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from cloud.check import check_stores
from cloud.commands_account import account_app
from cloud.commands_audit import audit_app
from cloud.commands_remote import remote
from cloud.commands_retention import retention
from cloud.embedded_broker import EmbeddedBroker
from cloud.model.database import Database
from cloud.model.ownership import read_all, want
from cloud.service import Role, Service
from cloud.settings import broker_address, host_and_port, load_settings
from cloud.trust.commands import broker as run_broker
from cloud.trust.commands import ca_app, gateway_app
from protocols.errors import FixConfiguration, StopService
from protocols.logs import log_to_stderr

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The service: takes what gateways send, keeps it, raises alarms, shows them.",
)
app.add_typer(ca_app, name="ca")
app.add_typer(gateway_app, name="gateway")
app.add_typer(remote, name="remote")
app.add_typer(account_app, name="account")
app.add_typer(audit_app, name="audit")
app.add_typer(retention, name="retention")
app.command("broker")(run_broker)


@app.command()
def serve(
    data: Annotated[Path, typer.Option(help="Folder of the databases; made if missing")],
    http: Annotated[str, typer.Option(help="HOST:PORT of API and pages")],
    broker: Annotated[str, typer.Option(help="mqtt://HOST:PORT or mqtts://HOST:PORT")] = "",
    embedded_broker: Annotated[
        str, typer.Option(help="HOST:PORT: run a small broker inside, for trials")
    ] = "",
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML)")] = None,
    role: Annotated[
        list[Role] | None,
        typer.Option(help="What this process does, given once or several times; default: all"),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Of this process among several; default: after its roles")
    ] = "",
) -> None:
    """Serve until SIGTERM. The first admin token comes from $SUYUAN_ADMIN_TOKEN."""
    log_to_stderr()
    for talkative in ("alembic", "httpx"):  # httpx tells whole addresses, with what is in them
        logging.getLogger(talkative).setLevel(logging.WARNING)
    roles = tuple(role or Role)
    if bool(broker) == bool(embedded_broker) and Role.INGEST in roles:
        typer.echo("Give either --broker URL or --embedded-broker HOST:PORT.", err=True)
        raise typer.Exit(2)
    try:
        settings = load_settings(config)
        url = broker or f"mqtt://{embedded_broker or 'localhost'}"
        address = broker_address(url, settings.broker, data)
        called = name or ("cloud" if set(roles) == set(Role) else "-".join(roles))
        where = host_and_port(http, "--http")
        inside = None
        if embedded_broker:
            inside = EmbeddedBroker(*host_and_port(embedded_broker, "--embedded-broker"))
            inside.start()
        try:
            service = partial(
                Service,
                data=data,
                http=where,
                broker=address,
                settings=settings,
                admin_token=os.environ.get("SUYUAN_ADMIN_TOKEN"),
                roles=roles,
                name=called,
            )
            uvloop.run(_serve(service))
        finally:
            if inside is not None:
                inside.stop()
    except FixConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except StopService as error:
        typer.echo(f"stopped: {error}", err=True)
        raise typer.Exit(1) from None


async def _serve(make: Callable[[], Service]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await make().run(stop)


@app.command()
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


@app.command()
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


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
