"""`suyuan-cloud serve`: the service, or one of its parts."""

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

from cloud.embedded_broker import EmbeddedBroker
from cloud.service import Role, Service
from cloud.settings import broker_address, host_and_port, load_settings
from protocols.errors import FixConfiguration, StopService
from protocols.logs import log_to_stderr


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
