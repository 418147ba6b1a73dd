"""Gateways with the account of their batches."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer, gateway_fields, page
from cloud.model.gateway import Gateway
from cloud.model.principal import Granted
from protocols.errors import RefuseInput
from protocols.ids import check_gateway_id

LIMIT = 1_000


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls below /api/v1/gateways."""
    routes = APIRouter(prefix="/api/v1/gateways")
    reader = Depends(guard("gateways.read"))

    async def fields(gateway: Gateway) -> dict[str, Any]:
        return gateway_fields(
            gateway,
            list(await services.ledger(gateway.gateway_id)),
            registered=services.registry.names_gateway(gateway.gateway_id),
        )

    @routes.get("")
    async def list_gateways(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ("after", "limit"))
        after = request.query_params.get("after", "")
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT)
        found = [
            one
            for one in services.gateways.all()
            if one.gateway_id > after
            and services.registry.admits_gateway(granted.scope, one.gateway_id)
        ]
        return page(
            [await fields(one) for one in found[:limit]],
            request=request,
            next_page={"after": found[limit - 1].gateway_id} if len(found) > limit else {},
        )

    @routes.get("/{gateway_id}")
    async def get_gateway(gateway_id: str, granted: Annotated[Granted, reader]) -> Response:
        gateway = services.gateways.get(check_gateway_id(gateway_id))
        admitted = services.registry.admits_gateway(granted.scope, gateway_id)
        if gateway is None or not admitted:
            raise RefuseInput("not_found", f"gateway {gateway_id} was never heard of")
        return answer(await fields(gateway))

    return routes
