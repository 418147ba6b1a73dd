"""Who calls, by a bearer token or the session of a page, and whether they may."""

import hmac
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from cloud.access.base import Access
from cloud.model.granting import OPEN, check_call, grant, mark
from cloud.model.principal import Granted, Principal
from cloud.model.session import CSRF_HEADER, SESSION_COOKIE, own_hosts
from protocols.errors import RefuseInput, StopService

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Guard(Protocol):
    """Builds the dependency of one call: who makes it, and how far it reaches for them."""

    def __call__(self, call: str, *, whole: bool = False) -> Callable[[HTTPConnection], Granted]:
        """Build it; `whole`: what it answers cannot be narrowed, so it must reach everything."""
        ...


def guard_of(access: Access, base_url: str = "") -> Guard:
    """Build the guard of the calls in firmware_config/access/calls.toml.

    A dependency that it builds raises RefuseInput: `no_token` when nobody is known; `forbidden`
    when who is known may not, a session's request that changes something lacks its CSRF token, or
    a page of another site opened the WebSocket.
    """

    def guard(call: str, *, whole: bool = False) -> Callable[[HTTPConnection], Granted]:
        check_call(call)

        def granted(request: HTTPConnection) -> Granted:
            request.state.caller = ""
            principal = _caller(access, request, base_url)
            request.state.caller = principal.id
            return grant(principal, call, whole=whole)

        return mark(granted, call)

    return guard


def open_to_all(why: str) -> Callable[[Request], None]:
    """Build the dependency of a route that everybody may call, with the reason."""

    def everybody(_request: Request) -> None:
        return None

    everybody.__doc__ = why
    return mark(everybody, OPEN)


def calls_of(route: APIRoute | APIWebSocketRoute) -> set[str]:
    """Return the calls that a route is guarded by, or `open`."""
    found, waiting = set(), [route.dependant]
    while waiting:
        dependant = waiting.pop()
        waiting += dependant.dependencies
        call = getattr(dependant.call, "call", None)
        if isinstance(call, str):
            found.add(call)
    return found


def check_guarded(app: FastAPI) -> None:
    """Refuse to serve a route that says neither who may call it nor that everybody may.

    Raises:
        StopService: naming it.

    """
    for route in guarded_routes(app.routes):
        if not calls_of(route):
            raise StopService(f"{route.path}: nobody said who may call it")


def guarded_routes(routes: Iterable[BaseRoute]) -> Iterator[APIRoute | APIWebSocketRoute]:
    """Yield every route that answers with more than a static file.

    FastAPI keeps an included router as an object of its own that is not public, hence the look for
    `original_router`; what is of no kind known here is refused rather than passed over.

    Raises:
        StopService: a route of another kind.

    """
    for route in routes:
        inside = getattr(route, "original_router", None)
        if isinstance(inside, APIRouter):
            yield from guarded_routes(inside.routes)
        elif isinstance(route, APIRoute | APIWebSocketRoute):
            yield route
        elif not (isinstance(route, Mount) and isinstance(route.app, StaticFiles)):
            raise StopService(f"a route of an unknown kind: {route!r}")


def _caller(access: Access, request: HTTPConnection, base_url: str) -> Principal:
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        known = access.bearer(token.strip()) if scheme.lower() == "bearer" else None
        if known is None:
            raise RefuseInput("no_token", "the token is not known here")
        return known
    session = access.session(request.cookies.get(SESSION_COOKIE, ""))
    if session is None:
        raise RefuseInput("no_token", "send Authorization: Bearer TOKEN")
    if request.scope["type"] == "websocket":
        _check_origin(request, base_url)
        return session.principal
    given = request.headers.get(CSRF_HEADER, "")
    if request.scope["method"] not in SAFE_METHODS and not hmac.compare_digest(
        given.encode(), session.csrf.encode()
    ):
        raise RefuseInput("forbidden", "the page's CSRF token is missing or wrong")
    return session.principal


def _check_origin(socket: HTTPConnection, base_url: str) -> None:
    """Refuse a WebSocket that a page of another site opened: no rule of browsers keeps it in.

    Raises:
        RefuseInput: `forbidden`.

    """
    try:
        origin = urlsplit(socket.headers.get("origin", ""))
    except ValueError:
        origin = urlsplit("")
    by_tls = base_url.startswith("https:") or socket.scope["scheme"] == "wss"
    schemes = ("https",) if by_tls else ("http", "https")
    if origin.scheme not in schemes or origin.netloc not in own_hosts(socket.headers, base_url):
        raise RefuseInput("forbidden", "a page of another site may not open a WebSocket")
