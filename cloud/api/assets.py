"""Assets: register, look up, newest values."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta

from cloud.api.base import Services
from cloud.api.render import answer, asset_fields, latest_fields
from cloud.model.asset import Asset
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id, scheme_of

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


def router(services: Services, caller: Callable[[Request], str]) -> APIRouter:
    """Build the calls below /api/v1/assets."""
    routes = APIRouter(prefix="/api/v1/assets", dependencies=[Depends(caller)])

    @routes.put("/{asset_id}")
    async def put_asset(asset_id: str, request: Request) -> Response:
        check_asset_id(asset_id)
        body = _read(await request.body())
        earlier = await services.registry.get(asset_id)
        asset = await services.registry.put(
            asset_id,
            kind=body.kind or scheme_of(asset_id),
            name=body.name,
            gateways=body.gateways,
            attributes=body.attributes,
        )
        new = earlier is None or not earlier.registered
        return answer(asset_fields(asset), status=201 if new else 200)

    @routes.get("/{asset_id}")
    async def get_asset(asset_id: str) -> Response:
        return answer(asset_fields(await known_asset(services, asset_id)))

    @routes.get("/{asset_id}/latest")
    async def get_latest(asset_id: str) -> Response:
        await known_asset(services, asset_id)
        values = services.latest(asset_id)
        points = {name: latest_fields(values[name]) for name in sorted(values)}
        return answer({"points": points})

    return routes


async def known_asset(services: Services, asset_id: str) -> Asset:
    """Return an asset that is registered or was heard of.

    Raises:
        RefuseInput: `bad_asset_id` or `not_found`.

    """
    check_asset_id(asset_id)
    asset = await services.registry.get(asset_id)
    if asset is None and services.latest(asset_id):  # the service's own, such as service:cloud
        asset = Asset(asset_id=asset_id, kind=scheme_of(asset_id), registered=False)
    if asset is None:
        raise RefuseInput("not_found", f"{asset_id} is not registered and was never heard of")
    return asset


def _read(raw: bytes) -> AssetBody:
    try:
        body = msgspec.json.decode(raw, type=AssetBody)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefuseInput("bad_request", str(error)[:300]) from None
    if _NO_CONTROL.search(body.name):
        raise RefuseInput("bad_request", "name: expected text without control characters")
    return body
