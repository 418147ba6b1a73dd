"""Gateways with the account of their batches."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer, gateway_fields, page
from cloud.model.gateway import Gateway
from protocols.errors import RefuseInput
from protocols.ids import check_gateway_id

LIMIT = 1_000


def router(services: Services, caller: Callable[[Request], str]) -> APIRouter:
    """Build the calls below /api/v1/gateways."""
    routes = APIRouter(prefix="/api/v1/gateways", dependencies=[Depends(caller)])

    async def fields(gateway: Gateway) -> dict[str, Any]:
        return gateway_fields(
            gateway,
            list(await services.ledger(gateway.gateway_id)),
            registered=services.registry.names_gateway(gateway.gateway_id),
        )

    @routes.get("")
    async def list_gateways(request: Request) -> Response:
        check_names(request.query_params, ("after", "limit"))
        after = request.query_params.get("after", "")
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT)
        found = [one for one in services.gateways.all() if one.gateway_id > after]
        return page(
            [await fields(one) for one in found[:limit]],
            request=request,
            next_page={"after": found[limit - 1].gateway_id} if len(found) > limit else {},
        )

    @routes.get("/{gateway_id}")
    async def get_gateway(gateway_id: str) -> Response:
        gateway = services.gateways.get(check_gateway_id(gateway_id))
        if gateway is None:
            raise RefuseInput("not_found", f"gateway {gateway_id} was never heard of")
        return answer(await fields(gateway))

    return routes
