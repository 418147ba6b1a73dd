"""Many lifts behind Modbus TCP, as cheap as can be: the load of the edge bench.

`python -m tests.benchmarks.lifts --lifts 1000 --changing 16` prints `{"ports": [...]}`
and then answers each line on its input with `{"reads", "urgent": {number: time_ns}}`. Behind each
port are LIFTS_PER_PORT lifts with unit ids from 1. What their registers mean stands in
`controllers/bench-lift.toml`. All replies are made beforehand and shared, each lift beginning at
another; a read that begins at the first register moves the lift on.

Urgent changes: the register of `fault_code` gets a number that no other change has, in the reply
to one read by chance; the time of that reply is kept (ns of the monotonic clock).
"""

import argparse
import asyncio
import random
import struct
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import uvloop

from protocols.catalog.controller import load_controller
from protocols.catalog.point_map import Controller, PointMap
from protocols.catalog.points import load_points
from protocols.modbus.numbers import bit_count, width
from tests.benchmarks.rig import allow_files, answer_lines, say

FOLDER = Path(__file__).parent
CONTROLLER = "bench-lift"
LIFTS_PER_PORT = 200
STEPS = 600
"""Different replies; then all begins again."""
_NUMBERS_MAX = 65_535


def controller() -> Controller:
    """Return what the registers of these lifts mean."""
    return load_controller(FOLDER / "controllers" / f"{CONTROLLER}.toml", shipped=False)


def port_and_unit(lift: int, ports: list[int]) -> tuple[int, int]:
    """Return where lift number `lift` (from 0) is found."""
    return ports[lift // LIFTS_PER_PORT], lift % LIFTS_PER_PORT + 1


def images(lift: Controller, changing: int, rng: random.Random) -> Iterator[bytes]:
    """Yield the registers of STEPS reads; `changing` calm points differ from one to the next."""
    points = load_points(lift.kind)
    calm = [point for point in lift.points if not points[point.name].urgent]
    counts = dict.fromkeys((point.name for point in calm), 0)
    words = [0] * max(point.address + width(point) for point in lift.points)
    for _ in range(STEPS):
        for point in rng.sample(calm, changing):
            counts[point.name] += 1
            step = 1 + round(points[point.name].deadband / point.scale)
            _write(words, point, counts[point.name] * step)
        yield struct.pack(f">{len(words)}H", *words)


def _write(words: list[int], point: PointMap, raw: int) -> None:
    """Write a number, or the one that stands for it where only a few are allowed."""
    choices = list(point.values) if point.values else [0, 1] if point.type == "bool" else None
    raw = choices[raw % len(choices)] if choices else raw % (1 << min(bit_count(point), 30))
    if width(point) == 2:
        words[point.address : point.address + 2] = raw >> 16, raw & 0xFFFF
    else:
        words[point.address] = raw % 30_000


class Fleet:
    """The state of all lifts."""

    def __init__(self, lifts: int, changing: int, urgent_share: float, rng: random.Random) -> None:
        made = controller()
        (place,) = [point.address for point in made.points if point.name == "fault_code"]
        if place:
            raise ValueError("fault_code must be the first register")
        self._rest = [image[2:] for image in images(made, changing, rng)]
        self._step = [rng.randrange(STEPS) for _ in range(lifts)]
        self._fault = [b"\0\0"] * lifts
        self._rng, self._urgent_share = rng, urgent_share
        self.reads = 0
        self.urgent: dict[int, int] = {}

    def registers(self, lift: int, address: int, count: int) -> bytes:
        """Return registers as they lie on the wire; fewer bytes when there are not so many."""
        if address == 0:
            self._move(lift)
        image = self._fault[lift] + self._rest[self._step[lift]]
        return image[2 * address : 2 * (address + count)]

    def _move(self, lift: int) -> None:
        self.reads += 1
        self._step[lift] = (self._step[lift] + 1) % STEPS
        if self._urgent_share and self._rng.random() < self._urgent_share:
            number = len(self.urgent) + 1
            if number <= _NUMBERS_MAX:
                self._fault[lift] = number.to_bytes(2, "big")
                self.urgent[number] = time.monotonic_ns()


class Port(asyncio.Protocol):
    """One connection to the lifts behind one port."""

    def __init__(self, fleet: Fleet, first: int) -> None:
        self._fleet, self._first = fleet, first
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection."""
        self._transport = cast("asyncio.WriteTransport", transport)  # of uvloop, which inherits not

    def data_received(self, data: bytes) -> None:
        """Answer; a question of this size is never torn on a loopback line."""
        assert self._transport is not None
        for start in range(0, len(data) - 11, 12):
            unit, function = data[start + 6], data[start + 7]
            address = data[start + 8] << 8 | data[start + 9]
            count = data[start + 10] << 8 | data[start + 11]
            found = self._fleet.registers(self._first + unit - 1, address, count)
            if function == 3 and len(found) == 2 * count:
                body = bytes((unit, 3, len(found))) + found
            else:
                body = bytes((unit, function | 0x80, 2))
            head = data[start : start + 4] + len(body).to_bytes(2, "big")
            self._transport.write(head + body)


async def serve(lifts: int, per_port: int, fleet: Fleet) -> None:
    """Listen, say where, and answer until the process is ended."""
    loop, ports = asyncio.get_running_loop(), []
    for first in range(0, lifts, per_port):
        server = await loop.create_server(partial(Port, fleet, first), "127.0.0.1", 0, backlog=1024)
        ports.append(server.sockets[0].getsockname()[1])
    say({"ports": ports})
    answer_lines(lambda _: {"reads": fleet.reads, "urgent": dict(fleet.urgent)})
    await asyncio.Event().wait()


def main() -> None:
    """Run until SIGTERM or the end of input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lifts", type=int, default=1000)
    parser.add_argument("--changing", type=int, default=16, help="calm points of 16 that change")
    parser.add_argument("--urgent-share", type=float, default=0.0, help="of reads, 0 to 1")
    parser.add_argument("--lifts-per-port", type=int, default=LIFTS_PER_PORT)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    allow_files(2 * options.lifts + 100)
    rng = random.Random(options.seed)
    fleet = Fleet(options.lifts, options.changing, options.urgent_share, rng)
    uvloop.run(serve(options.lifts, options.lifts_per_port, fleet))


if __name__ == "__main__":
    main()
