"""The desk over HTTP: links for telephones, and the notes of shifts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.desk.base import end_link, hand_over, new_link
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, number_in_path
from cloud.api.render import answer, timed_fields
from cloud.model.desk import HandoverBody, LinkBody
from cloud.model.principal import Granted


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/incidents/{id}/links and /api/v1/handovers."""
    routes, operator = APIRouter(prefix="/api/v1"), Depends(guard("incidents.act"))
    desk = services.desk

    @routes.get("/incidents/{incident_id}/links")
    async def links(
        request: Request, incident_id: str, granted: Annotated[Granted, operator]
    ) -> Response:
        check_names(request.query_params, ())
        incident = await services.incidents.get(number_in_path(incident_id), granted.scope)
        found = await desk.links.find(incident.id)
        await services.shown(granted, *found)
        return answer({"links": [timed_fields(one) for one in found]})

    @routes.post("/incidents/{incident_id}/links")
    async def make(
        request: Request, incident_id: str, granted: Annotated[Granted, operator]
    ) -> Response:
        body = read_body(await request.body(), LinkBody)
        link, address = await new_link(services, granted, number_in_path(incident_id), body)
        await services.shown(granted, link)
        return answer({**timed_fields(link), "path": address}, status=201)

    @routes.delete("/incidents/{incident_id}/links/{link_id}")
    async def revoke(
        incident_id: str, link_id: str, granted: Annotated[Granted, operator]
    ) -> Response:
        incident, link = number_in_path(incident_id), number_in_path(link_id)
        await end_link(services, granted, incident, link)
        return Response(status_code=204)

    @routes.get("/handovers")
    async def handovers(request: Request, granted: Annotated[Granted, operator]) -> Response:
        check_names(request.query_params, ())
        found = await desk.handovers.find(granted)
        await services.shown(granted, *found)
        return answer({"handovers": [timed_fields(one) for one in found]})

    @routes.get("/handovers/{handover_id}")
    async def handover(handover_id: str, granted: Annotated[Granted, operator]) -> Response:
        made = await desk.handovers.get(granted, number_in_path(handover_id))
        await services.shown(granted, made)
        return answer(timed_fields(made))

    @routes.post("/handovers")
    async def make_handover(request: Request, granted: Annotated[Granted, operator]) -> Response:
        body = read_body(await request.body(), HandoverBody)
        made = await hand_over(services, granted, body)
        return answer(timed_fields(made), status=201)

    return routes
