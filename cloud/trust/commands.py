"""The commands around identity: `suyuan-cloud ca …`, `suyuan-cloud gateway …`, `… broker`."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cloud.trust import setup
from cloud.trust.book import open_book
from cloud.trust.broker import run_broker
from cloud.trust.broker_control import read_pid_file
from cloud.trust.broker_files import BrokerPlan
from cloud.trust.desk import VALID_HOURS, TrustDesk
from protocols.clock import SystemClock, iso
from protocols.errors import FixConfiguration, RefuseInput, StopService

ca_app = typer.Typer(no_args_is_help=True, help="The certificate authority of the gateways.")
gateway_app = typer.Typer(no_args_is_help=True, help="Invite, list and revoke gateways.")

Data = Annotated[Path, typer.Option(help="Folder of the service")]
GatewayId = Annotated[str, typer.Argument(help="1 to 64 of a-z 0-9 -")]
PidFile = Annotated[
    Path | None,
    typer.Option(help="mosquitto's, to have it read the list of the revoked; else its usual place"),
]

NEXT_STEPS = """\
authority: {ca}/ca.crt (its key: {ca}/ca.key: keep a copy of the folder in a safe)
broker: {gateways_url} for gateways, {service_url} for the service
1. run the broker:    suyuan-cloud broker --data {data}
   or elsewhere: copy {ca}/broker there, and again after each revocation
2. run the service:   suyuan-cloud serve --data {data} --http HOST:PORT --broker {service_url}
3. invite a gateway:  suyuan-cloud gateway invite ID --data {data}
"""


@contextmanager
def told() -> Iterator[None]:
    """Show an error as a line and an exit code: 2 for what was typed or written, 1 else."""
    try:
        yield
    except (RefuseInput, FixConfiguration) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (StopService, OSError) as error:
        typer.echo(f"stopped: {error}", err=True)
        raise typer.Exit(1) from None


@ca_app.command("init")
def ca_init(
    data: Annotated[Path, typer.Option(help="Folder of the service; made if missing")],
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name or address of the broker, given once or several times"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Of gateways; 8883")] = None,
    service_port: Annotated[int | None, typer.Option(help="Of the service; 8884")] = None,
    service_address: Annotated[
        str | None, typer.Option(help="Where the service's port is bound; 127.0.0.1")
    ] = None,
) -> None:
    """Make authority, certificates, and the broker's settings. Safe to repeat: keys stay."""

    def plan(found: BrokerPlan | None) -> BrokerPlan:
        return setup.planned(
            found,
            names=tuple(name or ()),
            port=port,
            service_port=service_port,
            service_address=service_address,
            own_name=socket.gethostname(),
        )

    with told():
        made = setup.init(data, plan, SystemClock())
        steps = NEXT_STEPS.format(
            ca=setup.ca_folder(data),
            data=data,
            gateways_url=made.gateways_url,
            service_url=made.service_url,
        )
        typer.echo(steps, nl=False)


@gateway_app.command()
def invite(
    gateway_id: GatewayId,
    data: Data,
    valid_hours: Annotated[float, typer.Option(help="How long the code is good")] = VALID_HOURS,
) -> None:
    """Print a one-time code with which a gateway enrols; a gateway that is replaced, too."""

    def work(desk: TrustDesk) -> None:
        code, expires_at = desk.invite(gateway_id, valid_hours=valid_hours)
        typer.echo(str(code))
        note = f"good once, until {iso(expires_at)}; on the gateway:"
        command = f"suyuan-edge enroll --server URL --code {code} --state DIR"
        typer.echo(f"{note} {command}", err=True)

    _with_desk(data, work)


@gateway_app.command()
def revoke(gateway_id: GatewayId, data: Data, broker_pid_file: PidFile = None) -> None:
    """Revoke a gateway's certificates and cut its connection."""

    def work(desk: TrustDesk) -> None:
        count = desk.revoke(gateway_id)
        typer.echo(f"{gateway_id}: {count} certificates revoked; {desk.cut_off(gateway_id)}")

    _with_desk(data, work, pid_file=broker_pid_file)


@gateway_app.command("list")
def list_gateways(data: Data) -> None:
    """Show every gateway that was invited, with its certificate."""

    def work(desk: TrustDesk) -> None:
        for one in desk.identities():
            states = []
            if one.invited_until_at is not None:
                states.append(f"invited until {iso(one.invited_until_at)}")
            if one.current is not None:
                states.append(f"certificate until {iso(one.current.expires_at)}")
            elif one.certificates:
                newest = one.certificates[0]
                states.append(f"{newest.reason} {iso(newest.revoked_at or 0)}")
            typer.echo(f"{one.gateway_id}: {', '.join(states) or 'no certificate'}")

    _with_desk(data, work)


def broker(
    data: Data,
    mosquitto: Annotated[str, typer.Option(help="Program")] = "mosquitto",
) -> None:
    """Run mosquitto on the settings that `ca init` made, and keep what it refuses."""
    with told():
        config = setup.ca_folder(data) / "broker" / "mosquitto.conf"
        if not config.exists():
            raise StopService(f"{config} is missing (see: suyuan-cloud ca init)")
        sys.exit(run_broker(config, program=mosquitto))


def _with_desk(
    data: Path, work: Callable[[TrustDesk], None], *, pid_file: Path | None = None
) -> None:
    with told():
        if not setup.has_authority(data):
            raise StopService(f"no authority in {data} (see: suyuan-cloud ca init)")
        setup.check_owner(data)
        ca = setup.ca_folder(data)
        pid_file = read_pid_file(pid_file, ca)
        database = open_book(ca)
        try:
            work(setup.open_desk(data, database, clock=SystemClock(), pid_file=pid_file))
        finally:
            database.close()
