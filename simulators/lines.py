"""The Modbus ports and serial lines of a play, opened on free ports and pseudo-terminals."""

import contextlib
from collections.abc import AsyncIterator, Callable

from protocols.clock import Clock
from simulators.city import ServedLift
from simulators.modbus_server import LineServers
from simulators.processes import free_port
from simulators.scenario import Group, Play
from simulators.serial_line import SerialLine
from simulators.site import SiteBus, SiteDevice

BAUD_RATE = 9600


@contextlib.asynccontextmanager
async def open_lines(
    play: Play, clock: Clock, asset_of: Callable[[ServedLift], str]
) -> AsyncIterator[list[SiteBus]]:
    """Serve every group of a play; gives the buses as a gateway's site file names them."""
    servers = LineServers(clock)
    with contextlib.ExitStack() as cables:
        try:
            buses = []
            for group in play.scenario.groups:
                lifts = play.groups[group.id]
                devices = [_device(group, lift, asset_of(lift)) for lift in lifts]
                if group.transport == "modbus_rtu":
                    line = cables.enter_context(SerialLine())
                    await servers.serve_rtu(lifts, line.server_end, baud_rate=BAUD_RATE)
                    where = line.client_end
                    bus = SiteBus(group.id, group.transport, devices, device=where)
                else:
                    rtu, port = group.transport == "modbus_rtu_over_tcp", free_port()
                    await servers.serve_tcp(lifts, port, rtu_framing=rtu)
                    bus = SiteBus(group.id, group.transport, devices, port=port)
                buses.append(bus)
            yield buses
        finally:
            await servers.stop()


def _device(group: Group, lift: ServedLift, asset: str) -> SiteDevice:
    return SiteDevice(asset, group.controller, lift.unit_id, group.poll_interval_s)
