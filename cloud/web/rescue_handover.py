"""A shift ends: what is open, what happened, who goes on."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.api.desk.base import hand_over as write
from cloud.api.desk.base import shift_of
from cloud.model.desk import HandoverBody
from cloud.web.refused import refused_text
from cloud.web.rescue import number_of
from cloud.web.rescue_view import views_of
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

SHOWN_MAX = 100


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /rescue/handover and what was handed over."""
    routes = APIRouter()
    operator = Depends(signed_in("incidents.act"))

    @routes.get("/rescue/handover")
    async def show(visit: Annotated[Visit, operator]) -> Response:
        return await _page(services, visit, {})

    @routes.post("/rescue/handover")
    async def hand_over(visit: Annotated[Visit, operator]) -> Response:
        form = await visit.checked_form()
        try:
            given = {name: form.get(name, "").strip() for name in ("to", "note")}
            body = msgspec.convert(given, HandoverBody)
        except msgspec.ValidationError:
            refused = RefuseInput("bad_request", "to: expected a name of 1 to 64 characters")
            told = refused_text(refused, visit.t, about="rescue_wrong")
            return await _page(services, visit, form, error=told, status=400)
        made = await write(services, visit.granted, body)
        return RedirectResponse(f"/rescue/handover/{made.id}", status_code=303)

    @routes.get("/rescue/handover/{handover_id}")
    async def one(visit: Annotated[Visit, operator], handover_id: str) -> Response:
        try:
            made = await services.desk.handovers.get(visit.granted, number_of(handover_id))
        except RefuseInput:
            return visit.render("not_found.html", status=404)
        await services.shown(visit.granted, made)
        return visit.render("rescue_handed.html", made=made, head=services.feed.head)

    return routes


async def _page(
    services: Services,
    visit: Visit,
    form: dict[str, str],
    *,
    error: str = "",
    status: int = 200,
) -> Response:
    shift = await shift_of(services, visit.granted)
    earlier = await services.desk.handovers.find(visit.granted)
    open_rows = await views_of(services, shift.open[:SHOWN_MAX], visit.now_ms)
    ended_rows = await views_of(services, shift.ended[:SHOWN_MAX], visit.now_ms)
    things = [row.incident for row in (*open_rows, *ended_rows)]
    await services.shown(visit.granted, *things, *earlier)
    return visit.render(
        "rescue_handover.html",
        status=status,
        head=services.feed.head,
        error=error,
        given={name: form.get(name, "") for name in ("to", "note")},
        from_at=shift.from_at,
        opened=len(shift.opened),
        ended_count=len(shift.ended),
        open_rows=open_rows,
        ended_rows=ended_rows,
        earlier=earlier,
    )
