"""Cookies behind TLS: under names that no other host and no plain connection can set."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OURS = b"suyuan_"
PREFIX = b"__Host-"
"""A browser takes such a cookie only by https, for a whole host and no other (RFC 6265bis)."""


class HostCookies:
    """Gives our cookies the prefix on their way out, and takes only those that come back with it.

    Inside, they have their plain names; so a cookie that a neighbouring host tossed, or a plain
    connection before, is nobody's.
    """

    def __init__(self, app: ASGIApp, *, base_url: str) -> None:
        self._app, self._behind_tls = app, base_url.startswith("https:")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, in plain HTTP as it is."""
        by_tls = self._behind_tls or scope.get("scheme") in ("https", "wss")
        if scope["type"] not in ("http", "websocket") or not by_tls:
            await self._app(scope, receive, send)
            return

        async def prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, _out(name, value)) for name, value in message["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        headers = [(name, _in(name, value)) for name, value in scope["headers"]]
        await self._app({**scope, "headers": headers}, receive, prefixed)


def _in(name: bytes, value: bytes) -> bytes:
    if name != b"cookie":
        return value
    cookies = [one.strip() for one in value.split(b";")]
    kept = [one.removeprefix(PREFIX) for one in cookies if not one.startswith(OURS)]
    return b"; ".join(kept)


def _out(name: bytes, value: bytes) -> bytes:
    if name.lower() != b"set-cookie" or not value.startswith(OURS):
        return value
    secure = b"" if b"; secure" in value.lower() else b"; Secure"
    return PREFIX + value + secure
