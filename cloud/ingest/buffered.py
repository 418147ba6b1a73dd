"""A paho client that reads the socket in large pieces.

paho asks the kernel for one byte, then for each byte of the length, then for the body: four calls
a message, and at each of them Python may hand the interpreter to another thread and get it back
milliseconds later. `_sock_recv` is paho's own and not public: a test holds it to what is used here.
"""

import paho.mqtt.client as mqtt

PIECE_BYTES = 64 * 1024


class BufferedClient(mqtt.Client):
    """As its base; `unread` tells what was taken from the socket and not handled yet."""

    _piece = b""
    _at = 0

    def unread(self) -> bool:
        """Tell whether `loop_read` would find something without the socket."""
        return self._at < len(self._piece)

    def forget_unread(self) -> None:
        """Forget what an ended connection left."""
        self._piece, self._at = b"", 0

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._piece):
            self._piece, self._at = super()._sock_recv(PIECE_BYTES), 0
        start, self._at = self._at, min(self._at + bufsize, len(self._piece))
        return self._piece[start : self._at]
