"""From a site file to all its sources, with the data files and the decoding that each needs."""

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.catalog import Catalog
from edge.decode.device import Decoders
from edge.settings import Site
from edge.setup import Setup
from edge.sources.base import DecoderFactory, Source
from edge.sources.readers import build_readers
from edge.sources.registry import build_sources
from protocols.catalog.files import data_root
from protocols.clock import Clock, SystemClock
from protocols.errors import Fault

if TYPE_CHECKING:
    from edge.decode.pairing import Waiting
    from edge.interlock.hall import Hall, Snapshot
    from edge.interlock.screen import Screen


def build_all(
    site: Site,
    catalog: Catalog,
    clock: Clock,
    rng: random.Random,
    decoders: DecoderFactory | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    waiting: "Waiting | None" = None,
    hall: "Hall | None" = None,
) -> tuple[list[Source], list[Fault]]:
    """Make the sources of a site, and a fault for each device that is set aside.

    Args:
        site: what to read.
        catalog: the data files that are good.
        clock: stamps what is read.
        rng: jitter of reconnecting.
        decoders: makes the decoder of each asset on a bus.
        environ: may hold keys of NTAG 424 chips, see `edge.decode.sun`.
        waiting: scans that may still meet their counterpart, when sources are built one by one.
        hall: what gates share; None: gates are left out.

    """
    buses, set_aside = build_sources(site, catalog.controllers, clock, rng, decoders or Decoders())
    sources: list[Source] = [*buses]
    if site.readers or site.scanners:
        readers, lacking = _readers(site, catalog, clock, rng, environ, waiting)
        sources, set_aside = [*sources, *readers], [*set_aside, *lacking]
    if site.scales:
        from edge.sources.scales import build_scales  # noqa: PLC0415

        scales, unread = build_scales(site, catalog.scales, clock, rng)
        sources, set_aside = [*sources, *scales], [*set_aside, *unread]
    if site.gates and hall is not None:
        from edge.interlock.build import build_gates  # noqa: PLC0415

        gates, closed = build_gates(site, catalog.guns, hall, clock)
        sources, set_aside = [*sources, *gates], [*set_aside, *closed]
    return sources, set_aside


def open_hall(
    state: Path,
    overlay: Callable[[], Path | None],
    snapshot: "Callable[[], Snapshot | None]",
) -> "Hall":
    """Make what the gates of a gateway share; its rules are read when the first gate judges."""
    from edge.decode.pairing import identities  # noqa: PLC0415  # a gateway of lifts spares it
    from edge.interlock.hall import Hall  # noqa: PLC0415
    from protocols.cylinders.load import load_rules  # noqa: PLC0415

    return Hall(
        state,
        names=identities,
        rules=lambda: load_rules(data_root() / "cylinders", overlay()),
        snapshot=snapshot,
    )


class Settled(Protocol):
    """The daemon, as far as the page of the gates needs to know it."""

    @property
    def setup(self) -> Setup:
        """What is in effect now."""
        ...


def screen_of(hall: "Hall", daemon: Settled, clock: Clock) -> "Screen":
    """Make the page of the gates; it listens where the site file in effect says, or nowhere."""
    from edge.interlock.screen import Screen  # noqa: PLC0415
    from edge.interlock.words import load_words  # noqa: PLC0415

    return Screen(
        hall,
        address=lambda: daemon.setup.site.local.screen_address,
        words=lambda: load_words(daemon.setup.overlay),
        clock=clock,
    )


def _readers(
    site: Site,
    catalog: Catalog,
    clock: Clock,
    rng: random.Random,
    environ: Mapping[str, str],
    waiting: "Waiting | None",
) -> tuple[list[Source], list[Fault]]:
    from edge.decode.barcode import TextRecogniser  # noqa: PLC0415
    from edge.decode.pairing import Pair, Pairing  # noqa: PLC0415
    from edge.decode.sun import sun_keys  # noqa: PLC0415
    from edge.decode.tag import TagDecoder  # noqa: PLC0415

    recognise_text = TextRecogniser(catalog.schemes.values())
    tags = TagDecoder(catalog.layouts.values(), recognise_text, sun_keys(environ))
    pairs = [
        Pair(one.id, one.pair, round(one.pair_within_s * 1000))
        for one in site.scanners
        if one.pair is not None
    ]
    pairing = Pairing(pairs, waiting)
    return build_readers(
        site,
        recognise_tag=tags.recognise,
        recognise_text=recognise_text,
        judge=pairing.judge,
        clock=clock,
        rng=rng,
    )


def building_faults(setup: Setup) -> list[Fault]:
    """Tell what of a setup cannot be read on this machine; nothing is opened."""
    _, set_aside = build_all(setup.site, setup.catalog, SystemClock(), random.Random())  # noqa: S311
    return set_aside
