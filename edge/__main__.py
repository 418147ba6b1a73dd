"""The command line of a gateway: `suyuan-edge enroll`, `run`, `check`, `probe`, `status`."""

import asyncio
import gc
import importlib.metadata
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from protocols.errors import Fault, FixConfiguration, RefuseInput, RetryLater, StopService
from protocols.logs import log_to_stderr

if TYPE_CHECKING:
    from edge.decode.pairing import Waiting
    from edge.remote.store import ConfigStore

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    help="The gateway: reads devices, keeps what it read on disk, and pushes it over MQTT.",
)

SiteFile = Annotated[Path, typer.Option(help="Site file (TOML)")]
StateDir = Annotated[Path, typer.Option(help="Folder of the spool; made if missing")]
Overlay = Annotated[
    Path | None, typer.Option(help="Folder with controllers/ and the like of this site")
]

Environments = Annotated[
    Path | None, typer.Option(help="Folder of two environments, for updates; see docs/remote.md")
]

STARTS_MAX = 5
"""Starts within STARTS_WITHIN_S, after each of which the spool broke again; then it is given up."""
STARTS_WITHIN_S = 60.0
LEAVE_AFTER_S = 2.0


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version and end")
    ] = False,
) -> None:
    if version:
        typer.echo(_version())
        raise typer.Exit


@app.command()
def run(
    site: SiteFile, state: StateDir, overlay: Overlay = None, environments: Environments = None
) -> None:
    """Read and send until SIGTERM. The broker's password comes from $SUYUAN_MQTT_PASSWORD."""
    from edge.lock import only_one  # noqa: PLC0415  # the other commands need no MQTT

    log_to_stderr()
    try:
        store = _open_store(site, state, overlay)
        with only_one(state):
            code = _run_again_when_damaged(store, state, environments)
    except FixConfiguration as error:
        _show_faults(error.faults)
        raise typer.Exit(2) from None
    except (StopService, OSError) as error:
        typer.echo(f"stopped: {error}", err=True)
        raise typer.Exit(1) from None
    if code:
        raise typer.Exit(code)


@app.command()
def enroll(
    server: Annotated[str, typer.Option(help="Where the service is, https://HOST")],
    code: Annotated[str, typer.Option(help="One-time code of `suyuan-cloud gateway invite`")],
    state: StateDir,
) -> None:
    """Get this gateway its certificate. May be repeated with the same code until it succeeds."""
    from edge.identity.asking import ask  # noqa: PLC0415
    from edge.identity.enrol import SITE_FILE, enrol  # noqa: PLC0415
    from edge.lock import only_one  # noqa: PLC0415  # as in `run`

    try:
        with only_one(state):
            given = enrol(server, code, state, ask)
    except RefuseInput as error:
        typer.echo(f"refused: {error}", err=True)
        raise typer.Exit(2) from None
    except (RetryLater, StopService, OSError) as error:
        typer.echo(f"not enrolled: {error}; try again with the same code", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"enrolled as {given.gateway_id}; it will send to {given.broker}")
    typer.echo(f"say in {state / SITE_FILE} what to read, then")
    typer.echo(f"suyuan-edge run --site {state / SITE_FILE} --state {state}")


@app.command()
def check(site: SiteFile, overlay: Overlay = None) -> None:
    """Check a site file and all that it uses: exit 0, or 2 with one line per fault."""
    from edge.check import check as find_faults  # noqa: PLC0415  # needs the Modbus library

    faults = find_faults(site, overlay)
    if faults:
        _show_faults(faults)
        raise typer.Exit(2)
    typer.echo(f"{site}: no faults")


@app.command()
def probe(site: SiteFile, overlay: Overlay = None) -> None:
    """Show live decoded values in the terminal until Ctrl-C."""
    from edge.probe import run_probe  # noqa: PLC0415  # needs the Modbus and terminal libraries

    raise typer.Exit(run_probe(site, overlay))


@app.command()
def status(
    state: StateDir,
    watch: Annotated[bool, typer.Option(help="Live counters in the terminal until Ctrl-C")] = False,
) -> None:
    """Print what the daemon on this folder knows of itself, as JSON."""
    from edge.status import read_status  # noqa: PLC0415  # as above

    if watch:
        from edge.watch import watch as show  # noqa: PLC0415  # needs the terminal library

        raise typer.Exit(show(state))

    found = read_status(state)
    if found is None:
        typer.echo(f"{state}: no daemon runs here, and there is no spool", err=True)
        raise typer.Exit(1)
    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


@app.command()
def doctor(
    site: SiteFile,
    state: StateDir,
    overlay: Overlay = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line")] = False,
) -> None:
    """Examine devices, permissions, clock, broker, certificate, disk: exit 1 if one is at fault."""
    from edge.doctor.examine import examine  # noqa: PLC0415  # as above

    faults = 0
    for finding in examine(site, state, overlay):
        faults += finding.level == "fault"
        if as_json:
            typer.echo(msgspec.json.encode(finding).decode())
            continue
        mark, colour = {"ok": ("ok", "green"), "warning": ("!", "yellow"), "fault": ("X", "red")}[
            finding.level
        ]
        typer.secho(f"{mark:>3}  {finding.what}: {finding.found}", fg=colour)
        if finding.advice:
            typer.echo(f"     -> {finding.advice}")
    if faults:
        raise typer.Exit(1)


@app.command()
def pin() -> None:
    """Turn a number into the `pin` of a person in a site file; it is asked twice, unseen."""
    from edge.interlock.desk import pin_hash  # noqa: PLC0415  # as above

    number = typer.prompt("Number", hide_input=True, confirmation_prompt=True)
    typer.echo(pin_hash(number, os.urandom(16)))


