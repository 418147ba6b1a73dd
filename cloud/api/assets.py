"""Assets: register, look up, newest values."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.render import answer, asset_fields, latest_fields
from cloud.model.principal import Granted
from cloud.model.registering import AssetBody
from protocols.ids import check_asset_id


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls below /api/v1/assets."""
    routes = APIRouter(prefix="/api/v1/assets")
    reader, writer = Depends(guard("assets.read")), Depends(guard("assets.write"))

    @routes.put("/{asset_id}")
    async def put_asset(
        asset_id: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        check_asset_id(asset_id)
        body = read_body(await request.body(), AssetBody)
        asset, new = await services.register(granted, asset_id, body)
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
