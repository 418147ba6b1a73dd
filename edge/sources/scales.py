"""From the scales of a site file to sources."""

import random
from collections.abc import Mapping

from edge.settings import Scale, Site
from edge.sources.base import Source
from edge.sources.device import DeviceSource
from edge.sources.scale_serial import opener
from edge.sources.weights import WeightReadings
from protocols.clock import Clock
from protocols.errors import Fault
from protocols.weighing.protocol import ScaleProtocol

_FILE = "site file"


def build_scales(
    site: Site, protocols: Mapping[str, ScaleProtocol], clock: Clock, rng: random.Random
) -> tuple[list[Source], list[Fault]]:
    """Make the sources of a site's serial scales, and a fault for each that is set aside."""
    sources: list[Source] = []
    faults: list[Fault] = []
    for index, scale in enumerate(site.scales):
        fault = scale_fault(scale, protocols, f"scales[{index}]")
        if fault is not None:
            faults.append(fault)
            continue
        sources.append(
            DeviceSource(
                name=scale.id,
                kind=scale.kind,
                device=scale.device,
                open_driver=opener(scale, protocols[scale.protocol]),
                handler=WeightReadings(scale.asset),
                clock=clock,
                rng=rng,
            )
        )
    return sources, faults


def scale_fault(
    scale: Scale, protocols: Mapping[str, ScaleProtocol], key: str, file: str = _FILE
) -> Fault | None:
    """Tell why a scale cannot be read, if it cannot."""
    if scale.protocol in protocols:
        return None
    known = ", ".join(sorted(protocols)) or "none"
    expected = f"the id of a scale file without faults ({known}) for {scale.asset}"
    return Fault(file, f"{key}.protocol", expected, repr(scale.protocol))
