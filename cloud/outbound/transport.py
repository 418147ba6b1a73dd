"""An httpx transport that connects to the very address it checked, bounded in size and time."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import httpx

from cloud.outbound.policy import Policy, check_addresses, check_host, check_url, port_of
from protocols.errors import RefuseInput, RetryLater

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> its addresses; OSError when there are none."""
ADDRESSES_MAX = 4
"""Of one name, tried one after the other."""


async def look_up(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class GuardedTransport(httpx.AsyncBaseTransport):
    """Checks each request anew, so a redirect passes through here again.

    The name is looked up once and the connection goes to what was found: a second look-up might
    lead elsewhere. No connection is kept, for one that was made for a name must not serve another
    at the same address. No proxy, no credential and no setting comes from the environment.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        tls: ssl.SSLContext,
        timeout_s: float,
        answer_bytes_max: int,
        resolve: Resolve = look_up,
    ) -> None:
        self._policy, self._resolve = policy, resolve
        self._timeout_s, self._bytes_max = timeout_s, answer_bytes_max
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry out one exchange.

        Raises:
            RefuseInput: `bad_address`, `bad_answer`.
            RetryLater: nobody there, or not in time.

        """
        host = check_url(self._policy, request.url)
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self._addresses(host, port_of(request.url))
                response = await self._connect(request, host, addresses)
        except TimeoutError:
            raise self._late(host) from None
        try:
            _check_head(response, self._bytes_max)
        except RefuseInput:
            await response.aclose()
            raise
        body = _Bounded(response.stream, self._bytes_max, deadline, self._late(host))
        return httpx.Response(response.status_code, headers=response.headers, stream=body)

    async def check(self, url: httpx.URL) -> None:
        """Look up where a URL leads, as before each exchange.

        Raises:
            RefuseInput: `bad_address`.
            RetryLater: its name is not found.

        """
        host = check_url(self._policy, url)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._addresses(host, port_of(url))
        except TimeoutError:
            raise self._late(host) from None

    async def locate(self, host: str, port: int) -> list[str]:
        """Look up where a host is, for a protocol other than HTTP, whatever its port.

        Raises:
            RefuseInput: `bad_address`.
            RetryLater: its name is not found.

        """
        name = check_host(host)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._addresses(name, port)
        except TimeoutError:
            raise self._late(name) from None

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = await self._resolve(host, port)
        except OSError:
            found = ()
        if not found:
            raise RetryLater(f"{host} is not found")
        return check_addresses(self._policy, host, found)

    async def _connect(
        self, request: httpx.Request, host: str, addresses: Sequence[str]
    ) -> httpx.Response:
        for address in addresses[:ADDRESSES_MAX]:
            try:
                return await self._inner.handle_async_request(_pinned(request, host, address))
            except httpx.ConnectError:
                continue
            except httpx.TransportError as error:
                raise RetryLater(f"{host}: {type(error).__name__}") from error
        raise RetryLater(f"{host} cannot be reached")

    def _late(self, host: str) -> RetryLater:
        return RetryLater(f"{host} did not answer within {self._timeout_s:g} s")


class _Bounded(httpx.AsyncByteStream):
    """A body of a bounded size that must have come by a deadline."""

    def __init__(
        self,
        stream: httpx.SyncByteStream | httpx.AsyncByteStream,
        most: int,
        deadline: float,
        late: RetryLater,
    ) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101  # of an async transport
        self._stream, self._most, self._deadline, self._late = stream, most, deadline, late

    async def __aiter__(self) -> AsyncIterator[bytes]:
        taken, parts = 0, aiter(self._stream)
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    part = await anext(parts, None)
            except TimeoutError:
                raise self._late from None
            if part is None:
                return
            taken += len(part)
            if taken > self._most:
                raise _too_large(self._most)
            yield part

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._stream.aclose()


def _pinned(request: httpx.Request, host: str, address: str) -> httpx.Request:
    """Return the request to an address; its Host header and its certificate stay the name's."""
    headers = request.headers.copy()
    headers["Accept-Encoding"] = "identity"
    extensions = dict(request.extensions)
    if host != address:
        extensions["sni_hostname"] = host
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=headers,
        stream=request.stream,
        extensions=extensions,
    )


def _check_head(response: httpx.Response, most: int) -> None:
    """Refuse what is packed, unasked: a few bytes of it may be gigabytes."""
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RefuseInput("bad_answer", "the answer is packed although that was not asked for")
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:20]) > most:
        raise _too_large(most)


def _too_large(most: int) -> RefuseInput:
    return RefuseInput("bad_answer", f"the answer has more than {most} bytes")
