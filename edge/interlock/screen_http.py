"""The page of the gates over HTTP: big, for gloves, on the gateway's own screen.

Served by the standard library's server in threads of its own. It listens on the loopback address
only, answers only to its own names (no other page's name can be bound to it), takes buttons only as
JSON from its own page, and is shown in no frame.
"""

import json
import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edge.interlock.screen import Screen
from protocols.errors import RefuseInput

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 4_096
REQUEST_S = 10.0
CONNECTIONS_MAX = 32
BEAT_S = 2.0
"""A page that hears nothing for some of these covers itself: it must never show an old FILL."""
_FOLDER = Path(__file__).parent
_FILES = {
    "/": ("screen.html", "text/html; charset=utf-8"),
    "/screen.css": ("screen.css", "text/css; charset=utf-8"),
    "/screen.js": ("screen.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Server(ThreadingHTTPServer):
    """Listens on one loopback address."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, address: tuple[str, int], screen: Screen) -> None:
        self.screen = screen
        self.names = frozenset({f"{name}:{address[1]}" for name in ("127.0.0.1", "localhost")})
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(("127.0.0.1", address[1]), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, or drop it when there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep pages that went away, and their addresses, out of the journal."""
        del request, client_address
        log.debug("a page went away")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_S
    server_version, sys_version = "suyuan", ""

    def do_GET(self) -> None:
        """Show the page, its state, or its changes as they come."""
        if not self._own_name():
            return
        if self.path in _FILES:
            name, kind = _FILES[self.path]
            self._send(HTTPStatus.OK, (_FOLDER / name).read_bytes(), kind)
        elif self.path == "/state":
            self._send(HTTPStatus.OK, self.server.screen.state(), "application/json")
        elif self.path == "/events":
            self._stream()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "not_found")

    def do_POST(self) -> None:
        """Take a button."""
        if not self._own_name() or not self._own_page():
            return
        length = self.headers.get("Content-Length", "")
        if self.path != "/act" or not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_request")
            return
        try:
            self.server.screen.act(self.rfile.read(int(length)))
        except RefuseInput as error:
            self._refuse(HTTPStatus.CONFLICT, error.reason)
        else:
            self._send(HTTPStatus.OK, b"{}", "application/json")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as it is called
        """Keep pages out of the journal."""

    def _own_name(self) -> bool:
        """Refuse a request for another name: some page has bound its own to this address."""
        if self.headers.get_all("Host", []) and self.headers["Host"] in self.server.names:
            return True
        self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "wrong_host")
        return False

    def _own_page(self) -> bool:
        """Refuse what another page has sent."""
        origin = self.headers.get("Origin")
        sent_by = self.headers.get("Sec-Fetch-Site", "same-origin")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
        own = origin is None or origin == f"http://{self.headers['Host']}"
        if own and sent_by == "same-origin" and kind == "application/json":
            return True
        self._refuse(HTTPStatus.FORBIDDEN, "foreign_page")
        return False

    def _stream(self) -> None:
        screen = self.server.screen
        try:
            changes = screen.changes()
        except RefuseInput as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, error.reason)
            return
        try:
            self.send_response(HTTPStatus.OK)
            self._headers("text/event-stream", None)
            while not screen.stopping:
                self.wfile.write(b"data: " + screen.state() + b"\n\n")
                changes.wait(BEAT_S)
        finally:
            changes.close()
            self.close_connection = True

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True
        self._send(status, json.dumps({"reason": reason}).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self._headers(kind, len(body))
        self.wfile.write(body)

    def _headers(self, kind: str, length: int | None) -> None:
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if self.close_connection or length is None:
            self.send_header("Connection", "close")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
