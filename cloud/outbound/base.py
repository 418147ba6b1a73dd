"""What other parts need of calling out."""

from collections.abc import Mapping
from typing import Protocol

import httpx
import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the other side said, whole."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Outbound(Protocol):
    """Calls out, only to where it is allowed, and for no longer and no more than is allowed."""

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """For a library that brings its own httpx client; it follows no redirect by itself."""
        ...

    async def check(self, url: str) -> None:
        """Refuse an address that may not be called; nothing is sent there.

        Raises:
            RefuseInput: `bad_address`.
            RetryLater: its name is not found now.

        """
        ...

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] = {},
        content: bytes | None = None,
        follow: bool = True,
    ) -> Answer:
        """Return the answer, of whatever status; a GET follows up to three redirects.

        Args:
            url: where to.
            method: of HTTP.
            headers: whatever they say goes along a redirect, but for `Authorization` elsewhere.
            content: the body.
            follow: whether a GET follows.

        Raises:
            RefuseInput: `bad_address`: not where one may call; `bad_answer`: too large, packed,
                or a redirect too many.
            RetryLater: nobody there, or not in time.

        """
        ...


class Mail(Protocol):
    """Sends mail through the site's server."""

    async def send(self, to: str, subject: str, text: str, *, message_id: str) -> None:
        """Send one mail; returns when the server has taken it.

        Raises:
            RefuseInput: `bad_address`: the server will never take it.
            RetryLater: it is away, or would rather have it later.

        """
        ...
