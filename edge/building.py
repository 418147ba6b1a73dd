"""From a site file to all its sources, with the data files and the decoding that each needs."""

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge.decode.device import Decoders
from edge.settings import Site
from edge.sources.base import DecoderFactory, Source
from edge.sources.readers import build_readers
from edge.sources.registry import build_sources
from protocols.catalog.controller import load_controllers
from protocols.catalog.files import data_files
from protocols.catalog.point_map import Controller
from protocols.clock import Clock
from protocols.errors import Fault

if TYPE_CHECKING:
    from protocols.catalog.schemes import Scheme
    from protocols.catalog.tags import Layout

# A gateway that reads lifts only does without the decoding of codes: GS1's tables take 25 MB.


class Catalog(NamedTuple):
    """The data files without faults that a gateway reads its devices by, each kind by id."""

    controllers: dict[str, Controller]
    layouts: "dict[str, Layout]"
    schemes: "dict[str, Scheme]"


def load_catalog(overlay: Path | None, site: Site | None = None) -> tuple[Catalog, list[Fault]]:
    """Read the shipped files and those of the overlay; a faulty one is told and left out.

    Args:
        overlay: folder of a site's own files.
        site: only the kinds of file that this site needs; None: all.

    """
    controllers, faults = load_controllers(overlay)
    if site is not None and not (site.readers or site.scanners):
        return Catalog(controllers, {}, {}), faults
    from protocols.catalog.schemes import load_schemes  # noqa: PLC0415

    layouts, layout_faults = _proven_layouts(overlay)
    schemes, scheme_faults = load_schemes(overlay)
    return Catalog(controllers, layouts, schemes), [*faults, *layout_faults, *scheme_faults]


def build_all(
    site: Site,
    catalog: Catalog,
    clock: Clock,
    rng: random.Random,
    decoders: DecoderFactory | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> tuple[list[Source], list[Fault]]:
    """Make the sources of a site, and a fault for each device that is set aside.

    Args:
        site: what to read.
        catalog: the data files that are good.
        clock: stamps what is read.
        rng: jitter of reconnecting.
        decoders: makes the decoder of each asset on a bus.
        environ: may hold keys of NTAG 424 chips, see `edge.decode.sun`.

    """
    buses, set_aside = build_sources(site, catalog.controllers, clock, rng, decoders or Decoders())
    if not (site.readers or site.scanners):
        return [*buses], set_aside
    readers, lacking = _readers(site, catalog, clock, rng, environ)
    return [*buses, *readers], [*set_aside, *lacking]


def _readers(
    site: Site, catalog: Catalog, clock: Clock, rng: random.Random, environ: Mapping[str, str]
) -> tuple[list[Source], list[Fault]]:
    from edge.decode.barcode import TextRecogniser  # noqa: PLC0415
    from edge.decode.pairing import Pair, Pairing  # noqa: PLC0415
    from edge.decode.sun import sun_keys  # noqa: PLC0415
    from edge.decode.tag import TagDecoder  # noqa: PLC0415

    recognise_text = TextRecogniser(catalog.schemes.values())
    tags = TagDecoder(catalog.layouts.values(), recognise_text, sun_keys(environ))
    pairing = Pairing(
        Pair(one.id, one.pair, round(one.pair_within_s * 1000))
        for one in site.scanners
        if one.pair is not None
    )
    return build_readers(
        site,
        recognise_tag=tags.recognise,
        recognise_text=recognise_text,
        judge=pairing.judge,
        clock=clock,
        rng=rng,
    )


def _proven_layouts(overlay: Path | None) -> "tuple[dict[str, Layout], list[Fault]]":
    """Read all tag layouts and let their samples prove them."""
    from edge.decode.tag import prove  # noqa: PLC0415
    from protocols.catalog.tags import load_layouts  # noqa: PLC0415

    layouts, faults = load_layouts(overlay)
    files = {path.stem: str(path) for path, _ in data_files("tags", overlay)}
    for name in list(layouts):
        wrong = prove(layouts[name], files[name])
        if wrong:
            faults += wrong
            del layouts[name]
    return layouts, faults
