"""The WebSocket's end of a connection: clients that do not read, do not answer, do not speak it."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from cloud.api.cookies import HostCookies
from cloud.api.server import HttpsOnly
from cloud.api.sockets import Sockets
from tests.support.sockets import closing, serve

WHERE = "/epcis/queries/q/events"
UPGRADE = (
    "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
MIB = "x" * 1024 * 1024


@dataclass
class Fountain:
    """An application that sends what it has, and then waits for the end."""

    messages: int
    text: str = MIB
    leaves: bool = False
    refuse: bool = False
    sent: int = 0
    open: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] == "lifespan":
            return
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"plain"})
            return
        if self.refuse:
            start = "websocket.http.response.start"
            await send({"type": start, "status": 418, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"no"})
            return
        await send({"type": "websocket.accept", "headers": []})
        self.open += 1
        try:
            for _ in range(self.messages):
                await send({"type": "websocket.send", "text": self.text})
                self.sent += 1
            while not self.leaves and (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self.open -= 1


@contextmanager
def heard() -> Iterator[list[str]]:
    """Give what the server writes into its log."""
    logger, lines = logging.getLogger("uvicorn.error"), list[str]()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


@asynccontextmanager
async def plain(port: int, *lines: str) -> AsyncIterator[socket.socket]:
    """Open a connection that takes little at a time, and begin with these lines."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(link, ("127.0.0.1", port))
    await loop.sock_sendall(link, "\r\n".join(lines).encode())
    try:
        yield link
    finally:
        link.close()


async def rest(link: socket.socket, within_s: float = 5) -> bytes:
    """Return all that comes until the end."""
    loop, found = asyncio.get_running_loop(), b""
    async with asyncio.timeout(within_s):
        with suppress(ConnectionError):
            while part := await loop.sock_recv(link, 65_536):
                found += part
    return found


