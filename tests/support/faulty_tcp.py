"""A Modbus TCP server of our own that answers as told."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True)
class Asked:
    """A question as it came."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int

    def but(self, **changes: int) -> Self:
        """Return the question with other fields."""
        return replace(self, **changes)


Answers = Sequence[tuple[float, bytes]]
"""Seconds to wait, and bytes to send."""
How = Callable[[Asked], Answers]


def frame(transaction: int, unit: int, *body: int, protocol: int = 0) -> bytes:
    """Return an MBAP frame."""
    return struct.pack(">HHHB", transaction, protocol, len(body) + 1, unit) + bytes(body)


def words_frame(asked: Asked, words: Sequence[int]) -> bytes:
    """Return a good answer with these registers."""
    data = struct.pack(f">{len(words)}H", *words)
    return frame(asked.transaction, asked.unit, asked.function, len(data), *data)


class FaultyTcp:
    """Counts connections and questions; `how` decides about each answer."""

    def __init__(self, how: How) -> None:
        self.how = how
        self.port = 0
        self.connections = 0
        self.asked: list[Asked] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; on the same port again after a stop."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Drop all connections and listen no more."""
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.close()
            await self._server.wait_closed()
            await asyncio.sleep(0)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        loop = asyncio.get_running_loop()
        try:
            while True:
                data = await reader.readexactly(12)
                asked = Asked(*struct.unpack(">HxxxxBBHH", data))
                self.asked.append(asked)
                for delay_s, answer in self.how(asked):
                    loop.call_later(delay_s, _send, writer, answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)


@asynccontextmanager
async def faulty_tcp(how: How) -> AsyncIterator[FaultyTcp]:
    """Run a server for a test."""
    server = FaultyTcp(how)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
