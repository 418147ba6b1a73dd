"""From a site file to all its sources, with the decoding that each needs."""

import random
from collections.abc import Iterable, Mapping

from edge.decode.barcode import TextRecogniser
from edge.decode.device import Decoders
from edge.decode.tag import recognise_tag
from edge.settings import Site
from edge.sources.base import DecoderFactory, Source
from edge.sources.readers import build_readers
from edge.sources.registry import build_sources
from protocols.catalog.point_map import Controller
from protocols.catalog.schemes import Scheme
from protocols.clock import Clock
from protocols.errors import Fault


def build_all(
    site: Site,
    controllers: Mapping[str, Controller],
    clock: Clock,
    rng: random.Random,
    decoders: DecoderFactory | None = None,
    *,
    schemes: Iterable[Scheme] = (),
) -> tuple[list[Source], list[Fault]]:
    """Make the sources of a site, and a fault for each device that is set aside.

    Args:
        site: what to read.
        controllers: the controller files that are good, by id.
        clock: stamps what is read.
        rng: jitter of reconnecting.
        decoders: makes the decoder of each asset on a bus.
        schemes: the schemes that plain codes are told by; without them they stay as scanned.

    """
    buses, set_aside = build_sources(site, controllers, clock, rng, decoders or Decoders())
    readers, lacking = build_readers(
        site,
        recognise_tag=recognise_tag,
        recognise_text=TextRecogniser(schemes),
        clock=clock,
        rng=rng,
    )
    return [*buses, *readers], [*set_aside, *lacking]
