"""How the application is served: limits of the connection itself, and TLS."""

import asyncio
import logging
import re
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from cloud.api.socket_protocol import PatientSocket
from cloud.api.sockets import Sockets
from protocols.errors import Fault, FixConfiguration

logger = logging.getLogger("suyuan.cloud")
HEAD_S = 10.0
"""So long a client may take for the head of a request, or to go on after its answer."""
SOCKETS_AT = re.compile(rb"/epcis/queries/[^/]+/events")
"""Where an upgrade is heard; elsewhere it is a request as any other (RFC 9110, 7.8)."""
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: with forward secrecy and authenticated. TLS 1.3 brings its own."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 whose patience with a client that sends byte by byte, or nothing, ends."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; as long as no answer is under way, time runs.

        An upgrade is an answer, too: from there on `PatientSocket` looks at the time.
        """
        super().data_received(data)
        if self.conn.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY):
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _should_upgrade(self) -> bool:
        here = self.scope["method"] == "GET" and SOCKETS_AT.fullmatch(self.scope["raw_path"])
        return bool(here) and super()._should_upgrade()

    def on_response_complete(self) -> None:
        """Let keep-alive have its time; uvicorn's own timer ends that."""
        self._stop_waiting()
        super().on_response_complete()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def server_config(
    app: ASGIApp,
    http: tuple[str, int],
    *,
    cert_file: str,
    key_file: str,
    proxies: list[str],
    sockets: Sockets,
) -> uvicorn.Config:
    """Return how to serve `app`; without certificate files in plain HTTP.

    Raises:
        FixConfiguration: the certificate or its key cannot be used.

    """
    config = uvicorn.Config(
        app,
        host=http[0],
        port=http[1],
        http=PatientProtocol,
        ws=partial(PatientSocket, send_s=sockets.send_s),  # type: ignore[arg-type]  # it is called
        ws_max_size=sockets.incoming_bytes,
        ws_ping_interval=sockets.ping_s,
        ws_ping_timeout=sockets.pong_s,
        ws_per_message_deflate=False,  # packing would hold up all others
        log_level="warning",
        access_log=False,
        server_header=False,
        forwarded_allow_ips=proxies,
        timeout_graceful_shutdown=2,
        ssl_certfile=cert_file or None,
        ssl_keyfile=key_file or None,
        ssl_ciphers=CIPHERS,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        expected = "a certificate in PEM with its key"
        raise FixConfiguration([Fault("settings", "tls", expected, str(error))]) from None
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


class CertificateWatch:
    """Takes a renewed certificate into use without a restart; open connections keep theirs."""

    def __init__(self, config: uvicorn.Config) -> None:
        self._tls = config.ssl
        self._cert, self._key = str(config.ssl_certfile), str(config.ssl_keyfile)
        self._seen = self._look() if self._tls else ()

    def look(self) -> None:
        """Look whether the files changed; a pair that does not fit is told and left alone."""
        if self._tls is None or (now := self._look()) == self._seen:
            return
        self._seen = now
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert, self._key)
            self._tls.load_cert_chain(self._cert, self._key)
        except (OSError, ssl.SSLError) as error:
            logger.warning("the new certificate cannot be used yet: %s", error)
        else:
            logger.warning("the certificate was read anew")

    def _look(self) -> tuple[Any, ...]:
        return tuple(
            (file.stat().st_mtime_ns, file.stat().st_size) if file.exists() else None
            for file in map(Path, (self._cert, self._key))
        )


class HttpsOnly:
    """Leads every request to the same path at `base_url`; what a Host header says is not asked."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/").encode()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer 308; a WebSocket is refused, for what its client shows was shown in plain."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        target = self._base + scope["raw_path"] + query
        headers = [(b"location", target), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 308, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
