"""The resolver over HTTP: GS1 Digital Links, and the addresses of all other codes.

GS1-Conformant resolver standard 1.2: a request is led on to the one link that fits it best, or
answered with all links as a linkset (RFC 9264).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import punctuation
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.guard import open_to_all
from cloud.api.problems import problem
from cloud.trace.resolver.base import VOCABULARY, Asked, Choices, Level, Link, Redirect, linkset
from protocols.codes.anchors import KEYS, Anchor, parse_anchor
from protocols.errors import RefuseInput
from protocols.ids import scheme_of

METHODS = ("GET", "HEAD", "OPTIONS")
LINKSET = "application/linkset+json"
JSON, JSON_LD = "application/json", "application/ld+json"
CONTEXT = "https://ref.gs1.org/standards/resolver/linkset-context"
ALL = ("all", "linkset")
"""Values of `linkType` that ask for every link."""
PREFIXES = ("gs1:", "https://gs1.org/voc/", "https://ref.gs1.org/voc/")
"""Ways to write a link type of GS1's."""
TYPE_CHARS_MAX = 200
FIELDS_MAX = 100
WISHES_MAX = 20
"""Languages and media types that are looked at."""
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": ", ".join(METHODS),
    "Access-Control-Allow-Headers": "Accept, Accept-Language",
    "Access-Control-Expose-Headers": "Link, Location",
    "Access-Control-Max-Age": "86400",
}
PAGE_TITLES = {"zh": "追溯查询", "en": "What this code is"}


@dataclass(frozen=True)
class _Target:
    """What a request names."""

    anchor: Anchor
    root: str
    """Where the resolver is."""
    page: Link
    """The public page on it."""
    titles: Mapping[str, str]


def router(services: Services) -> APIRouter:
    """Build /.well-known/gs1resolver, /id/{scheme}/{code} and the paths of Digital Links."""
    everybody = Depends(open_to_all("a code on a pack is for whoever sees it"))
    routes = APIRouter(include_in_schema=False, dependencies=[everybody])

    @routes.api_route("/.well-known/gs1resolver", methods=[*METHODS])
    async def describe(request: Request) -> Response:
        return _cors(_description(_root(services, request)), request)

    async def resolve(request: Request) -> Response:
        try:
            answer = await _resolved(services, request)
        except RefuseInput as refused:
            status = 404 if refused.reason in ("not_found", "unknown_scheme") else 400
            answer = problem(status, refused.reason, refused.detail)
        return _cors(answer, request)

    for path in ("/id/{scheme}/{rest:path}", *(f"/{ai}/{{rest:path}}" for ai in KEYS)):
        routes.add_api_route(path, resolve, methods=[*METHODS], name=f"resolve {path}")
    return routes


def link_type_of(text: str) -> str:
    """Return the full address of a link type: `gs1:pip`, or an address."""
    for prefix in PREFIXES:
        if text.startswith(prefix):
            return VOCABULARY + text.removeprefix(prefix)
    return text


async def _resolved(services: Services, request: Request) -> Response:
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": ", ".join(METHODS)})
    query = quote(request.scope["query_string"], safe=punctuation)
    target = await _target(services, request, query)
    levels = await services.codes.links.levels(target.anchor.paths)
    given = _given(query)
    link_type = given.get("linkType", [""])[-1][:TYPE_CHARS_MAX]
    accepted = _wishes(request.headers.get("accept", ""))
    if link_type in ALL or (not link_type and LINKSET in accepted):
        return _linkset(target, levels, accepted)
    asked = Asked(
        link_type=link_type_of(link_type) if link_type else None,
        languages=_wishes(request.headers.get("accept-language", "")),
        media_types=[one for one in accepted if one != "*/*"],
        context=given.get("context", [None])[-1],
    )
    match services.codes.links.decide(levels, asked, target.page):
        case Redirect(link):
            headers = {"Location": _with_query(link.href, query), "Link": _link_header(target)}
            return Response(status_code=307, headers=headers)
        case Choices(links):
            return _linkset(target, [Level(target.anchor.paths[0], links)], accepted, status=300)
        case _:
            raise RefuseInput("not_found", f"no link of the type {link_type!r}")


