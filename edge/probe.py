"""Live decoded values in the terminal, for the installer at the machine room door."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.columns import Columns as Grid
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table as Listing
from rich.text import Text

from edge.building import build_all
from edge.catalog import Catalog, load_catalog
from edge.decode.device import Decoders
from edge.settings import Site, load_site
from edge.sources.base import Columns, Decoder, Emitted, Registers, Sample, Scanned, Source
from protocols.catalog.point_map import Controller, PointMap, Table
from protocols.clock import Clock, SystemClock
from protocols.errors import FixConfiguration
from protocols.modbus.registers import decode, width
from protocols.readings import Quality, Value

_REFRESH_S = 0.5
_TOLD_SHOWN = 10
_COLOURS = {"good": "", "no_value": "yellow", "unknown_value": "yellow", "stale": "red"}


class Row(NamedTuple):
    """One point as the installer sees it."""

    point: str
    value: Value
    raw: str
    """Its registers, in hexadecimal."""
    quality: Quality
    age_s: float | None
    """Since the device last answered with it; None: never."""


class Watched:
    """A decoder that also remembers the raw registers."""

    def __init__(self, asset: str, controller: Controller, inner: Decoder) -> None:
        self.asset = asset
        self.controller = controller
        self.silent = False
        self._inner = inner
        self._image: dict[Table, dict[int, int]] = {}
        self._at_ms: dict[tuple[Table, int], int] = {}

    def observe(
        self,
        reads: Sequence[tuple[Registers, list[int]]],
        at_boot_ms: int,
        doubtful: Sequence[Registers] = (),
    ) -> list[Columns]:
        """Remember what was read, and decode it."""
        self.silent = False
        for registers, words in reads:
            table = self._image.setdefault(registers.table, {})
            for address, word in enumerate(words, registers.address):
                table[address] = word
                self._at_ms[registers.table, address] = at_boot_ms
        return self._inner.observe(reads, at_boot_ms, doubtful)

    def urgent_span(self, registers: Registers, words: list[int]) -> tuple[int, int] | None:
        """As the decoder inside says."""
        return self._inner.urgent_span(registers, words)

    def agree(
        self, registers: Registers, words: list[int], span: tuple[int, int], again: list[int]
    ) -> bool:
        """As the decoder inside says."""
        return self._inner.agree(registers, words, span, again)

    def lose(self, registers: Registers) -> list[Columns]:
        """Forget registers that cannot be read."""
        for address in range(registers.address, registers.address + registers.count):
            self._image.get(registers.table, {}).pop(address, None)
        return self._inner.lose(registers)

    def silence(self) -> list[Columns]:
        """Remember that the device does not answer."""
        self.silent = True
        return self._inner.silence()

    def rows(self, now_boot_ms: int) -> list[Row]:
        """Return all points of the controller file, in its order."""
        values = decode(self.controller, self._image)
        return [
            self._row(
                name,
                [one for one in self.controller.points if one.name == name],
                values.get(name, (None, "no_value")),
                now_boot_ms,
            )
            for name in dict.fromkeys(point.name for point in self.controller.points)
        ]

    def _row(
        self,
        name: str,
        places: list[PointMap],
        found: tuple[Value, Quality],
        now_boot_ms: int,
    ) -> Row:
        words, times = [], []
        for place in places:
            for address in range(place.address, place.address + width(place)):
                word = self._image.get(place.table, {}).get(address)
                words.append("----" if word is None else f"{word:04X}")
                if (place.table, address) in self._at_ms:
                    times.append(self._at_ms[place.table, address])
        age_s = (now_boot_ms - min(times)) / 1000 if times else None
        quality: Quality = "stale" if self.silent and times else found[1]
        return Row(name, found[0], " ".join(words), quality, age_s)


class Probe:
    """Reads a site's devices as `run` would, and shows them instead of sending them."""

    def __init__(
        self,
        site: Site,
        catalog: Catalog,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.devices: list[Watched] = []
        self._clock = clock
        self._decoders = Decoders()
        self._told: list[str] = []
        """The last scans and weights."""
        self._told_count = 0
        self._scales = {scale.asset for scale in site.scales}
        """What is not behind registers."""
        self.sources, self.faults = build_all(site, catalog, clock, rng, self._watch)

    async def run(self, console: Console, *, seconds: float | None = None) -> None:
        """Show values until cancelled, or for so long."""
        tasks = [asyncio.create_task(source.run(self._take)) for source in self.sources]
        show = self._show_live if console.is_terminal else self._show_plain
        try:
            async with asyncio.timeout(seconds):
                await show(console)
        except TimeoutError:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, told: Emitted) -> None:
        if isinstance(told, Scanned):
            self._told.append(scan_line(told))
        elif isinstance(told, Sample) and told.asset in self._scales:
            self._told.append(scale_line(told))
        else:
            return
        del self._told[:-_TOLD_SHOWN]
        self._told_count += 1

    def _watch(self, asset: str, controller: Controller) -> Decoder:
        self.devices.append(Watched(asset, controller, self._decoders(asset, controller)))
        return self.devices[-1]

    async def _show_live(self, console: Console) -> None:
        with Live(console=console, auto_refresh=False, screen=False) as live:
            while True:
                now = self._clock.boot_ms()
                lists = [listing(device, now) for device in self.devices]
                recent = map(Text, self._told)
                live.update(Group(Grid(lists), *recent, *health(self.sources)), refresh=True)
                await asyncio.sleep(_REFRESH_S)

    async def _show_plain(self, console: Console) -> None:
        """Print a line for each point that changed, and for each change of health."""
        shown: dict[tuple[str, str], tuple[object, ...]] = {}
        told = 0
        while True:
            new, told = self._told_count - told, self._told_count
            for text in self._told[-new:] if new else ():
                console.print(text, markup=False, highlight=False, soft_wrap=True)
            now = self._clock.boot_ms()
            lines: list[tuple[tuple[str, str], tuple[object, ...], str]] = [
                ((device.asset, row.point), row[1:4], line(device, row))
                for device in self.devices
                for row in device.rows(now)
                if row.age_s is not None
            ]
            lines += [
                ((source.name, ""), (text.plain,), text.plain)
                for source, text in zip(self.sources, health(self.sources), strict=True)
            ]
            for key, what, text in lines:
                if shown.get(key) != what:
                    shown[key] = what
                    console.print(text, markup=False, highlight=False, soft_wrap=True)
            await asyncio.sleep(_REFRESH_S)


