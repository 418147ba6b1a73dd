"""From the readers and scanners of a site file to sources; one line a kind."""

import importlib
import random
from collections.abc import Callable, Iterator

from edge.settings import Reader, Scanner, Site
from edge.sources.base import OpenDriver, RecogniseTag, RecogniseText, Source
from edge.sources.device import DeviceSource, Handler
from edge.sources.presence import Presence
from edge.sources.scans import Judge, TagScans, TextScans
from protocols.clock import Clock
from protocols.errors import Fault

_FILE = "site file"
DRIVERS = {
    "pcsc": "edge.sources.pcsc",
    "nfc": "edge.sources.nfc",
    "uhf_serial": "edge.sources.uhf_serial",
    "llrp": "edge.sources.llrp",
    "barcode_serial": "edge.sources.barcode_serial",
    "barcode_hid": "edge.sources.barcode_hid",
}
"""Each module has a function `opener(settings)`; it is imported only when a site uses its kind,
because its library is built from source, or large."""

Opener = Callable[[Reader | Scanner], OpenDriver]


def build_readers(
    site: Site,
    *,
    recognise_tag: RecogniseTag,
    recognise_text: RecogniseText,
    judge: Judge,
    clock: Clock,
    rng: random.Random,
) -> tuple[list[Source], list[Fault]]:
    """Make the sources of a site's readers and scanners.

    Args:
        site: what to read.
        recognise_tag: tells the codes of a tag.
        recognise_text: tells the codes of a bar code.
        judge: adds what a scan's counterpart at the same place says against it.
        clock: stamps what is read.
        rng: jitter of reconnecting.

    Returns:
        The sources, and a fault for each that is set aside because its library is not installed.

    """
    sources: list[Source] = []
    faults: list[Fault] = []
    for key, one in _named(site):
        try:
            open_driver = driver_of(one)
        except ImportError as error:
            expected = "a kind whose library is installed (pip install 'suyuan[readers]')"
            faults.append(Fault(_FILE, f"{key}.kind", expected, f"{one.kind!r}: {error}"))
            continue
        handler: Handler
        if isinstance(one, Reader):
            presence = Presence(round(one.away_s * 1000))
            handler = TagScans(
                reader=one.id,
                step=one.step,
                recognise=recognise_tag,
                presence=presence,
                judge=judge,
            )
        else:
            handler = TextScans(reader=one.id, step=one.step, recognise=recognise_text, judge=judge)
        sources.append(
            DeviceSource(
                name=one.id,
                kind=one.kind,
                device=one.device,
                open_driver=open_driver,
                handler=handler,
                clock=clock,
                rng=rng,
            )
        )
    return sources, faults


def driver_of(one: Reader | Scanner) -> OpenDriver:
    """Return what opens a reader or scanner.

    Raises:
        ImportError: its library is not installed.

    """
    opener: Opener = importlib.import_module(DRIVERS[one.kind]).opener
    return opener(one)


def _named(site: Site) -> Iterator[tuple[str, Reader | Scanner]]:
    for index, reader in enumerate(site.readers):
        yield f"readers[{index}]", reader
    for index, scanner in enumerate(site.scanners):
        yield f"scanners[{index}]", scanner
