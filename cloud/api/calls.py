"""Telephone calls to the rescue centre: taken down, listed, placed later."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.incidents import incident_fields
from cloud.api.parameters import check_names, flag, whole
from cloud.api.render import answer, page, timed_fields
from cloud.model.incident import Call
from cloud.model.principal import Granted

LIMIT, LIMIT_MAX = 100, 1_000


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/calls."""
    routes = APIRouter(prefix="/api/v1/calls")
    caller = Depends(guard("incidents.call"))

    @routes.post("")
    async def take_call(request: Request, granted: Annotated[Granted, caller]) -> Response:
        call = read_body(await request.body(), Call)
        subject = "rescue-calls" if call.asset is None else f"asset:{call.asset}"
        noted = services.noted(granted, subject[:128], drill=call.drill)
        one = await services.incidents.open_call(call, granted=granted, also=[noted])
        await services.shown(granted, one)
        return answer(incident_fields(services, one, granted), status=201)

    @routes.get("")
    async def list_calls(request: Request, granted: Annotated[Granted, caller]) -> Response:
        query = request.query_params
        check_names(query, ("unplaced", "before", "limit"))
        limit = whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX)
        found = await services.incidents.calls(
            granted.scope,
            unplaced=flag(query, "unplaced"),
            before_id=whole(query, "before", 0, low=0, high=2**53) or None,
            limit=limit + 1,
        )
        some = found[:limit]
        await services.shown(granted, *some)
        more = {"before": some[-1].id} if len(found) > limit else {}
        fields = {"calls": [timed_fields(one) for one in some]}
        return page(fields, request=request, next_page=more)

    return routes
