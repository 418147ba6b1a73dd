"""The WebSocket's own end of a connection: RFC 6455 by `websockets`, limits by us."""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

PART_S = 5.0
"""So long after the end a client may take to read what was said last."""
NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class PatientSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose patience with a client that does not read ends.

    uvicorn waits for such a client without end, also when the connection is to be closed, for a
    transport that closes sends first what it holds.
    """

    _timer: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, send_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._send_s = send_s

    def data_received(self, data: bytes) -> None:
        """Take bytes; what the library does not take for a handshake is refused."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(NO_HANDSHAKE)
            self.transport.close()

    def pause_writing(self) -> None:
        """Wait for a client that reads too slowly, and read nothing from it meanwhile.

        Each ping is answered at once: one that asks and does not read would fill the memory.
        """
        super().pause_writing()
        self.transport.pause_reading()
        self._timer = self.loop.call_later(self._send_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._stop_waiting()
        if not self.read_paused:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """Leave a client that does not answer."""
        super().keepalive_timeout()
        self._part()

    async def run_asgi(self) -> None:
        """Serve, and see to it that the connection ends afterwards."""
        await super().run_asgi()
        self._part()

    async def send(self, message: Any) -> None:
        """Send; an answer in plain HTTP ends the handshake, too, which uvicorn overlooks."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def _part(self) -> None:
        self.loop.call_later(PART_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
