"""Network faults for tests: a TCP relay to stand between a gateway and its broker."""

import asyncio
import contextlib
import random
import struct
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from types import TracebackType
from typing import Literal, Self

CHUNK_BYTES = 16 * 1024
CONNECTIONS_MAX = 1_000
"""A further connection is closed at once."""

Way = Literal["up", "down"]
"""`up`: from the client to the server; `down`: back."""


@dataclass
class WayFaults:
    """What happens to bytes that go one way; may be changed while they flow."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Up to so much is added to the delay of each piece; pieces never overtake each other."""
    cut_chance: float = 0.0
    """Chance that a piece is lost, and the connection with it, as no byte of TCP is lost alone."""
    blackhole: bool = False
    """Bytes vanish while the connection seems to live."""
    pieces: int = 0
    """Pieces carried so far."""
    swallowed_bytes: int = 0


@dataclass(eq=False)
class _Pair:
    """One relayed connection."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    damaged: set[Way] = field(default_factory=set)
    """Ways on which bytes are missing: the connection cannot go on after the blackhole."""


class Relay:
    """A TCP relay with faults, for `async with`; `port` is where clients connect.

    Args:
        target_port: port of the server at 127.0.0.1.
        rng: decides jitter and cuts; the same seed and traffic give the same faults.
        port: where to listen; 0: any free port.

    """

    def __init__(self, target_port: int, rng: random.Random, *, port: int = 0) -> None:
        self.port = port
        self.up, self.down = WayFaults(), WayFaults()
        self.accepted = self.cuts = 0
        self._target_port, self._rng = target_port, rng
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cut everything and stop listening."""
        await self.close()

    async def open(self) -> None:
        """Take connections (again); on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut all connections and refuse new ones, as when the broker is gone."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> int:
        """Reset all connections now; return how many there were."""
        pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)
        return len(pairs)

    def blackhole(self, way: Way, *, on: bool) -> None:
        """Let bytes of one way vanish, or stop that; connections that lost bytes are then cut."""
        (self.up if way == "up" else self.down).blackhole = on
        if not on:
            for pair in [pair for pair in self._pairs if way in pair.damaged]:
                self._reset(pair)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if len(self._pairs) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        try:
            back, onward = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, onward)
        self._pairs.add(pair)
        for flow in (
            self._carry(pair, "up", reader, onward),
            self._carry(pair, "down", back, writer),
        ):
            task = asyncio.create_task(flow)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(
        self, pair: _Pair, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        faults = self.up if way == "up" else self.down
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)
        sender = asyncio.create_task(self._deliver(queue, writer))
        due_s = 0.0
        try:
            while data := await reader.read(CHUNK_BYTES):
                if faults.blackhole:
                    faults.swallowed_bytes += len(data)
                    pair.damaged.add(way)
                    continue
                if faults.cut_chance and self._rng.random() < faults.cut_chance:
                    break
                faults.pieces += 1
                wait_s = faults.delay_s + self._rng.uniform(0, faults.jitter_s)
                due_s = max(due_s, loop.time() + wait_s)
                await queue.put((due_s, data))
            else:
                await queue.put((due_s, b""))
                await sender
                self._end(pair)
        except OSError:
            pass
        finally:
            sender.cancel()
            self._reset(pair)

    async def _deliver(
        self, queue: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                due_s, data = await queue.get()
                if not data:
                    return
                if (wait_s := due_s - loop.time()) > 0:
                    await asyncio.sleep(wait_s)
                writer.write(data)
                await writer.drain()

    def _end(self, pair: _Pair) -> None:
        """Close a connection whose one side has closed, without losing what it said last."""
        self._pairs.discard(pair)
        pair.client.close()
        pair.server.close()

    def _reset(self, pair: _Pair) -> None:
        if pair not in self._pairs:
            return
        self._pairs.discard(pair)
        self.cuts += 1
        for writer in (pair.client, pair.server):
            with contextlib.suppress(OSError):
                socket = writer.get_extra_info("socket")
                socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
