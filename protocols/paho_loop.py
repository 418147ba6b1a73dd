"""Drives a paho client on the asyncio loop: no thread of its own, no busy loop.

The client comes in as an argument, so that this module needs no MQTT library.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from protocols.errors import RetryLater

MISC_INTERVAL_S = 1.0
CLOSE_WAIT_S = 1.0
READS_MAX = 4
"""So many packets are taken before other work of the process gets its turn. Few: what is read
must be judged as well, and at the limit what is read faster only waits longer."""


class PahoClient(Protocol):
    """The part of `paho.mqtt.client.Client` that is used here."""

    on_socket_register_write: Any
    on_socket_unregister_write: Any
    on_socket_close: Any

    def connect(self, host: str, port: int, keepalive: int) -> Any:
        """Open the connection and send CONNECT; blocks for name look-up, TCP and TLS."""
        ...

    def disconnect(self) -> Any:
        """Send DISCONNECT."""
        ...

    def socket(self) -> Any:
        """Return the socket, None when not connected."""
        ...

    def loop_read(self) -> Any:
        """Take what the socket has."""
        ...

    def loop_write(self) -> Any:
        """Send what waits."""
        ...

    def loop_misc(self) -> Any:
        """Keep the connection alive."""
        ...

    def want_write(self) -> bool:
        """Tell whether something waits to be sent."""
        ...


class PahoLoop:
    """One client on one loop; connect, lose and connect again as often as needed.

    `on_lost` is called with a reason, once for each connection that ended without `disconnect`.
    `unread` tells whether the client itself holds bytes that it has not handled.
    """

    def __init__(
        self,
        client: PahoClient,
        *,
        host: str,
        port: int,
        keepalive_s: int = 30,
        on_lost: Callable[[str], None],
        unread: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._host, self._port, self._keepalive_s = host, port, keepalive_s
        self._on_lost, self._unread = on_lost, unread
        self._socket: Any = None
        self._leaving = False
        self._writing = False
        """The loop watches for room to write."""
        self._write_asked = False
        self._misc: asyncio.TimerHandle | None = None
        client.on_socket_register_write = self._wants_write
        client.on_socket_unregister_write = self._wants_no_write
        client.on_socket_close = self._closing

    async def connect(self) -> None:
        """Connect; CONNACK arrives later, by the client's `on_connect`.

        Raises:
            RetryLater: no route, refused, TLS trouble; the connection is closed again.

        """
        self._drop()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(
                None, self._client.connect, self._host, self._port, self._keepalive_s
            )
        except (OSError, ValueError) as error:  # ValueError: TLS certificate or host name
            raise RetryLater(f"{self._host}:{self._port}: {error}") from error
        self._socket = self._client.socket()
        if self._socket is None:
            raise RetryLater(f"{self._host}:{self._port}: closed while connecting")
        with suppress(OSError):  # no TCP option on a local socket
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.add_reader(self._socket, self._readable)
        self._wants_write(self._client, None, self._socket)
        self._misc = loop.call_later(MISC_INTERVAL_S, self._keep_alive)

    async def disconnect(self) -> None:
        """Send DISCONNECT, so that the broker keeps the Will to itself, and close."""
        if self._socket is None:
            return
        self._leaving = True
        self._client.disconnect()
        deadline = asyncio.get_running_loop().time() + CLOSE_WAIT_S
        while self._client.want_write() and asyncio.get_running_loop().time() < deadline:
            self._client.loop_write()
            await asyncio.sleep(0.01)
        self._drop()
        self._leaving = False

    def _readable(self) -> None:
        self._client.loop_read()
        for _ in range(READS_MAX):
            if not self._undelivered():
                break
            self._client.loop_read()
        else:
            asyncio.get_running_loop().call_soon(self._read_on)
        self._check("connection closed by the broker")

    def _read_on(self) -> None:
        if self._undelivered():
            self._readable()

    def _undelivered(self) -> bool:
        """Tell whether more was taken from the kernel: no selector would tell of that."""
        sock = self._client.socket()
        if sock is None or sock is not self._socket:
            return False
        return self._unread() or getattr(sock, "pending", int)() > 0

    def _writable(self) -> None:
        self._client.loop_write()
        self._check("connection closed while writing")

    def _keep_alive(self) -> None:
        self._client.loop_misc()
        self._misc = asyncio.get_running_loop().call_later(MISC_INTERVAL_S, self._keep_alive)
        self._check("the broker did not answer in time")

    def _check(self, reason: str) -> None:
        if self._socket is not None and self._client.socket() is not self._socket:
            self._drop()
            if not self._leaving:
                self._on_lost(reason)

    def _wants_write(self, _client: Any, _userdata: Any, _sock: Any) -> None:
        """Send all that this turn of the loop has to say at its end, in one go."""
        if self._socket is not None and not self._write_asked:
            self._write_asked = True
            asyncio.get_running_loop().call_soon(self._write_now)

    def _write_now(self) -> None:
        """Nearly always the socket has room: the kernel is asked for it only when it has none."""
        self._write_asked = False
        if self._socket is None or self._writing:
            return
        self._writable()
        if self._socket is not None and self._client.want_write():
            self._writing = True
            asyncio.get_running_loop().add_writer(self._socket, self._writable)

    def _wants_no_write(self, _client: Any, _userdata: Any, sock: Any) -> None:
        if self._writing and sock is self._socket and sock is not None:
            self._writing = False
            asyncio.get_running_loop().remove_writer(sock)

    def _closing(self, _client: Any, _userdata: Any, sock: Any) -> None:
        """Take the socket off the loop while its number is still its own."""
        if sock is self._socket and sock is not None:
            self._writing = False
            asyncio.get_running_loop().remove_reader(sock)
            asyncio.get_running_loop().remove_writer(sock)

    def _drop(self) -> None:
        if self._misc is not None:
            self._misc.cancel()
            self._misc = None
        sock, self._socket, self._writing = self._socket, None, False
        if sock is not None and sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(sock)
            asyncio.get_running_loop().remove_writer(sock)
