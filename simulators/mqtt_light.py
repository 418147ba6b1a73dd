"""The little of MQTT 3.1.1 that a fleet needs: publish at QoS 1, receive at QoS 0, on asyncio.

A fleet that shares two cores with the service must cost next to nothing; no library does.
"""

import asyncio
from collections.abc import Callable
from typing import cast

CONNECT_TIMEOUT_S = 10.0


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


class LightClient(asyncio.Protocol):
    """One connection.

    Args:
        client_id: its name at the broker.
        on_message: (topic, payload) of what is subscribed.
        on_puback: called with the number of each PUBACK.
        on_lost: called when the connection has ended, unless `close` ended it.

    """

    def __init__(
        self,
        client_id: str,
        *,
        on_message: Callable[[str, bytes], None] = lambda _t, _p: None,
        on_puback: Callable[[int], None] = lambda _n: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._id, self._on_message, self._on_puback = client_id, on_message, on_puback
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: asyncio.Future[int] | None = None
        self._number = 0
        self.pubacks = 0
        self.paused = False
        """True: the broker takes no more for now."""

    async def connect(self, port: int, *, host: str = "127.0.0.1", keepalive_s: int = 600) -> None:
        """Connect with a clean session."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, host, port)
        body = _text(b"MQTT") + b"\x04\x02" + keepalive_s.to_bytes(2, "big")
        await self._ask(b"\x10", body + _text(self._id.encode()))

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 0."""
        await self._ask(b"\x82", b"\x00\x01" + _text(topic_filter.encode()) + b"\x00")

    def publish(self, topic: bytes, payload: bytes, *, retain: bool = False) -> int:
        """Publish at QoS 1; return the number that its PUBACK will name."""
        self._number = self._number % 65_535 + 1
        head = b"\x33" if retain else b"\x32"
        size = 4 + len(topic) + len(payload)
        self._write(
            b"%b%b%b%b%b%b"
            % (
                head,
                _length(size),
                len(topic).to_bytes(2, "big"),
                topic,
                self._number.to_bytes(2, "big"),
                payload,
            )
        )
        return self._number

    def close(self) -> None:
        """Send DISCONNECT and close."""
        self._on_lost = lambda: None
        if self._transport is not None:
            self._transport.write(b"\xe0\x00")
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed by the broker"))
        self._on_lost()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.paused = False

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        buffer = self._buffer
        buffer += data
        at, end = 0, len(buffer)
        while end - at >= 2:
            size, shift, start = 0, 0, at + 1
            while start < end:
                byte = buffer[start]
                size |= (byte & 0x7F) << shift
                start, shift = start + 1, shift + 7
                if byte < 0x80:
                    break
            else:
                break
            if start + size > end:
                break
            self._take(buffer[at], buffer, start, start + size)
            at = start + size
        del buffer[:at]

    def _take(self, head: int, buffer: bytearray, start: int, end: int) -> None:
        kind = head & 0xF0
        if kind == 0x40:
            self.pubacks += 1
            self._on_puback(int.from_bytes(buffer[start:end], "big"))
        elif kind == 0x30:
            middle = start + 2 + int.from_bytes(buffer[start : start + 2], "big")
            topic = buffer[start + 2 : middle].decode()
            if head & 0x06:
                self._write(b"\x40\x02" + bytes(buffer[middle : middle + 2]))
                middle += 2
            self._on_message(topic, bytes(buffer[middle:end]))
        elif kind in (0x20, 0x90) and self._answer is not None:  # CONNACK, SUBACK
            self._answer.set_result(buffer[end - 1])

    def _write(self, data: bytes) -> None:
        if self._transport is None:
            raise ConnectionError("not connected")
        self._transport.write(data)

    async def _ask(self, head: bytes, body: bytes) -> None:
        self._answer = asyncio.get_running_loop().create_future()
        self._write(head + _length(len(body)) + body)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            code = await self._answer
        self._answer = None
        if code not in (0, 1):
            raise ConnectionError(f"refused by the broker: {code}")
