"""From a site file to all its sources, with the decoding that each needs."""

import random
from collections.abc import Mapping

from edge.decode.barcode import recognise_text
from edge.decode.device import Decoders
from edge.decode.tag import recognise_tag
from edge.settings import Site
from edge.setup import Setup
from edge.sources.base import DecoderFactory, Source
from edge.sources.readers import build_readers
from edge.sources.registry import build_sources
from protocols.catalog.point_map import Controller
from protocols.clock import Clock, SystemClock
from protocols.errors import Fault


def build_all(
    site: Site,
    controllers: Mapping[str, Controller],
    clock: Clock,
    rng: random.Random,
    decoders: DecoderFactory | None = None,
) -> tuple[list[Source], list[Fault]]:
    """Make the sources of a site, and a fault for each device that is set aside.

    Args:
        site: what to read.
        controllers: the controller files that are good, by id.
        clock: stamps what is read.
        rng: jitter of reconnecting.
        decoders: makes the decoder of each asset on a bus.

    """
    buses, set_aside = build_sources(site, controllers, clock, rng, decoders or Decoders())
    readers, lacking = build_readers(
        site, recognise_tag=recognise_tag, recognise_text=recognise_text, clock=clock, rng=rng
    )
    return [*buses, *readers], [*set_aside, *lacking]


def building_faults(setup: Setup) -> list[Fault]:
    """Tell what of a setup cannot be read on this machine; nothing is opened."""
    _, set_aside = build_all(setup.site, setup.controllers, SystemClock(), random.Random())  # noqa: S311
    return set_aside
