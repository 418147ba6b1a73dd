"""The raw limit beside the edge bench: reads the same registers and does nothing with them.

`python -m tests.benchmarks.edge_limit --ports 1502 1503 --lifts 1000 --interval 1.0` opens one
connection per lift, says `{}` and then answers each line with `{"reads", "missed"}`. Bare asyncio
protocols on uvloop; questions made beforehand; replies are not looked at; lifts in 50 slots.
"""

import argparse
import asyncio
from functools import partial
from typing import cast

import uvloop

from tests.benchmarks.lifts import controller, port_and_unit
from tests.benchmarks.rig import allow_files, answer_lines, say

SLOTS = 50


class Asker(asyncio.Protocol):
    """One connection; asks when told, unless it still waits."""

    def __init__(self, unit: int, count: int) -> None:
        self._question = bytes((0, 1, 0, 0, 0, 6, unit, 3, 0, 0, 0, count))
        self._transport: asyncio.WriteTransport | None = None
        self._waiting = False
        self.reads = self.missed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.WriteTransport", transport)  # of uvloop, which inherits not

    def ask(self) -> None:
        """Send the question."""
        assert self._transport is not None
        if self._waiting:
            self.missed += 1
        else:
            self._waiting = True
            self._transport.write(self._question)

    def data_received(self, _data: bytes) -> None:
        """Count a reply."""
        self._waiting = False
        self.reads += 1


async def poll(lifts: int, ports: list[int], interval_s: float) -> None:
    """Poll until the process is ended."""
    loop = asyncio.get_running_loop()
    count = max(point.address for point in controller().points) + 2
    askers = []
    for lift in range(lifts):
        port, unit = port_and_unit(lift, ports)
        _, asker = await loop.create_connection(partial(Asker, unit, count), "127.0.0.1", port)
        askers.append(asker)
    say({})
    answer_lines(
        lambda _: {
            "reads": sum(one.reads for one in askers),
            "missed": sum(one.missed for one in askers),
        }
    )
    began = loop.time()
    for turn in range(1 << 62):
        for asker in askers[turn % SLOTS :: SLOTS]:
            asker.ask()
        await asyncio.sleep(max(0.0, began + (turn + 1) * interval_s / SLOTS - loop.time()))


def main() -> None:
    """Run until SIGTERM or the end of input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lifts", type=int, default=1000)
    parser.add_argument("--ports", type=int, nargs="+", required=True)
    parser.add_argument("--interval", type=float, default=1.0)
    options = parser.parse_args()
    allow_files(options.lifts + 100)
    uvloop.run(poll(options.lifts, options.ports, options.interval))


if __name__ == "__main__":
    main()
