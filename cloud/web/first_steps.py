"""What a new firm does first, how far it has come, and its first thing registered."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.asset import Asset
from cloud.model.registering import AssetBody
from cloud.web.refused import refused_text
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

THINGS = ("elevator", "cylinder", "scale", "stall", "store")
"""Kinds that people register by hand; others come by the API."""
FIELDS = ("kind", "code", "name", "district", "address")


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /first-steps."""
    routes = APIRouter()
    reader = Depends(signed_in("organisations.read"))
    writer = Depends(signed_in("assets.write"))

    @routes.get("/first-steps")
    async def show(visit: Annotated[Visit, reader]) -> Response:
        return await _page(services, visit, {})

    @routes.post("/first-steps/thing")
    async def register(visit: Annotated[Visit, writer]) -> Response:
        form = await visit.checked_form()
        given = {name: form.get(name, "").strip() for name in FIELDS}
        asset_id = f"{given['kind']}:{given['code']}"
        try:
            await _check_unknown(services, visit, asset_id)
            await services.register(visit.granted, asset_id, _body(given))
        except RefuseInput as error:
            return await _page(services, visit, given, error)
        return RedirectResponse(f"/assets/{asset_id}", status_code=303)

    return routes


async def _check_unknown(services: Services, visit: Visit, asset_id: str) -> None:
    """Keep a form of few fields from writing over what was registered with many."""
    earlier: Asset | None = services.registry.peek(asset_id)
    if earlier is not None and visit.scope.admits(earlier):
        raise RefuseInput("registered", asset_id)


def _body(given: dict[str, str]) -> AssetBody:
    if given["kind"] not in THINGS:
        raise RefuseInput("bad_request", "thing: expected one of the kinds")
    attributes = {name: given[name] for name in ("district", "address") if given[name]}
    try:
        return msgspec.convert({"name": given["name"], "attributes": attributes}, AssetBody)
    except msgspec.ValidationError as error:
        raise RefuseInput("bad_request", f"thing: {error}") from None


async def _page(
    services: Services, visit: Visit, given: dict[str, str], error: RefuseInput | None = None
) -> Response:
    own = visit.granted.principal.organisation or ""
    one = services.organisations.peek(own)
    if one is None or services.organisations.kinds[one.kind].authority:
        return visit.render("not_found.html", status=404)
    progress = await services.organisations.progress(one)
    conflict = error is not None and error.reason in ("quota_reached", "registered")
    return visit.render(
        "first_steps.html",
        status=200 if error is None else 409 if conflict else 400,
        one=one,
        done=progress.done(),
        things=THINGS,
        given={name: given.get(name, "") for name in FIELDS},
        error=refused_text(error, visit.t) if error else "",
    )