def run_probe(
    site_file: Path,
    overlay: Path | None = None,
    *,
    console: Console | None = None,
    seconds: float | None = None,
) -> int:
    """Probe a site until Ctrl-C, or for so long.

    Returns:
        The exit code: 0, or 2 when the site file has faults, which are printed.

    """
    console = console or Console()
    try:
        site = load_site(site_file)
    except FixConfiguration as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 2
    catalog, faults = load_catalog(overlay)

    async def main() -> None:
        rng = random.Random()  # noqa: S311
        probe = Probe(site, catalog, SystemClock(), rng)
        for fault in [*faults, *probe.faults]:
            console.print(f"set aside: {fault}", markup=False, highlight=False, soft_wrap=True)
        await probe.run(console, seconds=seconds)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
    return 0


def listing(device: Watched, now_boot_ms: int) -> Listing:
    """Return the table of one device."""
    title = f"{device.asset}  {device.controller.id}" + ("  SILENT" if device.silent else "")
    table = Listing(title=Text(title, style="red" if device.silent else "bold"))
    for heading in ("point", "value", "raw", "quality", "age s"):
        table.add_column(heading, justify="right" if heading == "age s" else "left")
    for row in device.rows(now_boot_ms):
        age = "never" if row.age_s is None else f"{row.age_s:.1f}"
        cells = (row.point, show_value(row.value), row.raw, row.quality, age)
        table.add_row(*map(Text, cells), style=_COLOURS.get(row.quality, ""))
    return table


def line(device: Watched, row: Row) -> str:
    """Return one point as a line of text."""
    age = "never" if row.age_s is None else f"{row.age_s:.1f}"
    return (
        f"{device.asset} {row.point} = {show_value(row.value)}"
        f"  raw {row.raw}  {row.quality}  {age} s old"
    )


def scan_line(told: Scanned) -> str:
    """Return a scan as a line of text."""
    codes = "  ".join(f"{code.scheme} {code.value}" for code in told.codes)
    found = f"  but: {', '.join(told.findings)}" if told.findings else ""
    return f"{told.reader} scanned {codes}{found}"


def scale_line(told: Sample) -> str:
    """Return what a serial scale told as a line of text."""
    values = (f"{name} = {show_value(value)}" for name, value in told.values.items())
    return f"{told.asset} {'  '.join(values)}"


def show_value(value: Value) -> str:
    """Return a value as an installer reads it."""
    if isinstance(value, list):
        return ", ".join(value) or "(none)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def health(sources: Sequence[Source]) -> list[Text]:
    """Return a line a bus: is it up, who is silent, what went wrong how often."""
    lines = []
    for source in sources:
        status = source.status()
        silent = [one["asset"] for one in status["devices"] if one["silent"]]
        wrong = {
            name: count
            for name, count in status["counters"].items()
            if count and name not in {"polls_due", "polls_done", "polls_resting"}
        }
        text = f"{source.name}: link {status['link']}"
        text += f"; silent: {', '.join(silent)}" if silent else ""
        text += "".join(f"; {name} {count}" for name, count in wrong.items())
        lines.append(Text(text, style="red" if silent or status["link"] == "down" else ""))
    return lines
