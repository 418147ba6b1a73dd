"""From the buses of a site file to sources."""

import random
from collections.abc import Iterable, Mapping

from edge.settings import Bus, Device, Site
from edge.sources.base import DecoderFactory
from edge.sources.bus import ModbusBus
from edge.sources.line import Line
from edge.sources.plan import Block, plan, spread
from edge.sources.tcp import PORT, TcpLine
from edge.sources.ticker import Ticker
from edge.sources.unit import Unit
from protocols.catalog.defaults import defaults
from protocols.catalog.point_map import FRAMINGS, Controller
from protocols.clock import Clock
from protocols.errors import Fault
from protocols.modbus.registers import width

_FILE = "site file"


def build_sources(
    site: Site,
    controllers: Mapping[str, Controller],
    clock: Clock,
    rng: random.Random,
    decoders: DecoderFactory,
) -> tuple[list[ModbusBus], list[Fault]]:
    """Make the sources of a site.

    Args:
        site: what to read.
        controllers: the controller files that are good, by id.
        clock: stamps samples when a reply arrives.
        rng: jitter of reconnecting.
        decoders: makes the decoder of each asset (`edge.decode.device.Decoders()`).

    Returns:
        The sources, and a fault for each device that is set aside. All other devices of the same
        bus are read.

    """
    ticker = Ticker()
    sources: list[ModbusBus] = []
    faults: list[Fault] = []
    for index, bus in enumerate(site.buses):
        units = []
        for number, device in enumerate(bus.devices):
            fault = device_fault(device, controllers, f"buses[{index}].devices[{number}]")
            if fault is None:
                units.append(_unit(bus, device, controllers[device.controller], decoders))
            else:
                faults.append(fault)
        if units:
            sources.append(
                ModbusBus(
                    name=bus.id,
                    kind=bus.kind,
                    units=units,
                    line=line_for(bus, [block for unit in units for block in unit.blocks]),
                    ticker=ticker,
                    clock=clock,
                    rng=rng,
                )
            )
    return sources, faults


def device_fault(
    device: Device, controllers: Mapping[str, Controller], key: str, file: str = _FILE
) -> Fault | None:
    """Tell why a device cannot be read, if it cannot."""
    controller = controllers.get(device.controller)
    if controller is None:
        known = ", ".join(sorted(controllers)) or "none"
        expected = f"the id of a controller file without faults ({known}) for {device.asset}"
        return Fault(file, f"{key}.controller", expected, repr(device.controller))
    if controller.framing not in FRAMINGS:
        expected = f"a controller with framing {' or '.join(FRAMINGS)} for {device.asset}"
        return Fault(file, f"{key}.controller", expected, f"framing {controller.framing!r}")
    return None


def blocks_of(controller: Controller, gap_max: int) -> tuple[Block, ...]:
    """Plan the reads of a controller."""
    return plan(
        ((point.table, point.address, width(point)) for point in controller.points),
        registers_per_read_max=controller.registers_per_read_max,
        gap_max=gap_max,
    )


def _unit(bus: Bus, device: Device, controller: Controller, decoders: DecoderFactory) -> Unit:
    blocks = blocks_of(controller, bus.gap_max)
    return Unit(
        asset=device.asset,
        controller=controller.id,
        unit_id=device.unit_id,
        period_s=device.poll_interval_s,
        blocks=spread(blocks) if bus.serial else list(blocks),
        decoder=decoders(device.asset, controller),
    )


def line_for(bus: Bus, blocks: Iterable[Block]) -> Line:
    """Make the line of a bus; nothing is opened yet. `blocks` tell the longest reply."""
    if not bus.serial:
        timeout_s = bus.timeout_s or defaults().modbus.timeout_tcp_s
        return TcpLine(bus.host or "", bus.port or PORT, timeout_s)
    from edge.sources.lines import serial_line  # noqa: PLC0415  # 12 MB that TCP alone can spare

    return serial_line(bus, blocks)
