"""Devices of a site: are they there, may this user open them, do they answer."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from edge.doctor.finding import Finding, fault, ok
from edge.settings import Reader, Scanner, Site
from edge.sources.readers import driver_of
from protocols.errors import RetryLater

LACKING = "pip install 'suyuan[readers]', or Debian's python3-pyscard and python3-evdev"
PCSCD = Path("/run/pcscd/pcscd.comm")


def of_site(site: Site) -> Iterator[Finding]:
    """Look at all that a site reads through a file of this machine."""
    for what, device in _files(site):
        yield _file(what, Path(device))
    if any(reader.kind == "pcsc" for reader in site.readers):
        yield _pcscd(PCSCD)


def drivers(site: Site, *, free: bool) -> Iterator[Finding]:
    """Look whether each reader's library is there and, where no daemon holds it, try the reader."""
    named: list[tuple[str, Reader | Scanner]] = [(f"reader {one.id}", one) for one in site.readers]
    named += [(f"scanner {one.id}", one) for one in site.scanners]
    for what, one in named:
        try:
            open_driver = driver_of(one)
        except ImportError as error:
            yield fault(what, f"its library is not there: {error}", LACKING)
            continue
        if not free:
            continue
        try:
            open_driver().close()
        except RetryLater as error:
            yield fault(what, str(error), "look at its cable, its power and `device`")
        else:
            yield ok(what, "it opens")


def _files(site: Site) -> Iterator[tuple[str, str]]:
    for bus in site.buses:
        if bus.device:
            yield f"bus {bus.id}", bus.device
    for reader in site.readers:
        if reader.kind == "uhf_serial":
            yield f"reader {reader.id}", reader.device
    for scanner in site.scanners:
        if scanner.device.startswith("/"):
            yield f"scanner {scanner.id}", scanner.device
    for scale in site.scales:
        yield f"scale {scale.id}", scale.device


def _file(what: str, path: Path) -> Finding:
    try:
        found = path.stat()
    except OSError as error:
        near = _near(path)
        return fault(
            what,
            f"{path}: {error.strerror}",
            f"plug it in, or name one that is there: {', '.join(near)}"
            if near
            else "plug it in; dmesg tells whether the machine sees it",
        )
    if not stat.S_ISCHR(found.st_mode):
        return fault(what, f"{path} is no device", "name a device, such as /dev/serial/by-id/...")
    if not os.access(path, os.R_OK | os.W_OK):
        group = _group(found.st_gid)
        user = pwd.getpwuid(os.geteuid()).pw_name
        return fault(
            what,
            f"{user} may not open {path}",
            f"install 60-suyuan.rules for udev, or: usermod -aG {group} {user}, then start again",
        )
    return ok(what, f"{path} is there")


def _near(path: Path) -> list[str]:
    """Name what is in the place of a device that is not there."""
    try:
        return sorted(str(one) for one in path.parent.iterdir())[:5] if path.parent.name else []
    except OSError:
        return []


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _pcscd(place: Path) -> Finding:
    if not place.exists():
        return fault(
            "PC/SC service",
            f"{place} is not there",
            "apt-get install pcscd, then systemctl enable --now pcscd.socket",
        )
    return ok("PC/SC service", "it is there")
