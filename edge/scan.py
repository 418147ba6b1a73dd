"""The handheld: `suyuan-scan --state DIR --server URL`."""

import asyncio
import os
import random
import signal
import ssl
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import httpx
import msgspec
import typer

from edge.building import build_all
from edge.handheld.app import HandApp
from edge.handheld.desk import Desk, Known
from edge.handheld.link import Link, check_server
from edge.handheld.pages import first_page
from edge.handheld.session import Session
from edge.handheld.store import Store
from edge.handheld.sync import Report, Sync
from edge.handheld.terminal import until_gone
from edge.handheld.timing import HandTime
from edge.lock import only_one
from edge.scan_known import Rules, Snapshots, first_book
from edge.setup import Setup, load_setup
from edge.sources.base import Sample, Scanned, Source
from edge.uplink.backoff import Backoff
from protocols.catalog.divisions import load_divisions
from protocols.catalog.inspections import load_forms
from protocols.catalog.schemes import load_schemes
from protocols.clock import Clock, SystemClock, boot_id
from protocols.codes.registry import SchemeRegistry
from protocols.errors import FixConfiguration, RefuseInput, StopService

app = typer.Typer(add_completion=False, help="The handheld: scan, inspect, count, put on tags.")
IDLE_S, BUSY_S = 600.0, 30.0
"""Between two runs: with nothing to send, and with something."""


@app.command()
def scan(
    state: Annotated[Path, typer.Option(help="Folder of what this device keeps; made if missing")],
    server: Annotated[str, typer.Option(help="Address of the service, https://HOST[:PORT]")],
    ca_file: Annotated[
        Path | None, typer.Option(help="Certificates (PEM) that the service's is held to")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Folder with cylinders/, inspections/, … of this city")
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(help="Site file (TOML) with the readers and scanners that do not type"),
    ] = None,
    language: Annotated[str, typer.Option(help="zh or en, until somebody chooses")] = "zh",
    time_zone: Annotated[
        str, typer.Option(help="In which a day begins and ends")
    ] = "Asia/Shanghai",
) -> None:
    """Work with cylinders by bar code and tag, also days away from any network."""
    try:
        check_server(server)
        with only_one(state):
            asyncio.run(
                _run(
                    state,
                    server,
                    ca_file,
                    overlay,
                    language="en" if language == "en" else "zh",
                    time_zone=time_zone,
                    setup=None if site is None else load_setup(site, overlay),
                )
            )
    except FixConfiguration as error:
        for fault in error.faults:
            typer.echo(str(fault), err=True)
        raise typer.Exit(2) from None
    except (RefuseInput, StopService, OSError) as error:
        typer.echo(f"stopped: {error}", err=True)
        raise typer.Exit(1) from None


async def _run(
    state: Path,
    server: str,
    ca_file: Path | None,
    overlay: Path | None,
    *,
    language: Literal["zh", "en"],
    time_zone: str,
    setup: Setup | None,
) -> None:
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    async with httpx.AsyncClient(verify=context) as client:
        link = Link(server, client)
        desk = build_desk(
            state, link, clock=SystemClock(), boot=boot_id(), overlay=overlay, time_zone=time_zone
        )
        try:
            backoff = Backoff(random.Random())  # noqa: S311  # jitter
            hand = HandApp(desk, first_page, language=language, wait_s=_waiting(desk, backoff))
            async with asyncio.TaskGroup() as group:
                reading = [
                    group.create_task(source.run(partial(heard, hand)))
                    for source in ([] if setup is None else readers_of(setup))
                ]
                watching = group.create_task(_leave_with_terminal(hand))
                await hand.run_async()
                for one in (watching, *reading):
                    one.cancel()
        finally:
            desk.store.close()


async def _leave_with_terminal(hand: HandApp) -> None:
    """End the screens when there is no terminal any more; what was done is on the disk."""
    loop = asyncio.get_running_loop()
    for one in (signal.SIGHUP, signal.SIGTERM):
        loop.add_signal_handler(one, hand.exit)
    await until_gone(sys.stdin.fileno())
    hand.exit()


def readers_of(setup: Setup) -> list[Source]:
    """Return the readers and scanners of a site; FixConfiguration for one that cannot be read."""
    site = msgspec.structs.replace(setup.site, buses=(), scales=())
    sources, faults = build_all(site, setup.catalog, SystemClock(), random.Random())  # noqa: S311
    if faults:
        raise FixConfiguration(faults)
    return sources


def heard(hand: HandApp, seen: Sample | Scanned) -> None:
    """Give the screen what a reader saw: the cylinder that it names, else its tag, else a code."""
    if isinstance(seen, Scanned):
        codes = {one.scheme: one.value for one in reversed(seen.codes)}
        if "cylinder" in codes:
            hand.scanned(f"cylinder:{codes['cylinder']}")
        else:  # a bar code that nobody has read yet is told apart by the screens, as one that types
            scheme, value = seen.codes[0].scheme, seen.codes[0].value
            hand.scanned(codes.get("tag_uid", value if scheme == "raw" else f"{scheme}:{value}"))


def build_desk(
    state: Path,
    link: Link,
    *,
    clock: Clock,
    boot: str,
    overlay: Path | None = None,
    time_zone: str = "Asia/Shanghai",
) -> Desk:
    """Put all parts of a handheld together.

    Raises:
        FixConfiguration: with all faults of all data files.
        StopService: the folder takes no file.

    """
    schemes, faults = load_schemes(overlay)
    if faults:
        raise FixConfiguration(faults)
    forms, calendar = load_forms(overlay)
    known = Known()
    known.book = first_book(state, overlay)
    store = Store(state)
    time = HandTime(clock, boot, store.kept("time"))
    session = Session(store, time, os.urandom)
    rules, snapshots = Rules(state, link, known), Snapshots(state, link, known, session, time)
    snapshots.load()

    async def fetch(token: str) -> None:
        await rules.fetch(token)
        await snapshots.fetch(token)

    sync = Sync(store, session, time, link, fetch, state)

    async def synchronise() -> Report:
        report = await sync.run()
        if report.ended == "revoked":
            snapshots.wipe()
        return report

    return Desk(
        state,
        store,
        session,
        time,
        known,
        schemes=SchemeRegistry(schemes, load_divisions()),
        forms=forms,
        calendar=calendar,
        zone=ZoneInfo(time_zone),
        synchronise=synchronise,
        redeem=lambda code: link.redeem(code, "suyuan-scan"),
    )


def _waiting(desk: Desk, backoff: Backoff) -> Callable[[Report], float]:
    def wait_s(report: Report) -> float:
        if report.ended == "away":
            return backoff.next_s()
        backoff.reset()
        return BUSY_S if desk.store.waiting else IDLE_S

    return wait_s


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
