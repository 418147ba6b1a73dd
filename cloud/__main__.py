"""The command line of the cloud: `suyuan-cloud serve` and `suyuan-cloud check`."""

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from cloud.check import check_stores
from cloud.embedded_broker import EmbeddedBroker
from cloud.ingest.subscriber import BrokerAddress
from cloud.service import Service
from cloud.settings import Settings, broker_address, host_and_port, load_settings
from protocols.errors import FixConfiguration, StopService

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The service: takes what gateways send, keeps it, raises alarms, shows them.",
)


@app.command()
def serve(
    data: Annotated[Path, typer.Option(help="Folder of the databases; made if missing")],
    http: Annotated[str, typer.Option(help="HOST:PORT of API and pages")],
    broker: Annotated[str, typer.Option(help="mqtt://HOST:PORT or mqtts://HOST:PORT")] = "",
    embedded_broker: Annotated[
        str, typer.Option(help="HOST:PORT: run a small broker inside, for trials")
    ] = "",
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML)")] = None,
) -> None:
    """Serve until SIGTERM. The first admin token comes from $SUYUAN_ADMIN_TOKEN."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if bool(broker) == bool(embedded_broker):
        typer.echo("Give either --broker URL or --embedded-broker HOST:PORT.", err=True)
        raise typer.Exit(2)
    try:
        settings = load_settings(config)
        address = broker_address(broker or f"mqtt://{embedded_broker}", settings.broker)
        where = host_and_port(http, "--http")
        inside = None
        if embedded_broker:
            inside = EmbeddedBroker(*host_and_port(embedded_broker, "--embedded-broker"))
            inside.start()
        try:
            uvloop.run(_serve(data, where, address, settings))
        finally:
            if inside is not None:
                inside.stop()
    except FixConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except StopService as error:
        typer.echo(f"stopped: {error}", err=True)
        raise typer.Exit(1) from None


async def _serve(
    data: Path, http: tuple[str, int], broker: BrokerAddress, settings: Settings
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(
        data=data,
        http=http,
        broker=broker,
        settings=settings,
        admin_token=os.environ.get("SUYUAN_ADMIN_TOKEN"),
    )
    await service.run(stop)


@app.command()
def check(
    data: Annotated[Path, typer.Option(help="Folder of the databases of a stopped service")],
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML)")] = None,
) -> None:
    """Verify the stores: exit 0, or 1 with a line per fault."""
    try:
        report = check_stores(data, load_settings(config).telemetry)
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
