"""A small HTTP server on loopback that takes what is posted, or fails as it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Way = Literal[
    "ok", "hang", "redirect", "500", "429", "503", "410", "422", "cut", "half", "slow", "garbage"
]
HEADS = {
    "redirect": "302 Found\r\nLocation: http://127.0.0.1:9/",
    "500": "500 Internal Server Error",
    "429": "429 Too Many Requests\r\nRetry-After: 1",
    "503": "503 Service Unavailable\r\nRetry-After: 1",
    "410": "410 Gone",
    "422": "422 Unprocessable Content",
    "ok": "200 OK",
}
SLOW_S = 5.0


@dataclass(frozen=True)
class Request:
    """One request that came whole."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Sink:
    """What came, and how the next are answered."""

    port: int = 0
    answers: list[Way] = field(default_factory=list)
    """One after the other; then `way`."""
    way: Way = "ok"
    requests: list[Request] = field(default_factory=list)
    taken: list[Request] = field(default_factory=list)
    """Those that were answered with success."""
    on_taken: Callable[[Request], None] = lambda _request: None
    _server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of a connection."""
        try:
            request = await _read(reader)
            self.requests.append(request)
            way = self.answers.pop(0) if self.answers else self.way
            await self._answer(way, writer)
            if way == "ok":
                self.taken.append(request)
                self.on_taken(request)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, IndexError):
            pass
        except asyncio.CancelledError:
            return  # the test is over; asyncio would tell of it as of a fault
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, way: Way, writer: asyncio.StreamWriter) -> None:
        if way == "cut":
            writer.transport.abort()
        elif way == "garbage":
            writer.write(b"\x00\xff no http at all\r\n\r\n")
        elif way == "half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        elif way == "hang":
            await asyncio.sleep(SLOW_S)
        elif way == "slow":
            for part in (b"HTTP/1.1 200 OK\r\n", *(b"X-A: b\r\n",) * 50):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(SLOW_S / 50)
        else:
            writer.write(f"HTTP/1.1 {HEADS[way]}\r\nContent-Length: 0\r\n\r\n".encode())
        if way != "cut":
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


@asynccontextmanager
async def http_sink() -> AsyncIterator[Sink]:
    """Serve on a free port."""
    sink = Sink()
    await sink.open()
    try:
        yield sink
    finally:
        sink.close()
