"""A relay between gateway and broker that loses acknowledgements, and nothing else, when told to.

It reads MQTT packets on the way down and leaves out PUBLISH packets to `…/down/ack`; these travel
at QoS 0, so neither side can notice.
"""

import asyncio
import threading

from tests.support.mosquitto import free_port

PUBLISH = 3


class AckRelay:
    """Listens on `port`; runs on a thread of its own."""

    def __init__(self, broker_port: int) -> None:
        self.port, self._broker_port = free_port(), broker_port
        self.deaf = False
        """True: acks are lost."""
        self.lost = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        serve = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        asyncio.run_coroutine_threadsafe(serve, self._loop).result(5)

    def stop(self) -> None:
        """Cut everything."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            writer.close()
            return
        ways = [self._raw(reader, up_writer), self._packets(up_reader, writer)]
        tasks = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        writer.close()
        up_writer.close()

    async def _raw(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async def _packets(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                packet = await _read_packet(reader)
                if self.deaf and packet[0] >> 4 == PUBLISH and b"/down/ack" in packet[:200]:
                    self.lost += 1
                    continue
                writer.write(packet)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            return


async def _read_packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(1)
    length, shift = 0, 0
    while True:
        byte = await reader.readexactly(1)
        head += byte
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            return head + await reader.readexactly(length)
