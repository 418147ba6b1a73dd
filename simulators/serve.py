"""`suyuan-sim serve`: lifts of one controller model on Modbus lines, with a control socket."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from protocols.catalog.controller import load_controllers
from protocols.catalog.point_map import Controller
from protocols.clock import Clock, SystemClock
from protocols.errors import Fault, FixConfiguration, RetryLater
from simulators.city import City, ServedLift
from simulators.control import control_server
from simulators.dialect import Dialect
from simulators.modbus_server import UNITS_PER_LINE_MAX, LineServers, run_city
from simulators.scenario import Group, build_lift
from simulators.serial_line import SerialLine
from simulators.traffic import Pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What the command line says; see `suyuan-sim serve --help`."""

    controller: str
    lifts: int
    host: str
    port: int
    lifts_per_port: int
    rtu: str
    baud_rate: int
    rtu_over_tcp: bool
    control: int
    traffic: str
    trips_per_hour: float
    floors: int
    seed: int
    bridged: bool
    overlay: Path | None


def known_controllers(overlay: Path | None, kind: str = "elevator") -> Mapping[str, Controller]:
    """Load every controller file of one kind of asset.

    Raises:
        FixConfiguration: a file has faults.

    """
    controllers, faults = load_controllers(overlay)
    if faults:
        raise FixConfiguration(list(faults))
    return {name: one for name, one in controllers.items() if one.kind == kind}


def build_city(options: ServeOptions, clock: Clock) -> City:
    """Build the lifts.

    Raises:
        FixConfiguration: no such controller or traffic, or nothing to serve on.

    """
    controllers = known_controllers(options.overlay)
    pattern = next((word for word in get_args(Pattern) if word == options.traffic), None)
    faults = []
    if options.controller not in controllers:
        known = f"one of {', '.join(sorted(controllers))}"
        faults.append(Fault("command line", "--controller", known, options.controller))
    if pattern is None:
        known = f"one of {', '.join(get_args(Pattern))}"
        faults.append(Fault("command line", "--traffic", known, options.traffic))
    if not options.port and not options.rtu:
        faults.append(Fault("command line", "--port", "a port, or a device for --rtu", "neither"))
    if faults or pattern is None:
        raise FixConfiguration(faults)
    dialect = Dialect(controllers[options.controller])
    group = Group(
        id="lifts",
        controller=options.controller,
        floors=options.floors,
        traffic=pattern,
        trips_per_hour=options.trips_per_hour,
    )
    lifts = [
        build_lift(dialect, group, index, index % options.lifts_per_port + 1, options.seed)
        for index in range(options.lifts)
    ]
    return City(lifts, clock)


async def serve_lifts(options: ServeOptions, write: Callable[[str], None]) -> None:
    """Serve until cancelled.

    Raises:
        FixConfiguration: the command line or a data file has faults.
        RetryLater: a port or device cannot be opened.

    """
    clock = SystemClock()
    city = build_city(options, clock)
    servers = LineServers(clock, bridged=options.bridged)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(servers.stop)
        await _open_ports(options, city.lifts, servers, write)
        if options.rtu:
            await _open_serial(options, city.lifts, servers, stack, write)
        if options.control:
            await open_control(stack, city, options.control, write)
        await run_city(city)


async def open_control(
    stack: contextlib.AsyncExitStack, city: City, port: int, write: Callable[[str], None]
) -> None:
    """Open the control socket until the stack ends.

    Raises:
        RetryLater: the port is taken.

    """
    try:
        await stack.enter_async_context(control_server(city, port))
    except OSError as error:
        raise RetryLater(f"control socket on port {port}: {error}") from error
    write(f"control: 127.0.0.1:{port}")


async def _open_ports(
    options: ServeOptions,
    lifts: list[ServedLift],
    servers: LineServers,
    write: Callable[[str], None],
) -> None:
    if not options.port:
        return
    size = options.lifts_per_port
    for place, first in enumerate(range(0, len(lifts), size)):
        some, port = lifts[first : first + size], options.port + place
        await servers.serve_tcp(some, port, host=options.host, rtu_framing=options.rtu_over_tcp)
        write(f"{len(some)} lifts: {options.host}:{port}, units 1 to {len(some)}")


async def _open_serial(
    options: ServeOptions,
    lifts: list[ServedLift],
    servers: LineServers,
    stack: contextlib.AsyncExitStack,
    write: Callable[[str], None],
) -> None:
    device = options.rtu
    some = lifts[: min(options.lifts_per_port, UNITS_PER_LINE_MAX)]
    if not await asyncio.to_thread(Path(device).exists):
        device = stack.enter_context(SerialLine(Path(device))).server_end
    await servers.serve_rtu(some, device, baud_rate=options.baud_rate)
    write(f"{len(some)} lifts: {options.rtu}, units 1 to {len(some)}")
