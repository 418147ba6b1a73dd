"""The service over HTTPS: what is asked, and what the answers mean to a handheld."""

from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Raw, Struct

from edge.handheld.session import Issued
from protocols.clock import parse_time
from protocols.errors import RefuseInput, RetryLater
from protocols.handheld import Answer, Batch, Contact

TIMEOUT_S = 20.0
ANSWER_BYTES_MAX = 32 * 1024 * 1024
LOOPBACK = ("127.0.0.1", "::1", "localhost")
T = TypeVar("T")


class _Problem(Struct):
    type: str = ""
    detail: str = ""


class _Told(Struct):
    id: str
    token: str
    renew_at: str
    offline_grace_s: int


class Link:
    """One service. Raises RetryLater for whatever may go away by itself.

    RefuseInput has the service's own word as its reason, such as `device_revoked`, `no_token`.
    """

    def __init__(self, server: str, client: httpx.AsyncClient) -> None:
        self._server, self._client = server.rstrip("/"), client

    async def redeem(self, code: str, name: str) -> Issued:
        """Turn a one-time code into a person's token on this device; RefuseInput `bad_code`."""
        body = {"code": code, "name": name}
        return _issued(await self._ask("POST", "/api/v1/devices", json=body))

    async def renew(self, token: str) -> Issued:
        """Fetch the next token; the one before holds until the next was used."""
        return _issued(await self._ask("POST", "/api/v1/devices/renew", token))

    async def contact(self, token: str) -> Contact:
        """Ask who we are, and what time it is."""
        return _read(await self._ask("GET", "/api/v1/handheld", token), Contact)

    async def send(self, token: str, store: str, records: list[bytes]) -> Answer:
        """Send records; each is settled by itself."""
        batch = Batch(store=store, records=tuple(map(Raw, records)))
        content = msgspec.json.encode(batch)
        answer = await self._ask("POST", "/api/v1/handheld/records", token, content=content)
        return _read(answer, Answer)

    async def send_photo(self, token: str, sha256: str, raw: bytes) -> None:
        """Send a photo that a record names; sent again it counts once."""
        await self._ask("PUT", f"/api/v1/handheld/photos/{sha256}", token, content=raw)

    async def fetch(self, token: str, path: str, etag: str = "") -> tuple[bytes, str] | None:
        """Fetch a document; None when it is still the one of this entity tag."""
        headers = {"If-None-Match": etag} if etag else {}
        answer = await self._ask("GET", path, token, headers=headers)
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            return None
        if len(answer.content) > ANSWER_BYTES_MAX:
            raise RefuseInput("too_large", path)
        return answer.content, answer.headers.get("etag", "")

    def url(self, path: str) -> str:
        """Return the address of a path of the service."""
        return self._server + path

    async def _ask(
        self, method: str, path: str, token: str = "", *, headers: Any = None, **more: Any
    ) -> httpx.Response:
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer = await self._client.request(
                method, self._server + path, headers=headers, timeout=TIMEOUT_S, **more
            )
        except httpx.TransportError as error:
            raise RetryLater(f"{self._server}: {error or type(error).__name__}") from None
        status = answer.status_code
        if status < httpx.codes.BAD_REQUEST:
            return answer
        problem = _problem(answer)
        if status in (408, 429) or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise RetryLater(f"{self._server}: {status} {problem.detail[:200]}")
        reason = problem.type.rpartition(":")[2]
        raise RefuseInput(reason or f"http_{status}", problem.detail[:200])


def check_server(url: str) -> str:
    """Return the address of a service that a token may be sent to; RefuseInput `bad_url`."""
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not safe or not parts.hostname or parts.query or parts.fragment:
        raise RefuseInput("bad_url", f"expected https://HOST[:PORT], found {url[:80]!r}")
    return url


def _read(answer: httpx.Response, type_: type[T]) -> T:
    """Read an answer; what is none, such as the page of a hotel's Wi-Fi, may go away by itself."""
    try:
        return msgspec.json.decode(answer.content, type=type_)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RetryLater(f"not an answer of the service: {str(error)[:200]}") from None


def _problem(answer: httpx.Response) -> _Problem:
    try:
        return msgspec.json.decode(answer.content, type=_Problem)
    except (msgspec.DecodeError, RecursionError):
        return _Problem(detail=answer.reason_phrase)


def _issued(answer: httpx.Response) -> Issued:
    told = _read(answer, _Told)
    return msgspec.convert(
        {
            "id": told.id,
            "token": told.token,
            "renew_at": parse_time(told.renew_at),
            "offline_grace_s": told.offline_grace_s,
        },
        Issued,
    )