async def until(check: Callable[[], object], within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not check():
            await asyncio.sleep(0.02)


async def test_client_that_does_not_read_is_cut_off_and_takes_little() -> None:
    app = Fountain(100)
    async with serve(app, Sockets(send_s=0.5)) as server:
        port = server.config.port
        async with plain(port, f"GET {WHERE} HTTP/1.1", UPGRADE, ""):
            await until(lambda: app.open)
            await until(lambda: not app.open)
            assert app.sent < 10
            await until(lambda: not server.server_state.connections)


@pytest.mark.parametrize(("leaves", "pong_s"), [(True, 60), (False, 0.2)])
async def test_client_that_does_not_read_keeps_no_connection_that_is_to_end(
    monkeypatch: pytest.MonkeyPatch, leaves: bool, pong_s: float
) -> None:
    monkeypatch.setattr("cloud.api.socket_protocol.PART_S", 0.3)
    app = Fountain(1, text=16 * MIB, leaves=leaves)
    async with (
        serve(app, Sockets(send_s=60, ping_s=0.2, pong_s=pong_s)) as server,
        plain(server.config.port, f"GET {WHERE} HTTP/1.1", UPGRADE, ""),
    ):
        await until(lambda: app.sent)
        await until(lambda: not server.server_state.connections)


async def test_client_that_does_not_answer_is_left() -> None:
    async with (
        serve(Fountain(0), Sockets(ping_s=0.2, pong_s=0.3)) as server,
        plain(server.config.port, f"GET {WHERE} HTTP/1.1", UPGRADE, "") as link,
    ):
        told = await rest(link)
        assert told.endswith((1011).to_bytes(2, "big") + b"keepalive ping timeout")


async def test_client_that_answers_stays() -> None:
    large = Fountain(1, text=16 * MIB)
    async with serve(large, Sockets(ping_s=0.1, pong_s=0.5, send_s=0.5)) as server:
        url = f"ws://127.0.0.1:{server.config.port}{WHERE}"
        async with connect(url, max_size=None, ping_interval=None) as link:
            assert await link.recv() == 16 * MIB
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await link.recv()


async def test_client_that_asks_and_does_not_read_fills_no_memory() -> None:
    app = Fountain(0)
    ping = b"\x89\xfd" + bytes(4) + bytes(125)
    async with (
        serve(app, Sockets(send_s=2)) as server,
        plain(server.config.port, f"GET {WHERE} HTTP/1.1", UPGRADE, "") as link,
    ):
        await until(lambda: app.open)
        [end] = server.server_state.connections
        with suppress(TimeoutError):
            for _ in range(1_000):
                async with asyncio.timeout(0.5):  # until it takes no more
                    await asyncio.get_running_loop().sock_sendall(link, ping * 1_000)
        assert 0 < end.transport.get_write_buffer_size() < 1024 * 1024
        await until(lambda: not app.open)


async def test_long_message_ends_it() -> None:
    async with serve(Fountain(0), Sockets(incoming_bytes=64)) as server:
        url = f"ws://127.0.0.1:{server.config.port}{WHERE}"
        for message in ("x" * 65, ["x" * 40, "x" * 40]):
            async with connect(url) as link:
                await link.send(message)
                assert (await closing(link))[0] == 1009


@pytest.mark.parametrize(
    "lines",
    [
        ("POST {} HTTP/1.1", UPGRADE + "Content-Length: 0\r\n"),
        ("GET /healthz HTTP/1.1", UPGRADE),
        ("GET {}/more HTTP/1.1", UPGRADE),
        ("GET /epcis/queries/a/b/events HTTP/1.1", UPGRADE),
        ("GET {} HTTP/1.1", UPGRADE.replace("websocket", "h2c")),
    ],
    ids=str,
)
async def test_elsewhere_no_upgrade_is_heard(lines: tuple[str, str]) -> None:
    async with serve(Fountain(0)) as server:
        request = [line.format(WHERE) for line in lines]
        async with plain(server.config.port, *request, "") as link:
            loop = asyncio.get_running_loop()
            assert (await loop.sock_recv(link, 1_000)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "head",
    [
        UPGRADE.replace("13", "8"),
        UPGRADE.replace("AAAA==", "=="),
        UPGRADE.replace("Sec-WebSocket-Key", "Key"),
        UPGRADE + "Content-Length: 3\r\n",
        UPGRADE + f"A: {'x' * 9_000}\r\n",
        UPGRADE + "A: b\r\n" * 200,
    ],
    ids=lambda head: head[-60:],
)
async def test_what_is_no_handshake_is_refused_and_its_connection_ends(head: str) -> None:
    async with serve(Fountain(0)) as server:
        async with plain(server.config.port, f"GET {WHERE} HTTP/1.1", head, "abc") as link:
            answer = await rest(link)
        assert answer.startswith(b"HTTP/1.1 4")
        assert answer.count(b"HTTP/1.1 ") == 1
        await until(lambda: not server.server_state.connections)


async def test_answer_in_plain_leaves_no_word_in_the_log() -> None:
    async with serve(Fountain(0, refuse=True)) as server:
        with heard() as lines:
            with pytest.raises(InvalidStatus, match="418"):
                async with connect(f"ws://127.0.0.1:{server.config.port}{WHERE}"):
                    pass
            await asyncio.sleep(0.1)
    assert lines == []


async def test_plain_port_opens_none() -> None:
    async with serve(HttpsOnly("https://trace.example.com")) as server:
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(f"ws://127.0.0.1:{server.config.port}{WHERE}"):
                pass


async def test_cookies_behind_tls_come_with_the_prefix_alone() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    async def none(*_: object) -> None:
        return None

    for base_url, scheme in (("https://a", "ws"), ("", "wss"), ("", "ws")):
        cookies = [(b"cookie", b"__Host-suyuan_session=a; suyuan_session=b")]
        scope = {"type": "websocket", "scheme": scheme, "headers": cookies}
        await HostCookies(app, base_url=base_url)(scope, none, none)  # type: ignore[arg-type]
    found = [dict(one["headers"])[b"cookie"] for one in seen]
    assert found == [b"suyuan_session=a"] * 2 + [cookies[0][1]]


async def test_patience_with_a_head_ends_with_the_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.api.server.HEAD_S", 0.3)
    async with serve(Fountain(0)) as server:
        async with connect(f"ws://127.0.0.1:{server.config.port}{WHERE}") as link:
            await asyncio.sleep(0.6)
            await (await link.ping())
        async with plain(server.config.port, f"GET {WHERE} HTTP/1.1", "Host: a") as slow:
            assert await rest(slow) == b""
