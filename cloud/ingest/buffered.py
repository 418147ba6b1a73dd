"""A paho client that reads and writes the socket in large pieces.

paho asks the kernel for one byte, then for each byte of the length, then for the body, and sends
each packet by itself: five calls a message and one an ack, and at each of them Python may hand the
interpreter to another thread and get it back milliseconds later. `_sock_recv`, `_sock_send` and
`_packet_write` are paho's own and not public: a test holds them to what is used here.
"""

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MessageType, MQTTErrorCode

PIECE_BYTES = 64 * 1024


class BufferedClient(mqtt.Client):
    """As its base; `unread` tells what was taken from the socket and not handled yet."""

    _piece = b""
    _at = 0
    _gathered: bytes = b""
    """Packets that go out as one piece."""

    def unread(self) -> bool:
        """Tell whether `loop_read` would find something without the socket."""
        return self._at < len(self._piece)

    def want_write(self) -> bool:
        """Tell whether something waits to be sent."""
        return bool(self._gathered) or super().want_write()

    def forget(self) -> None:
        """Forget what an ended connection left."""
        self._piece, self._at, self._gathered = b"", 0, b""

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._piece):
            self._piece, self._at = super()._sock_recv(PIECE_BYTES), 0
        start, self._at = self._at, min(self._at + bufsize, len(self._piece))
        return self._piece[start : self._at]

    def _sock_send(self, buf: bytes | bytearray) -> int:
        if len(self._gathered) > PIECE_BYTES:
            self._send_gathered()
        self._gathered += buf
        if buf[0] & 0xF0 == MessageType.DISCONNECT:  # the socket is closed after it
            self._send_gathered()
        return len(buf)

    def _packet_write(self) -> MQTTErrorCode:
        result = super()._packet_write()
        try:
            self._send_gathered()
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_AGAIN
        except OSError:
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        return result

    def _send_gathered(self) -> None:
        while self._gathered:
            self._gathered = self._gathered[super()._sock_send(self._gathered) :]
