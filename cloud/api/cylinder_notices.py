"""Who is told of the work lists of cylinders, by mail or by a call."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, number_in_path
from cloud.api.render import answer, timed_fields
from cloud.model.cylinder_notice import NoticeToBody, check_notice_to
from cloud.model.principal import Granted


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/cylinder-notices."""
    routes = APIRouter(prefix="/api/v1/cylinder-notices")
    keeper, addresses = Depends(guard("notices.write")), services.cylinders.addresses

    @routes.get("")
    async def find(request: Request, granted: Annotated[Granted, keeper]) -> Response:
        check_names(request.query_params, ())
        found = await addresses.find(granted)
        await services.shown(granted, *found)
        return answer([timed_fields(one) for one in found])

    @routes.post("")
    async def add(request: Request, granted: Annotated[Granted, keeper]) -> Response:
        body = read_body(await request.body(), NoticeToBody)
        check_notice_to(body)
        noted = services.noted(granted, "cylinder-notices", channel=body.channel)
        one = await addresses.add(granted, body, also=[noted])
        await services.shown(granted, one)
        return answer(timed_fields(one), status=201)

    @routes.post("/{address_id}/test")
    async def test(address_id: str, granted: Annotated[Granted, keeper]) -> Response:
        number = number_in_path(address_id)
        noted = services.noted(granted, "cylinder-notices", address=number, what="test")
        await addresses.test(granted, number, also=[noted])
        return answer({"state": "waiting"}, status=202)

    @routes.delete("/{address_id}")
    async def remove(address_id: str, granted: Annotated[Granted, keeper]) -> Response:
        number = number_in_path(address_id)
        noted = services.noted(granted, "cylinder-notices", address=number)
        await addresses.remove(granted, number, also=[noted])
        return Response(status_code=204)

    return routes