async def _target(services: Services, request: Request, query: str) -> _Target:
    """Read what a request names.

    Raises:
        RefuseInput: `not_found`, `unknown_scheme`, or what is wrong with it.

    """
    raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    path = raw.decode("ascii", "replace").partition("?")[0]
    anchor = parse_anchor(path, services.codes.schemes, query)
    if anchor.asset is not None and services.registry.peek(anchor.asset) is None:
        scheme, _, code = anchor.asset.partition(":")
        services.codes.schemes.named(scheme, code)
    root = _root(services, request)
    name = anchor.asset or anchor.paths[0].removeprefix("/")
    page = Link(
        type=f"{VOCABULARY}traceability",
        href=f"{root}/q/{name}",
        title=PAGE_TITLES[services.language],
        media_type="text/html",
    )
    return _Target(anchor, root, page, _titles(anchor, services))


def _titles(anchor: Anchor, services: Services) -> dict[str, str]:
    """Return the description of each path: what it is, and its code."""
    if anchor.asset is not None:
        scheme = services.codes.schemes.schemes.get(scheme_of(anchor.asset))
        named = scheme and (scheme.title_zh if services.language == "zh" else scheme.title)
        return {anchor.paths[0]: f"{named or ''} {anchor.asset.partition(':')[2]}".strip()}
    return {path: path.removeprefix("/") for path in anchor.paths}


def _linkset(
    target: _Target, levels: Sequence[Level], accepted: Sequence[str], *, status: int = 200
) -> Response:
    body: dict[str, object] = {**linkset(levels, target.page, target.titles, target.root)}
    kinds = [one for one in accepted if one in (LINKSET, JSON, JSON_LD)]
    kind = kinds[0] if kinds else LINKSET
    headers = {}
    if kind == JSON_LD:
        body = {"@context": CONTEXT, **body}
    else:
        headers["Link"] = (
            f'<{CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; type="{JSON_LD}"'
        )
    return Response(msgspec.json.encode(body), status_code=status, media_type=kind, headers=headers)


def _link_header(target: _Target) -> str:
    address = f"{target.root}{target.anchor.paths[0]}?linkType=linkset"
    return f'<{address}>; rel="linkset"; type="{LINKSET}"; title="All links"'


def _given(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise RefuseInput("bad_request", f"expected at most {FIELDS_MAX} parameters") from None


def _with_query(href: str, query: str) -> str:
    """Pass the query of the request on."""
    if not query:
        return href
    parts = urlsplit(href)
    return parts._replace(query="&".join(filter(None, (parts.query, query)))).geturl()


def _wishes(header: str) -> list[str]:
    """Read Accept or Accept-Language: the most wanted first, without what is not wanted at all."""
    found = []
    for part in header.split(",")[:WISHES_MAX]:
        name, *parameters = (one.strip() for one in part.split(";"))
        weights = [one[2:] for one in parameters if one.startswith("q=")]
        try:
            weight = float(weights[0]) if weights else 1.0
        except ValueError:
            weight = 0.0
        if name and name != "*" and weight > 0:
            found.append((weight, name.lower()))
    return [name for _, name in sorted(found, key=lambda one: -one[0])]


def _description(root: str) -> Response:
    body = {
        "name": "Suyuan",
        "resolverRoot": root,
        "supportedPrimaryKeys": list(KEYS),
        "supportedLinkType": [{"namespace": VOCABULARY, "prefix": "gs1:"}],
        "linkTypeDefaultCanBeLinkset": False,
        "jsonLdContextLocation": CONTEXT,
    }
    return Response(msgspec.json.encode(body), media_type=JSON)


def _root(services: Services, request: Request) -> str:
    return (services.base_url or str(request.base_url)).rstrip("/")


def _cors(response: Response, request: Request) -> Response:
    for name, value in CORS.items():
        response.headers[name] = value
    response.headers["Vary"] = "Accept, Accept-Language"
    if request.method == "OPTIONS":
        response.headers["Allow"] = ", ".join(METHODS)
    return response
