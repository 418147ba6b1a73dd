"""Asks the service over HTTP. The transport is not trusted: the messages prove themselves."""

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from protocols.errors import RefuseInput, RetryLater

TIMEOUT_S = 20.0
ANSWER_BYTES_MAX = 64 * 1024


class Reply(NamedTuple):
    """A body, and the header that proves it; empty when there was none."""

    body: bytes
    proof: str


Ask = Callable[[str, bytes, str], Reply]
"""(url, JSON body, name of the header that proves the answer)."""


def ask(url: str, body: bytes, proof_header: str) -> Reply:
    """Post JSON and return the answer; see `exchange`."""
    request = urllib.request.Request(  # noqa: S310  # http and https only, see check_server
        url, data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    return exchange(request, proof_header)


def exchange(request: urllib.request.Request, proof_header: str = "") -> Reply:
    """Send a request and return the answer.

    The server's TLS certificate is not looked at: it proves nothing that the answer's proof does
    not, and cannot be judged with a clock in 1970.

    Raises:
        RefuseInput: the service's own reason, such as `bad_code`.
        RetryLater: no answer, or none that could be understood.

    """
    context = ssl._create_unverified_context()  # noqa: S323, SLF001  # as the docstring says
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), _NoRedirect()
    )
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return Reply(answer.read(ANSWER_BYTES_MAX), answer.headers.get(proof_header, ""))
    except urllib.error.HTTPError as error:
        with error:
            if 300 <= error.code < 400:
                where = error.headers.get("Location", "elsewhere")[:200]
                raise RefuseInput("bad_server", f"the service is at {where}") from None
            raise _reason(error.code, error.read(ANSWER_BYTES_MAX)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise RetryLater(f"{request.full_url}: {why}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, without its body."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow none."""


def check_server(url: str) -> str:
    """Return the URL of a server without its last slash.

    Raises:
        RefuseInput: `bad_server`.

    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or any(mark in url for mark in ' "\\\n?#'):
        raise RefuseInput("bad_server", f"expected https://HOST or http://HOST:PORT, found {url!r}")
    return url.rstrip("/")


def _reason(status: int, body: bytes) -> RefuseInput | RetryLater:
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = {}
    reason = str(found.get("type", "")).removeprefix("urn:suyuan:problem:")[:40]
    detail = str(found.get("detail", ""))[:300]
    if status in (429, 503) or status >= 500 or not reason:
        return RetryLater(f"the service answered {status} {reason} {detail}".rstrip())
    return RefuseInput(reason, detail)
