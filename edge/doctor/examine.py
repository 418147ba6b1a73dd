"""The examination: everything that can be looked at without disturbing a running daemon."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.check import check
from edge.doctor import broker, devices, machine
from edge.doctor.finding import Finding, fault, ok, warning
from edge.identity.using import with_identity
from edge.settings import Site, load_site
from edge.status import read_status
from edge.timekeeper import BUILT_AT_MS
from protocols.errors import FixConfiguration


def examine(site_file: Path, state: Path, overlay: Path | None = None) -> Iterator[Finding]:
    """Yield what is found, as it is found.

    Args:
        site_file: the site file.
        state: the daemon's folder.
        overlay: folder with further controller files and the like.

    """
    site = None
    with suppress(FixConfiguration):  # `check` tells all of it
        site = load_site(site_file)
    if site is not None:
        try:
            site = with_identity(site, site_file, state)
        except FixConfiguration as error:
            yield fault("broker", str(error), "suyuan-edge enroll, or [uplink] in the site file")
    wrong = check(site_file, overlay)
    for one in wrong:
        yield fault("site file", str(one), "correct it; suyuan-edge check looks again")
    if not wrong:
        yield ok("site file", "no faults")
    wall_ms = round(time.time() * 1000)
    yield machine.clock(wall_ms)
    status = read_status(state)
    runs = status is not None and bool(status.get("running"))
    if site is not None:
        yield from machine.folder(state, site.spool.bytes_max)
        now = datetime.fromtimestamp(max(wall_ms, BUILT_AT_MS) / 1000, UTC)
        if site.uplink.broker:
            yield from broker.certificate(site.uplink, site.gateway_id, now)
            yield from broker.reach(site.uplink)
        yield from devices.of_site(site)
        yield from devices.drivers(site, free=not runs)
    if status is None or not runs:
        yield warning("daemon", "it does not run here", "systemctl start suyuan-edge")
    else:
        yield from _daemon(status, site)


def _daemon(status: dict[str, Any], site: Site | None) -> Iterator[Finding]:
    """Take the daemon's own word: it sees its devices and its link all day."""
    if status["clock"]["state"] == "free":
        yield warning(
            "clock",
            "the daemon has no time source yet",
            "the service tells it the time once the link is up; until then nothing is lost",
        )
    yield ok("daemon", f"runs for {status['uptime_s']:.0f} s, version {status['version']}")
    if site is not None and status["gateway_id"] != site.gateway_id:
        yield warning(
            "daemon",
            f"it runs as {status['gateway_id']}, the site file says {site.gateway_id}",
            "restart it: systemctl restart suyuan-edge",
        )
    link = status["link"]
    if link["up"]:
        yield ok("link", f"{link['broker']} is up")
    else:
        yield fault("link", f"{link['broker']} is down: {link['why']}", "see broker, certificate")
    spool = status["spool"]
    if spool["in_memory"] or spool["failing"]:
        yield fault(
            "spool",
            spool["failing"] or "it is only in memory: a power cut loses what waits",
            "see disk and state folder",
        )
    for name, source in status["sources"].items():
        yield from _source(name, source)


def _source(name: str, source: dict[str, object]) -> Iterator[Finding]:
    if source.get("link") == "down":
        why = source.get("why") or "no connection"
        yield fault(f"source {name}", str(why), "look at its cable, its power and its settings")
    found = source.get("devices")
    for device in found if isinstance(found, list) else []:
        if device.get("silent"):
            yield fault(
                f"source {name}",
                f"{device.get('asset')} does not answer",
                "look at its power, its unit id and the line's settings; probe shows it live",
            )
