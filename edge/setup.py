"""A site in effect: its file, the data files beside it, and what they say of each source."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.catalog import Catalog, load_catalog
from edge.settings import Bus, Gate, Reader, Scale, Scanner, Site, load_site
from protocols.errors import Fault, RefuseInput

Part = Bus | Reader | Scanner | Scale | Gate


class Setup(Struct, frozen=True, kw_only=True):
    """Everything that a running daemon was told."""

    version: int
    """Of the configuration that the cloud pushed; 0: the local file."""
    file: Path
    """The site file."""
    site: Site
    site_sha256: str
    overlay: Path | None
    catalog: Catalog
    faults: tuple[Fault, ...] = ()
    """Of data files: the devices that need them are set aside."""

    def marks(self) -> dict[str, str]:
        """Return a digest for each source, by its id, of all that decides what it does."""
        files = _digest_of_files(self.overlay)
        return {part.id: self._mark(part, files) for part in parts(self.site)}

    def only(self, names: frozenset[str]) -> Site:
        """Return the site with no other sources than these."""
        site = self.site
        return msgspec.structs.replace(
            site,
            buses=tuple(one for one in site.buses if one.id in names),
            readers=tuple(one for one in site.readers if one.id in names),
            scanners=tuple(one for one in site.scanners if one.id in names),
            scales=tuple(one for one in site.scales if one.id in names),
            gates=tuple(one for one in site.gates if one.id in names),
        )

    def bus_of(self, asset: str) -> str:
        """Return the id of the bus that an asset is on.

        Raises:
            RefuseInput: `unknown_asset`.

        """
        for bus in self.site.buses:
            if any(device.asset == asset for device in bus.devices):
                return bus.id
        raise RefuseInput("unknown_asset", f"no bus of this gateway has {asset[:97]!r}")

    def at_rates(self, rates: Mapping[str, float]) -> "Setup":
        """Return the same with other poll intervals of some assets."""
        replace = msgspec.structs.replace
        buses = tuple(
            replace(
                bus,
                devices=tuple(
                    replace(one, poll_interval_s=rates.get(one.asset, one.poll_interval_s))
                    for one in bus.devices
                ),
            )
            for bus in self.site.buses
        )
        return replace(self, site=replace(self.site, buses=buses))

    def _mark(self, part: Part, files: str) -> str:
        if isinstance(part, Bus):
            names = sorted({device.controller for device in part.devices})
            needs: object = [self.catalog.controllers.get(name) for name in names]
        else:
            needs = [files, self._paired(part), self.site.interlock]
        return hashlib.sha256(msgspec.json.encode([part, needs])).hexdigest()

    def _paired(self, part: Part) -> list[Part]:
        """Return the reader and the scanners that are judged together with one of them."""
        reader = part.pair if isinstance(part, Scanner) else part.id
        if reader is None:
            return []
        paired: list[Part] = [one for one in self.site.scanners if one.pair == reader]
        return [*paired, *(one for one in self.site.readers if paired and one.id == reader)]


def parts(site: Site) -> Iterator[Part]:
    """Yield what becomes a source."""
    yield from site.buses
    yield from site.readers
    yield from site.scanners
    yield from site.scales
    yield from site.gates


def load_setup(site: Path, overlay: Path | None, version: int = 0) -> Setup:
    """Read a site file and the data files that it may use.

    Raises:
        FixConfiguration: the site file has faults.

    """
    loaded = load_site(site)
    catalog, faults = load_catalog(overlay, loaded)
    return Setup(
        version=version,
        file=site,
        site=loaded,
        site_sha256=hashlib.sha256(site.read_bytes()).hexdigest(),
        overlay=overlay,
        catalog=catalog,
        faults=tuple(faults),
    )


def _digest_of_files(overlay: Path | None) -> str:
    """Digest the overlay's files but the controllers, which are looked at one by one."""
    digest = hashlib.sha256()
    for path in sorted(overlay.glob("*/*.toml")) if overlay else ():
        if path.parent.name != "controllers":
            digest.update(f"{path.parent.name}/{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()
