"""From a site file to all its sources, with the decoding that each needs."""

import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge.decode.barcode import recognise_text
from edge.decode.device import Decoders
from edge.decode.pairing import Pair, Pairing
from edge.decode.sun import SunKeys
from edge.decode.tag import TagDecoder, prove
from edge.settings import Site
from edge.sources.base import DecoderFactory, Source
from edge.sources.readers import build_readers
from edge.sources.registry import build_sources
from protocols.catalog.files import data_files
from protocols.catalog.point_map import Controller
from protocols.catalog.tags import Layout, load_layouts
from protocols.clock import Clock
from protocols.errors import Fault


def build_all(
    site: Site,
    controllers: Mapping[str, Controller],
    clock: Clock,
    rng: random.Random,
    decoders: DecoderFactory | None = None,
    *,
    layouts: Iterable[Layout] = (),
    sun_keys: SunKeys | None = None,
) -> tuple[list[Source], list[Fault]]:
    """Make the sources of a site, and a fault for each device that is set aside.

    Args:
        site: what to read.
        controllers: the controller files that are good, by id.
        clock: stamps what is read.
        rng: jitter of reconnecting.
        decoders: makes the decoder of each asset on a bus.
        layouts: the tag layouts that are good; without them a tag tells its own number only.
        sun_keys: keys of NTAG 424 chips, if this gateway has them.

    """
    buses, set_aside = build_sources(site, controllers, clock, rng, decoders or Decoders())
    tags = TagDecoder(layouts, recognise_text, sun_keys)
    pairing = Pairing(
        Pair(one.id, one.pair, round(one.pair_within_s * 1000))
        for one in site.scanners
        if one.pair is not None
    )
    readers, lacking = build_readers(
        site,
        recognise_tag=tags.recognise,
        recognise_text=recognise_text,
        judge=pairing.judge,
        clock=clock,
        rng=rng,
    )
    return [*buses, *readers], [*set_aside, *lacking]


def good_layouts(overlay: Path | None) -> tuple[dict[str, Layout], list[Fault]]:
    """Read all tag layouts and let their samples prove them.

    Returns:
        The good ones by id, and the faults of the others.

    """
    layouts, faults = load_layouts(overlay)
    files = {path.stem: str(path) for path, _ in data_files("tags", overlay)}
    for name in list(layouts):
        wrong = prove(layouts[name], files[name])
        if wrong:
            faults += wrong
            del layouts[name]
    return layouts, faults
