"""The control socket: one JSON action a line in, one JSON answer a line out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from protocols.errors import RefuseInput
from simulators.actions import Action
from simulators.city import City

LINE_BYTES_MAX = 64 * 1024
"""A longer line ends the connection."""

_DECODER = msgspec.json.Decoder(Action)


def answer(city: City, line: bytes) -> bytes:
    """Do what one line says; faults of the line are told in the answer."""
    try:
        reply = city.apply(_DECODER.decode(line))
    except (msgspec.DecodeError, RecursionError) as error:
        reply = {"ok": False, "reason": "bad_action", "detail": str(error)}
    except RefuseInput as error:
        reply = {"ok": False, "reason": error.reason, "detail": error.detail}
    return msgspec.json.encode(reply) + b"\n"


@contextlib.asynccontextmanager
async def control_server(city: City, port: int, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Take control connections inside the `async with`; gives the port, which 0 leaves open.

    Raises:
        OSError: the port is taken.

    """
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            talks.add(task)
            task.add_done_callback(talks.discard)
        try:
            while line := await reader.readline():
                writer.write(answer(city, line))
                await writer.drain()
        except (ConnectionError, ValueError):  # ValueError: the line is too long
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, host, port, limit=LINE_BYTES_MAX)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
