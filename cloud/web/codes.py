"""What a code is and what is known of it here, for whoever scanned it."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.model.asset import Asset
from cloud.model.organisation import Organisation
from cloud.model.permissions import load_categories
from cloud.trace.resolver.base import Link
from cloud.web.visit import Visit
from protocols.codes.anchors import KEYS, parse_anchor
from protocols.codes.epc_uri import DIGITAL_LINK
from protocols.codes.recognise import Candidate, recognise
from protocols.errors import RefuseInput
from protocols.ids import ASSET_ID
from protocols.lifts.base import SCHEME as LIFT

CANDIDATES_MAX = 10
_LINK_PATH = re.compile(rf"(?:{'|'.join(KEYS)})/.+")


class PublicLift(msgspec.Struct, frozen=True):
    """What everybody is told of a lift."""

    next_inspection: date | None
    maintainer: Organisation | None
    rescue_phone: str
    rescue_code: str


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the service knows of one code, of it nothing personal."""

    asset: Asset | None = None
    owner: Organisation | None = None
    """That registered it here, or has its company prefix."""
    links: Sequence[Link] = ()
    lift: PublicLift | None = None
    """That its owner put on it, or on what it is one of."""


def router(services: Services, anyone: Callable[[Request], Visit]) -> APIRouter:
    """Build /q and /q/{code}."""
    routes = APIRouter()
    visitor = Depends(anyone)

    @routes.get("/q")
    async def ask(request: Request, visit: Annotated[Visit, visitor]) -> Response:
        text = request.query_params.get("code", "").strip()
        if not text:
            return visit.render("code.html", text="", found=[], refused=None)
        return await _page(visit, services, text)

    @routes.get("/q/{code:path}")
    async def show(request: Request, visit: Annotated[Visit, visitor]) -> Response:
        return await _page(visit, services, _asked(request))

    return routes


async def _page(visit: Visit, services: Services, text: str) -> Response:
    try:
        candidates = recognise(text, services.codes.schemes)[:CANDIDATES_MAX]
    except RefuseInput as refused:
        return await _unread(visit, services, text, refused)
    found = [(one, await _known(services, one)) for one in candidates]
    shown = [_shown(visit, services, *one) for one in found]
    status = 200 if shown else 404
    return visit.render("code.html", status=status, text=text, found=shown, refused=None)


async def _unread(visit: Visit, services: Services, text: str, refused: RefuseInput) -> Response:
    """Answer what could not be read; a thing that is registered here by it is told all the same."""
    asset = services.registry.peek(text) if ASSET_ID.fullmatch(text) else None
    if asset is None:
        return visit.render("code.html", status=400, text=text, found=[], refused=refused.reason)
    known = await _of_asset(services, asset)
    return visit.render(
        "code.html", text=text, found=[_described(visit, None, known)], refused=None
    )


def _asked(request: Request) -> str:
    """Return what was asked for: a path of a Digital Link, or any text."""
    raw = (request.scope.get("raw_path") or b"").decode("ascii", "replace")
    rest = raw.partition("?")[0].removeprefix("/q/") or str(request.path_params["code"])
    return f"{DIGITAL_LINK}{rest}" if _LINK_PATH.fullmatch(rest) else unquote(rest)


async def _known(services: Services, one: Candidate) -> Known:
    asset_id = f"{one.scheme}:{one.code}"
    asset = services.registry.peek(asset_id) if ASSET_ID.fullmatch(asset_id) else None
    if one.link is None:
        return await _of_asset(services, asset) if asset else Known()
    anchor = parse_anchor(f"/{one.link.removeprefix(DIGITAL_LINK)}", services.codes.schemes)
    levels = await services.codes.links.levels(anchor.paths)
    holder = await services.codes.links.holder(anchor.prefix_digits)
    owner = _firm(services, holder.organisation if holder else None)
    return Known(asset=asset, owner=owner, links=[link for level in levels for link in level.links])


async def _of_asset(services: Services, asset: Asset) -> Known:
    anchor = parse_anchor(f"/id/{asset.asset_id.replace(':', '/', 1)}", services.codes.schemes)
    (level,) = await services.codes.links.levels(anchor.paths)
    return Known(
        asset=asset,
        owner=_firm(services, asset.parties.get("owner")),
        links=level.links,
        lift=await _lift(services, asset) if asset.kind == LIFT else None,
    )


async def _lift(services: Services, asset: Asset) -> PublicLift:
    lifts = services.lifts.lifts
    code = asset.attributes.get("rescue_code", "")
    return PublicLift(
        await lifts.next_inspection(asset.asset_id),
        _firm(services, asset.parties.get("maintainer")),
        lifts.catalogue.rescue_code.hotline,
        code if isinstance(code, str) else "",
    )


def _firm(services: Services, organisation_id: str | None) -> Organisation | None:
    """Return an organisation that is let in; of another nothing is told."""
    found = services.organisations.peek(organisation_id) if organisation_id else None
    return found if found is not None and found.state == "active" else None


def _shown(visit: Visit, services: Services, one: Candidate, known: Known) -> dict[str, Any]:
    scheme = services.codes.schemes.schemes[one.scheme]
    return {
        **_described(visit, one, known),
        "scheme": scheme,
        "title": visit.t.of(scheme, "title"),
        "look_up": visit.t.of(scheme, "look_up"),
        "issuer": visit.t.of(scheme, "issuer"),
        "fields": [
            (visit.t.of(field, "title"), one.fields[field.name])
            for field in scheme.fields
            if field.name in one.fields
        ],
        "wider": [
            (visit.t.of(services.codes.schemes.schemes[code.scheme], "title"), code)
            for code in one.wider
        ],
    }


def _described(visit: Visit, one: Candidate | None, known: Known) -> dict[str, Any]:
    category = load_categories().get(known.asset.category) if known.asset else None
    return {
        "one": one,
        "known": known,
        "category": visit.t.of(category, "title") if category else "",
    }
