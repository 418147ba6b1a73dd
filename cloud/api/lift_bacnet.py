"""A lift as a BACnet Lift object, for building automation."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.parameters import check_names
from cloud.api.render import answer
from cloud.model.principal import Granted
from protocols.lifts.bacnet import lift_object

LABELS = "floor_labels"
"""Attribute of a lift: the names of its floors, from the lowest."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/lifts/{code}/bacnet."""
    routes = APIRouter(prefix="/api/v1/lifts")

    @routes.get("/{code}/bacnet")
    async def bacnet(
        code: str, request: Request, granted: Annotated[Granted, Depends(guard("assets.read"))]
    ) -> Response:
        check_names(request.query_params, ())
        asset = await services.known_asset(f"elevator:{code}", granted.scope)
        told = services.latest(asset.asset_id)
        values = {name: one.value for name, one in told.items() if one.quality == "good"}
        labels = asset.attributes.get(LABELS)
        floors = [str(one) for one in labels] if isinstance(labels, list) else []
        lift = lift_object(asset.asset_id, values, floor_labels=floors)
        return answer(msgspec.to_builtins(lift))

    return routes
