"""What holds for every request: bounds on its body; for every answer: security headers."""

import asyncio
from collections.abc import Mapping, Sequence

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.api.problems import problem
from protocols.errors import RefuseInput
from protocols.handheld import PHOTO_BYTES_MAX

BODY_BYTES_MAX = 64 * 1024
CONFIG_BYTES_MAX = 512 * 1024
"""A site file with its data files; what is signed in the end has a bound of its own."""
RECORDS_BYTES_MAX = 512 * 1024
"""A batch of a handheld, with its punctuation."""
CAPTURE_BYTES_MAX = 32 * 1024 * 1024
"""A document of events."""
IMPORT_BYTES_MAX = 16 * 1024 * 1024
"""A file of cylinders."""
PHOTOS = "/api/v1/handheld/photos/"
PARTNER_EVENTS = "/api/v1/partner-events/"
PARTNER_EVENTS_BYTES_MAX = 4 * 1024 * 1024
"""What a subscription at a partner brings; who is told that it is too large sends less."""
PLATFORMS = "/api/v1/platforms/"
PLATFORM_BYTES_MAX = 1024 * 1024
"""Of 500 items of lifts."""
HEADERS_MAX, HEADER_BYTES_MAX = 100, 64 * 1024
BODY_S = 30.0
CAPTURE_S = 120.0
"""So long a body may take to arrive, and a document of events or a file of cylinders."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
HAND = "/hand"
HAND_HEADERS = {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"]
    + "; worker-src 'self'; manifest-src 'self'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(self)",
}
"""Of the page for phones, which reads codes by the camera and keeps itself for days offline."""
RESCUE = "/rescue"
"""Pages below it may have a map."""
HSTS = "max-age=31536000"


class BodyLimit:
    """Refuses a body that is too large (413), whether announced or not, too slow (408), or packed.

    A packed one (415) is not unpacked to see how large it is. Headers are bounded, too (431).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counted body; a WebSocket has none."""
        if scope["type"] in ("http", "websocket") and _too_many(scope["headers"]):
            expected = f"at most {HEADERS_MAX} headers of {HEADER_BYTES_MAX} bytes together"
            await problem(431, "too_large", expected)(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, within_s = _bounds(scope["path"])
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced[:20]) > most:
            await problem(413, "too_large", _bound(most))(scope, receive, send)
            return
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            await problem(415, "packed", "send the body as it is")(scope, receive, send)
            return
        try:
            await self._app(scope, _bounded(receive, most, within_s), send)
        except ClientDisconnect:
            return  # in the middle of its body: there is nobody to answer


class SecurityHeaders:
    """Adds the headers above; nothing but static files may be kept by a cache."""

    def __init__(self, app: ASGIApp, *, map_sources: Sequence[str] = ()) -> None:
        """Build it; `map_sources`: origins from which the map of the rescue pages may load."""
        self._app, self._map = app, {"Content-Security-Policy": map_policy(map_sources)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the answer on with its headers."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                more = self._more(scope["path"])
                for name, value in {**HEADERS, **more}.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                if scope.get("scheme") in ("https", "wss"):
                    headers["Strict-Transport-Security"] = HSTS
            await send(message)

        await self._app(scope, receive, with_headers)

    def _more(self, path: str) -> Mapping[str, str]:
        """Return what else holds for a path, or otherwise."""
        if path == HAND:
            return HAND_HEADERS
        return self._map if path == RESCUE or path.startswith(f"{RESCUE}/") else {}


def map_policy(sources: Sequence[str]) -> str:
    """Return the policy of a page with a map: its worker is ours, tiles come from `sources`."""
    plain = HEADERS["Content-Security-Policy"]
    more = "".join(f" {source}" for source in sources)
    plain = plain.replace("connect-src 'self'", f"connect-src 'self'{more}")
    plain = plain.replace("img-src 'self' data:", f"img-src 'self' data: blob:{more}")
    return f"{plain}; worker-src 'self'"


def _too_many(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    taken = sum(len(name) + len(value) for name, value in headers)
    return len(headers) > HEADERS_MAX or taken > HEADER_BYTES_MAX


def _bounds(path: str) -> tuple[int, float]:
    """Return how large a body may be, and how long it may take."""
    if path in ("/epcis/capture", "/epcis/events"):
        return CAPTURE_BYTES_MAX, CAPTURE_S
    if path == "/api/v1/cylinder-imports":
        return IMPORT_BYTES_MAX, CAPTURE_S
    if path.startswith(PHOTOS):
        return PHOTO_BYTES_MAX, CAPTURE_S
    if path.startswith(PARTNER_EVENTS):
        return PARTNER_EVENTS_BYTES_MAX, BODY_S
    if path == "/api/v1/handheld/records":
        return RECORDS_BYTES_MAX, BODY_S
    if path.startswith(PLATFORMS):
        return PLATFORM_BYTES_MAX, BODY_S
    return CONFIG_BYTES_MAX if path.endswith("/config") else BODY_BYTES_MAX, BODY_S


def _bounded(receive: Receive, most: int, within_s: float) -> Receive:
    taken, whole = 0, False
    deadline = asyncio.get_running_loop().time() + within_s

    async def counted() -> Message:
        nonlocal taken, whole
        if whole:  # what comes now is the end of the connection: a stream waits for it
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise RefuseInput("too_slow", f"a body arrives within {within_s:g} s") from None
        taken += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if taken > most:
            raise RefuseInput("too_large", _bound(most))
        return message

    return counted


def _bound(most: int) -> str:
    return f"a body has at most {most} bytes"
