"""Assets: register, look up, newest values."""

import re
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.render import answer, asset_fields, latest_fields
from cloud.model.asset import Asset
from cloud.model.permissions import Word, category_of
from cloud.model.principal import Granted, Scope
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id, scheme_of

OrganisationId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
_KIND = "^[a-z][a-z0-9_]{0,31}$"
_NO_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class AssetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a PUT carries."""

    kind: Annotated[str, Meta(pattern=_KIND)] | None = None
    """Without it, the scheme of the asset id."""
    name: Annotated[str, Meta(max_length=200)] = ""
    gateways: Annotated[
        list[Annotated[str, Meta(pattern="^[a-z0-9-]{1,64}$")]], Meta(max_length=64)
    ] = []
    attributes: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=64)], Any], Meta(max_length=100)
    ] = {}
    parties: Annotated[dict[Word, OrganisationId], Meta(max_length=16)] | None = None
    """Organisations by the part that they play; without it they stay as they are."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls below /api/v1/assets."""
    routes = APIRouter(prefix="/api/v1/assets")
    reader, writer = Depends(guard("assets.read")), Depends(guard("assets.write"))

    @routes.put("/{asset_id}")
    async def put_asset(
        asset_id: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        check_asset_id(asset_id)
        body = _read(await request.body())
        earlier = await services.registry.get(asset_id)
        parties = parties_after(body.parties, earlier, granted)
        kind = body.kind or scheme_of(asset_id)
        _check_place(kind, body, parties, granted.scope)
        _check_gateways(services, asset_id, body, earlier, granted.scope)
        asset = await services.registry.put(
            asset_id,
            kind=kind,
            name=body.name,
            gateways=body.gateways,
            attributes=body.attributes,
            parties=parties,
            also=[services.noted(granted, f"asset:{asset_id}", **_noted(earlier, body, parties))],
        )
        new = earlier is None or not earlier.registered
        return answer(asset_fields(asset), status=201 if new else 200)

    @routes.get("/{asset_id}")
    async def get_asset(asset_id: str, granted: Annotated[Granted, reader]) -> Response:
        asset = await services.known_asset(asset_id, granted.scope)
        await services.shown(granted, asset)
        return answer(asset_fields(asset))

    @routes.get("/{asset_id}/latest")
    async def get_latest(asset_id: str, granted: Annotated[Granted, reader]) -> Response:
        await services.known_asset(asset_id, granted.scope)
        values = services.latest(asset_id)
        points = {name: latest_fields(values[name]) for name in sorted(values)}
        return answer({"points": points})

    return routes


def parties_after(
    asked: dict[str, str] | None, earlier: Asset | None, granted: Granted
) -> dict[str, str]:
    """Return the parties of an asset after a change.

    Who speaks for one organisation only registers as its owner, and changes no part of another.

    Raises:
        RefuseInput: `not_found` when the asset is none of the caller's; `forbidden` when the
            parties asked for are not theirs to set.

    """
    scope, before = granted.scope, dict(earlier.parties) if earlier else {}
    if earlier is not None and earlier.registered and not scope.admits(earlier):
        raise RefuseInput("not_found", f"{earlier.asset_id} is registered to others")
    if scope.everything or scope.remits:
        return before if asked is None else asked
    own = granted.principal.organisation or ""
    after = before or {"owner": own} if asked is None else asked
    changed = {part for part in {*before, *after} if before.get(part) != after.get(part)}
    if any({before.get(part, own), after.get(part, own)} != {own} for part in changed):
        raise RefuseInput("forbidden", "parties: another organisation's part is not yours to set")
    return after


def _noted(earlier: Asset | None, body: AssetBody, parties: dict[str, str]) -> dict[str, Any]:
    """Return what the audit says of a change: which fields, not what is in them."""
    before = earlier or Asset(asset_id="", kind="", registered=False)
    fields = ["name"] if before.name != body.name else []
    fields += ["gateways"] if before.gateways != sorted(set(body.gateways)) else []
    for what, old, new in (
        ("attributes", before.attributes, body.attributes),
        ("parties", before.parties, parties),
    ):
        names = sorted({*old, *new})
        fields += [f"{what}.{name}" for name in names if old.get(name) != new.get(name)]
    return {"state": "changed" if before.registered else "registered", "fields": fields}


def _check_place(kind: str, body: AssetBody, parties: dict[str, str], scope: Scope) -> None:
    """Refuse to put an asset where the caller could not see it."""
    after = Asset(
        asset_id="",
        kind=kind,
        attributes=body.attributes,
        category=category_of(kind),
        parties=parties,
    )
    if not scope.admits(after):
        raise RefuseInput("forbidden", "district, kind and parties: expected some of your own")


def _check_gateways(
    services: Services, asset_id: str, body: AssetBody, earlier: Asset | None, scope: Scope
) -> None:
    """Refuse to name gateways of others: whoever names one sees what it reads.

    An office may also name one that nobody has claimed; a firm may not, and registers what was
    heard of already only if a gateway of its own told of it.
    """
    office = scope.everything or bool(scope.remits)
    scheme, _, code = asset_id.partition(":")
    for gateway in [*body.gateways, code] if scheme == "gateway" else body.gateways:
        seen = services.registry.admits_gateway(scope, gateway)
        if not seen and not (office and not services.registry.names_gateway(gateway)):
            raise RefuseInput("forbidden", f"gateways: {gateway} is none of yours")
    if office or earlier is None or earlier.registered:
        return
    if not any(asset_id in services.assets_of(gateway) for gateway in body.gateways):
        detail = "reported by gateways that are not yours: the district can register it"
        raise RefuseInput("forbidden", detail)


def _read(raw: bytes) -> AssetBody:
    body = read_body(raw, AssetBody)
    if _NO_CONTROL.search(body.name):
        raise RefuseInput("bad_request", "name: expected text without control characters")
    return body
