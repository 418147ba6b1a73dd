"""Where owners put the links of their things, and who has which GS1 company prefix."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer, page, timed_fields
from cloud.api.resolver import link_type_of
from cloud.model.principal import Granted
from cloud.trace.resolver.base import Link, Role
from protocols.codes.anchors import PATH_MAX, Anchor, parse_anchor
from protocols.errors import RefuseInput

LIMIT, LIMIT_MAX = 100, 1_000
LINKS_MAX = 100
"""Of one thing."""
HREF_CHARS_MAX = 2_000
_TYPE = re.compile(r"https?://[A-Za-z0-9.-]+/[A-Za-z0-9._~/#-]{1,150}")
_PREFIX = re.compile(r"[0-9]{4,12}")


class LinkBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One link; see `cloud.trace.resolver.base.Link`."""

    type: Annotated[str, Meta(max_length=200)]
    """`gs1:pip`, or the full address of a link type."""
    href: Annotated[str, Meta(max_length=HREF_CHARS_MAX)]
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    languages: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z")], ...],
        Meta(max_length=20),
    ] = ()
    media_type: (
        Annotated[str, Meta(max_length=100, pattern=r"^[a-z]+/[A-Za-z0-9.+-]+\Z")] | None
    ) = None
    context: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}\Z")], ...], Meta(max_length=20)
    ] = ()
    role: Role = ""


class LinksBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All links of a thing; none: it has no more."""

    anchor: Annotated[str, Meta(max_length=PATH_MAX)]
    """Path as the resolver has it, `/01/06901234567892` or `/id/elevator/31101099920240017`."""
    links: Annotated[tuple[LinkBody, ...], Meta(max_length=LINKS_MAX)]


class PrefixBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who has a prefix."""

    organisation: Annotated[str, Meta(max_length=64)]


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls /api/v1/links and /api/v1/prefixes."""
    routes = APIRouter(prefix="/api/v1")
    _add_links(routes, services, guard)
    _add_prefixes(routes, services, guard)
    return routes


def _add_links(routes: APIRouter, services: Services, guard: Guard) -> None:
    writer = Depends(guard("links.write"))

    @routes.get("/links")
    async def list_links(request: Request, granted: Annotated[Granted, writer]) -> Response:
        check_names(request.query_params, ("after", "limit"))
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT_MAX)
        after = request.query_params.get("after", "")[:PATH_MAX]
        found = await services.codes.links.find(granted.scope, after=after, limit=limit + 1)
        shown = found[:limit]
        more = {"after": shown[-1].anchor} if len(found) > limit else {}
        return page([timed_fields(one) for one in shown], request=request, next_page=more)

    @routes.put("/links")
    async def put_links(request: Request, granted: Annotated[Granted, writer]) -> Response:
        body = read_body(await request.body(), LinksBody)
        anchor = parse_anchor(body.anchor, services.codes.schemes)
        links = _links(body)
        organisation = await _owner(services, granted, anchor)
        subject = f"link:{anchor.paths[0]}"
        put = await services.codes.links.put(
            anchor.paths[0],
            links,
            organisation=organisation,
            also=[services.noted(granted, subject, links=len(links))],
        )
        return answer(timed_fields(put))


def _add_prefixes(routes: APIRouter, services: Services, guard: Guard) -> None:
    writer = Depends(guard("prefixes.write", whole=True))

    @routes.get("/prefixes")
    async def list_prefixes(request: Request, _granted: Annotated[Granted, writer]) -> Response:
        check_names(request.query_params, ("after", "limit"))
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT_MAX)
        after = request.query_params.get("after", "")[:12]
        found = await services.codes.links.prefixes(after=after, limit=limit + 1)
        shown = found[:limit]
        more = {"after": shown[-1].prefix} if len(found) > limit else {}
        return page([timed_fields(one) for one in shown], request=request, next_page=more)

    @routes.put("/prefixes/{prefix}")
    async def put_prefix(
        prefix: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        body = read_body(await request.body(), PrefixBody)
        if not _PREFIX.fullmatch(prefix):
            raise RefuseInput("bad_request", f"expected 4 to 12 digits, found {prefix[:40]!r}")
        if services.organisations.peek(body.organisation) is None:
            raise RefuseInput("not_found", f"no organisation {body.organisation[:40]!r}")
        noted = services.noted(granted, f"prefix:{prefix}", organisation=body.organisation)
        put = await services.codes.links.put_prefix(prefix, body.organisation, also=[noted])
        return answer(timed_fields(put))

    @routes.delete("/prefixes/{prefix}")
    async def drop_prefix(prefix: str, granted: Annotated[Granted, writer]) -> Response:
        noted = services.noted(granted, f"prefix:{prefix[:12]}", dropped=True)
        await services.codes.links.drop_prefix(prefix[:40], also=[noted])
        return Response(status_code=204)


async def _owner(services: Services, granted: Granted, anchor: Anchor) -> str:
    """Return the organisation that puts links on a thing.

    Raises:
        RefuseInput: `not_found` or `forbidden`: it is not the caller's.

    """
    holder = None if anchor.asset else await services.codes.links.holder(anchor.prefix_digits)
    if granted.scope.everything:
        return holder.organisation if holder else granted.principal.organisation or ""
    if anchor.asset is not None:
        asset = await services.known_asset(anchor.asset, granted.scope)
        own = sorted(granted.scope.organisations & set(asset.parties.values()))
        return own[0] if own else ""
    if holder is None or holder.organisation not in granted.scope.organisations:
        raise RefuseInput("forbidden", "the company prefix of this key is not written as yours")
    return holder.organisation


def _links(body: LinksBody) -> list[Link]:
    if sum(link.role == "default" for link in body.links) > 1:
        raise RefuseInput("bad_request", "links: expected one default at most")
    return [_link(link) for link in body.links]


def _link(body: LinkBody) -> Link:
    kind = link_type_of(body.type)
    if not _TYPE.fullmatch(kind) or kind.endswith(("/defaultLink", "/defaultLinkMulti")):
        expected = "gs1:NAME or the address of a link type that says what the link is"
        raise RefuseInput("bad_request", f"type: expected {expected}, found {body.type[:80]!r}")
    if not body.title.isprintable():
        raise RefuseInput("bad_request", "title: expected characters that can be printed")
    _check_href(body.href)
    return Link(
        type=kind,
        href=body.href,
        title=body.title,
        languages=body.languages,
        media_type=body.media_type,
        context=body.context,
        role=body.role,
    )


def _check_href(href: str) -> None:
    """Refuse what is no plain web address; it is never fetched here, only handed out."""
    plain = href.isascii() and href.isprintable() and not set(' "<>\\^`{|}') & set(href)
    try:
        parts = urlsplit(href)
        web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        good = plain and web and parts.username is None
    except ValueError:
        good = False
    if not good:
        raise RefuseInput("bad_request", f"href: expected http:// or https://, found {href[:80]!r}")
