"""Lists that leave page by page (EPCIS 2.0, section 8.3)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
from fastapi import Request, Response
from starlette.requests import HTTPConnection

from cloud.api.epcis.tokens import PageTokens, about_of
from cloud.api.parameters import whole
from cloud.model.principal import Granted
from protocols.clock import iso
from protocols.errors import RefuseInput

PER_PAGE, PER_PAGE_MAX = 30, 1_000
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


class Wanted(NamedTuple):
    """The page that a request asks for."""

    size: int
    place: Any
    """Where it begins, as the page before it said; None: at the start."""
    about: bytes


class Pages:
    """Reads which page is asked for, and says where the next one is."""

    def __init__(self, tokens: PageTokens) -> None:
        self._tokens = tokens

    async def wanted(self, request: Request, granted: Granted) -> Wanted:
        """Read `perPage` and `nextPageToken`.

        Raises:
            RefuseInput: `bad_request`, `bad_token`.

        """
        query = request.query_params
        size = min(whole(query, "perPage", PER_PAGE, low=1, high=10**15), PER_PAGE_MAX)
        path = request.scope["path"]
        about = about_of(granted.principal.id, path, query.multi_items())
        token = query.get("nextPageToken")
        place = None if token is None else await self._tokens.open(token, about)
        return Wanted(size, place, about)

    def lead_on(self, request: Request, response: Response, wanted: Wanted, place: object) -> None:
        """Write where the next page is, unless `place` is None."""
        if place is None:
            return
        token, expires_at_ms = self._tokens.make(wanted.about, place)
        url = request.url.include_query_params(nextPageToken=token)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        response.headers["GS1-Next-Page-Token-Expires"] = iso(expires_at_ms)


def answer(
    data: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Build an answer in JSON."""
    body = msgspec.json.encode(data)
    return Response(body, status, dict(headers or {}), media_type="application/json")


def collection(members: Sequence[str]) -> Response:
    """Build a JSON-LD collection."""
    return answer({"@context": CONTEXT, "type": "Collection", "member": members})


def named_in_path(request: HTTPConnection, name: str) -> str:
    """Return a part of a path, decoded: routes match it as it came (`EpcisBorder`)."""
    return unquote(str(request.path_params[name]))


def no_parameters_but(request: Request, *allowed: str) -> None:
    """Refuse a parameter that a list does not know; RefuseInput `bad_request`."""
    for name in request.query_params:
        if name not in allowed:
            expected = ", ".join(allowed) or "no parameters"
            raise RefuseInput("bad_request", f"expected {expected}; found {name[:40]!r}")
