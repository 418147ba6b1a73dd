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
from edge.setup import Setup, load_setup
from edge.sources.base import Sample, Scanned, Source
from edge.uplink.backoff import Backoff
from protocols.catalog.divisions import load_divisions
from protocols.catalog.files import data_root
from protocols.catalog.inspections import load_forms
from protocols.catalog.schemes import load_schemes
from protocols.clock import Clock, SystemClock, boot_id
from protocols.codes.registry import SchemeRegistry
from protocols.cylinders.book import RuleBook, read_book
from protocols.cylinders.load import load_rules
from protocols.durable import PRIVATE, write_durably
from protocols.errors import FixConfiguration, RefuseInput, RetryLater, StopService

app = typer.Typer(add_completion=False, help="The handheld: scan, inspect, count, put on tags.")
RULES = "rules.json"
"""The rule book as the service sent it last, below the state folder."""
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
    known.book = _book(state, overlay)
    store = Store(state)
    time = HandTime(clock, boot, store.kept("time"))
    session = Session(store, time, os.urandom)
    sync = Sync(store, session, time, link, Rules(state, link, known).fetch)
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
        synchronise=sync.run,
        redeem=lambda code: link.redeem(code, "suyuan-scan"),
    )


class Rules:
    """Keeps the rule book as the service has it."""

    def __init__(self, state: Path, link: Link, known: Known) -> None:
        self._file, self._link, self._known = state / RULES, link, known
        self._etag = ""

    async def fetch(self, token: str) -> None:
        """Take a newer one; RetryLater, RefuseInput. A service without rules changes nothing."""
        try:
            found = await self._link.fetch(token, "/api/v1/handheld/rules", self._etag)
        except RefuseInput as refused:
            if refused.reason == "not_found":
                return
            raise
        if found is not None:
            raw, etag = found
            self._known.book = read_book(raw)
            try:
                await asyncio.to_thread(write_durably, self._file, raw, PRIVATE)
            except OSError as error:
                raise RetryLater(f"{self._file}: {error}") from None
            self._etag = etag


def _book(state: Path, overlay: Path | None) -> RuleBook:
    """Return the book that the service sent last, else the one that was installed."""
    try:
        return read_book((state / RULES).read_bytes())
    except (OSError, RefuseInput):
        return load_rules(data_root() / "cylinders", overlay)


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
