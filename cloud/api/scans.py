"""What readers and scanners saw, the latest first."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, whole
from cloud.api.render import page, scan_fields
from cloud.model.principal import Granted

LIMIT = 1_000
ID_MAX = 10**15


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/scans."""
    routes = APIRouter(prefix="/api/v1/scans")

    @routes.get("")
    async def list_scans(
        request: Request, granted: Annotated[Granted, Depends(guard("scans.read"))]
    ) -> Response:
        query = request.query_params
        check_names(query, ("gateway", "reader", "code", "before_id", "limit"))
        limit = whole(query, "limit", 100, low=1, high=LIMIT)
        before = whole(query, "before_id", ID_MAX, low=1, high=ID_MAX)
        found = await services.scans(
            among=services.registry.gateways_in(granted.scope),
            gateway=query.get("gateway"),
            reader=query.get("reader"),
            code=query.get("code"),
            before_id=before,
            limit=limit + 1,
        )
        await services.shown(granted, *found[:limit])
        return page(
            [scan_fields(one) for one in found[:limit]],
            request=request,
            next_page={"before_id": found[limit - 1].id} if len(found) > limit else {},
        )

    return routes
