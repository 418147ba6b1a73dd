"""Calling out: one exchange, its redirects followed one by one."""

import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import httpx

from cloud.outbound.base import Answer
from cloud.outbound.policy import Policy, check_text
from cloud.outbound.transport import GuardedTransport, Resolve, look_up
from protocols.errors import RefuseInput, RetryLater

REDIRECTS_MAX = 3


class Caller:
    """What `cloud.outbound.base.Outbound` says."""

    def __init__(
        self,
        policy: Policy,
        *,
        timeout_s: float,
        answer_bytes_max: int,
        ca_file: Path | None = None,
        resolve: Resolve = look_up,
    ) -> None:
        """Prepare to call out.

        Args:
            policy: where to.
            timeout_s: for each exchange, from the look-up to the last byte.
            answer_bytes_max: of a body.
            ca_file: authorities of the site's own, believed beside the system's.
            resolve: looks names up.

        """
        self._timeout_s = timeout_s
        self.transport = GuardedTransport(
            policy,
            tls=_trust(ca_file),
            timeout_s=timeout_s,
            answer_bytes_max=answer_bytes_max,
            resolve=resolve,
        )

    async def check(self, url: str) -> None:
        """Look up where an address leads; see `Outbound`."""
        await self.transport.check(check_text(url))

    async def locate(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host that may be called by another protocol than HTTP.

        Raises:
            RefuseInput: `bad_address`.
            RetryLater: its name is not found now.

        """
        return await self.transport.locate(host, port)

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] = {},
        content: bytes | None = None,
        follow: bool = True,
    ) -> Answer:
        """Return the answer, of whatever status; see `Outbound`."""
        client = httpx.AsyncClient(
            transport=self.transport, trust_env=False, timeout=self._timeout_s
        )
        request = client.build_request(method, check_text(url), headers=headers, content=content)
        for _ in range(REDIRECTS_MAX + 1):
            response = await _send(client, request)
            following = response.next_request
            if following is None or method != "GET" or not follow:
                lower = {name.lower(): value for name, value in response.headers.items()}
                return Answer(status=response.status_code, headers=lower, body=response.content)
            if (request.url.scheme, following.url.scheme) == ("https", "http"):
                raise RefuseInput("bad_answer", "a redirect leads from https to http")
            request = following
        raise RefuseInput("bad_answer", f"more than {REDIRECTS_MAX} redirects")


@lru_cache(maxsize=8)
def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """Return whom to believe, read once: the system's list alone takes 60 ms of a processor."""
    tls = ssl.create_default_context()
    if ca_file is not None:
        tls.load_verify_locations(ca_file)
    return tls


async def _send(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    try:
        return await client.send(request)
    except httpx.HTTPError as error:
        raise RetryLater(f"{request.url.host}: {type(error).__name__}") from error
    except UnicodeError as error:
        raise RefuseInput("bad_answer", "a redirect leads to no name") from error