@app.command("clock-checked")
def clock_checked(
    state: StateDir,
    name: Annotated[str, typer.Option(help="Who has looked at the clock")],
    why: Annotated[str, typer.Option(help="What was wrong, and what was done")],
) -> None:
    """Let gates fill again whose clock showed a later time once; the gateway must be stopped."""
    from edge.interlock.clock_check import check_clock  # noqa: PLC0415  # as above
    from edge.lock import only_one  # noqa: PLC0415
    from edge.spool.sqlite import known_time_ms  # noqa: PLC0415

    try:
        with only_one(state):
            now_ms, spool_ms = int(time.time() * 1000), known_time_ms(state)
            typer.echo(check_clock(state, name, why, now_ms, spool_ms))
    except RefuseInput as error:
        typer.echo(f"refused: {error}", err=True)
        raise typer.Exit(2) from None
    except (RetryLater, StopService) as error:
        typer.echo(f"not done: {error}", err=True)
        raise typer.Exit(1) from None


def main() -> None:
    """Run the command line."""
    app()


def _open_store(site: Path, state: Path, overlay: Path | None) -> "ConfigStore":
    """Look at what the cloud pushed, and at the local file beside it."""
    from edge.identity.using import with_identity  # noqa: PLC0415  # as in `run`
    from edge.remote.store import ConfigStore  # noqa: PLC0415
    from edge.setup import Setup, load_setup  # noqa: PLC0415

    def load(file: Path, overlay: Path | None, version: int) -> Setup:
        found = load_setup(file, overlay, version)
        complete = with_identity(found.site, file, state)
        return msgspec.structs.replace(found, site=complete)

    store = ConfigStore(state, site, overlay, load)
    if not site.exists() and not store.pointer.version:
        raise StopService(_no_site(site, state))
    return store


def _run_again_when_damaged(store: "ConfigStore", state: Path, environments: Path | None) -> int:
    """Run; a spool that breaks under way is salvaged by the next start, in this same process."""
    starts: list[float] = []
    while True:
        starts = [one for one in starts if time.monotonic() - one < STARTS_WITHIN_S]
        starts.append(time.monotonic())
        try:
            return _run_loop(_run(store, state, environments))
        except StopService as error:
            if len(starts) >= STARTS_MAX:
                raise
            logging.getLogger(__name__).warning("%s; starting again", error)


async def _run(store: "ConfigStore", state: Path, environments: Path | None) -> int:
    """Run until stopped; return the exit code."""
    from edge.agent import Agent  # noqa: PLC0415  # as in `run`
    from edge.building import build_all, open_hall, screen_of  # noqa: PLC0415
    from edge.remote.config import Configurer  # noqa: PLC0415
    from edge.remote.launch import RESTART_CODE  # noqa: PLC0415
    from edge.remote.update import Updater  # noqa: PLC0415
    from edge.station import Station  # noqa: PLC0415
    from protocols.clock import SystemClock  # noqa: PLC0415

    clock, rng = SystemClock(), random.Random()  # noqa: S311  # jitter only
    waiting: Waiting = {}
    setup = store.choose()
    for fault in setup.faults:
        logging.getLogger(__name__).warning("set aside: %s", fault)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    station = Station(state, lambda: agent, rng)
    hall = open_hall(state, lambda: agent.setup.overlay, station.snapshot)
    agent = Agent(
        setup,
        lambda site, catalog: build_all(site, catalog, clock, rng, waiting=waiting, hall=hall),
        state_dir=state,
        clock=clock,
        rng=rng,
        version=_version(),
        password=os.environ.get("SUYUAN_MQTT_PASSWORD"),
        judge=hall.judge,
        watch=hall.watch,
        time_known=hall.time_known,
    )
    hall.use(agent)
    agent.attach(station)
    agent.attach(screen_of(hall, agent, clock))
    configurer = Configurer(store, agent, state=state, check=_all_faults)
    agent.attach(configurer, on_config=configurer.take)
    codes = [0]
    if environments is not None:

        def restart() -> None:
            codes.append(RESTART_CODE)
            stop.set()

        updater = Updater(environments, agent, state=state, restart=restart)
        agent.attach(updater, operations={"update": updater.update})
    gc.collect()
    gc.freeze()  # code, catalog, devices: a full collection would look at all of it each time
    await agent.run(stop)
    # all is on disk; a name look-up that hangs in a thread must not hold the process
    leave = threading.Timer(LEAVE_AFTER_S, os._exit, codes[-1:])
    leave.daemon = True
    leave.start()
    return codes[-1]


def _all_faults(site: Path, overlay: Path | None) -> list[Fault]:
    """Find what speaks against a pushed configuration: one device set aside is a fault, too."""
    from edge.building import building_faults  # noqa: PLC0415  # as in `run`
    from edge.check import check as find_faults  # noqa: PLC0415
    from edge.setup import load_setup  # noqa: PLC0415

    return find_faults(site, overlay) or building_faults(load_setup(site, overlay))


def _run_loop(main: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def _no_site(site: Path, state: Path) -> str:
    """Say what to do about a site file that is not there."""
    beside = state / "site.toml"
    if beside.exists():
        return f"no site file {site}; use --site {beside}, which enrolment left"
    return f"no site file {site}; `suyuan-edge enroll` leaves one to begin with in {state}"


def _version() -> str:
    try:
        return importlib.metadata.version("suyuan")
    except importlib.metadata.PackageNotFoundError:
        return "0+checkout"


def _show_faults(faults: tuple[Fault, ...] | list[Fault]) -> None:
    for fault in faults:
        typer.echo(str(fault), err=True)


if __name__ == "__main__":
    main()
