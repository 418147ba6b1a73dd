"""Links for telephones, made and revoked at the desk."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.api.desk.base import end_link, new_link
from cloud.model.desk import LinkBody
from cloud.web.own_account import qr_code
from cloud.web.refused import refused_text
from cloud.web.rescue import number_of
from cloud.web.rescue_view import lift_of
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /rescue/{id}/links."""
    routes = APIRouter()
    operator = Depends(signed_in("incidents.act"))

    @routes.post("/rescue/{incident_id}/links")
    async def make(visit: Annotated[Visit, operator], incident_id: str) -> Response:
        form, number = await visit.checked_form(), number_of(incident_id)
        try:
            body = msgspec.convert(
                {"kind": form.get("kind", ""), "unit": form.get("unit") or None}, LinkBody
            )
            link, path = await new_link(services, visit.granted, number, body)
        except msgspec.ValidationError as error:
            raise RefuseInput("bad_request", str(error)[:200]) from None
        except RefuseInput as refused:
            told = refused_text(refused, visit.t, about="rescue_wrong")
            return visit.render("parts/rescue_link.html", status=409, error=told, link=None)
        incident = await services.incidents.get(number, visit.scope)
        address = f"{_root(visit)}{path}"
        await services.shown(visit.granted, link)
        return visit.render(
            "parts/rescue_link.html",
            error="",
            link=link,
            incident=incident,
            lift=lift_of(services, incident.asset),
            address=address,
            qr=qr_code(address),
        )

    @routes.post("/rescue/{incident_id}/links/{link_id}/revoke")
    async def revoke(visit: Annotated[Visit, operator], incident_id: str, link_id: str) -> Response:
        await visit.checked_form()
        number = number_of(incident_id)
        await end_link(services, visit.granted, number, number_of(link_id))
        if visit.request.headers.get("hx-request"):
            return Response(status_code=204, headers={"HX-Trigger": "incident-changed"})
        return RedirectResponse(f"/rescue/{number}", status_code=303)

    return routes


def _root(visit: Visit) -> str:
    """Return how telephones reach the service."""
    base = visit.services.base_url or str(visit.request.base_url)
    return base.rstrip("/")
