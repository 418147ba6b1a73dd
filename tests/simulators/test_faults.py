import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest

from simulators.faults import Relay


class Echo:
    """A server that says everything back."""

    def __init__(self) -> None:
        self.port = 0
        self.received = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                self.received += len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


async def connect(relay: Relay) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", relay.port)


async def say(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes, wait_s: float = 5
) -> bytes:
    writer.write(text)
    async with asyncio.timeout(wait_s):
        return await reader.readexactly(len(text))


async def count_echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    for count in range(1000):
        try:
            await say(reader, writer, b"ping")
        except (ConnectionError, asyncio.IncompleteReadError):
            return count
    return 1000


async def test_relay_without_faults_carries_everything(echo: Echo) -> None:
    text = random.Random(1).randbytes(300_000)
    async with Relay(echo.port, random.Random(1)) as relay:
        reader, writer = await connect(relay)
        assert await say(reader, writer, text) == text
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_delay_holds_bytes_back_in_order(echo: Echo) -> None:
    async with Relay(echo.port, random.Random(1)) as relay:
        relay.up.delay_s, relay.down.jitter_s = 0.1, 0.05
        reader, writer = await connect(relay)
        begun = time.monotonic()
        for index in range(50):
            writer.write(b"%04d" % index)
            await asyncio.sleep(0)
        found = await reader.readexactly(200)
        assert time.monotonic() - begun >= 0.1
        assert found == b"".join(b"%04d" % index for index in range(50))
        writer.close()


async def test_cut_resets_and_new_connections_are_taken(echo: Echo) -> None:
    async with Relay(echo.port, random.Random(1)) as relay:
        reader, writer = await connect(relay)
        await say(reader, writer, b"hello")
        assert relay.cut() == 1
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        reader, writer = await connect(relay)
        assert await say(reader, writer, b"again") == b"again"
        writer.close()


async def test_closed_relay_refuses_until_opened_on_the_same_port(echo: Echo) -> None:
    async with Relay(echo.port, random.Random(1)) as relay:
        port = relay.port
        await relay.close()
        with pytest.raises(ConnectionError):
            await connect(relay)
        await relay.open()
        assert relay.port == port
        reader, writer = await connect(relay)
        assert await say(reader, writer, b"back") == b"back"
        writer.close()


async def test_blackhole_swallows_one_way_and_cuts_what_lost_bytes(echo: Echo) -> None:
    async with Relay(echo.port, random.Random(1)) as relay:
        reader, writer = await connect(relay)
        idle_reader, idle_writer = await connect(relay)
        await say(reader, writer, b"before")
        await say(idle_reader, idle_writer, b"before")
        relay.blackhole("down", on=True)
        with pytest.raises(TimeoutError):
            await say(reader, writer, b"lost on the way back", wait_s=0.1)
        assert echo.received == 12 + 20
        assert relay.down.swallowed_bytes == 20
        relay.blackhole("down", on=False)
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        assert await say(idle_reader, idle_writer, b"untouched") == b"untouched"
        idle_writer.close()


async def test_cut_chance_is_the_same_with_the_same_seed(echo: Echo) -> None:
    lasted = []
    for _ in range(2):
        async with Relay(echo.port, random.Random(7)) as relay:
            relay.up.cut_chance = 0.1
            reader, writer = await connect(relay)
            lasted.append(await count_echoes(reader, writer))
            writer.close()
    assert lasted[0] == lasted[1] < 200


async def test_server_that_is_away_ends_the_connection(echo: Echo) -> None:
    async with Relay(1, random.Random(1)) as relay:
        reader, writer = await connect(relay)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
    assert echo.received == 0
