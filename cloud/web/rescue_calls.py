"""A telephone call to the rescue centre, taken down: the lift stands there while one types."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.asset import Asset
from cloud.model.incident import WantedIncidents
from cloud.web.refused import refused_text
from cloud.web.rescue_forms import call_of_form
from cloud.web.rescue_view import LiftView, as_lift, lift_of
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput, RetryLater

CODE_DIGITS_MIN = 4
"""Of a rescue code, before it is looked up; cities use five or six."""
TEXT_CHARS_MIN = 2
KEPT = ("rescue_code", "asset", "call", "people", "caller_name", "caller_phone", "note", "drill")


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /rescue/call and its look-ups."""
    routes = APIRouter()
    operator = Depends(signed_in("incidents.call"))

    @routes.get("/rescue/call")
    async def show(visit: Annotated[Visit, operator]) -> Response:
        return await _page(services, visit, {})

    @routes.post("/rescue/call")
    async def take(visit: Annotated[Visit, operator]) -> Response:
        form = await visit.checked_form()
        try:
            call = call_of_form(form)
            subject = f"asset:{call.asset}" if call.asset else "rescue-calls"
            noted = services.noted(visit.granted, subject, drill=call.drill)
            incident = await services.incidents.open_call(call, granted=visit.granted, also=[noted])
        except RefuseInput as refused:
            told = refused_text(refused, visit.t, about="rescue_wrong")
            form = form | await _kept(services, visit, form)
            return await _page(services, visit, form, error=told, status=400)
        except RetryLater:
            told = visit.t("rescue_wrong.later")
            return await _page(services, visit, form, error=told, status=503)
        return RedirectResponse(f"/rescue/{incident.id}", status_code=303)

    @routes.get("/parts/rescue-code")
    async def look_up(visit: Annotated[Visit, operator]) -> Response:
        code = visit.request.query_params.get("rescue_code", "").strip()
        return visit.render("parts/rescue_found.html", **await _by_code(services, visit, code))

    @routes.get("/parts/rescue-search")
    async def search(visit: Annotated[Visit, operator]) -> Response:
        text = visit.request.query_params.get("text", "").strip()
        found: list[tuple[LiftView, Any]] = []
        if len(text) >= TEXT_CHARS_MIN:
            lifts = await services.desk.lifts.search(text, visit.scope)
            found = await _with_open(services, visit, list(lifts))
        return visit.render("parts/rescue_search.html", found=found, text=text)

    return routes


async def _kept(services: Services, visit: Visit, form: dict[str, str]) -> dict[str, str]:
    """Return the number of the call that was kept though its lift is not known yet."""
    waiting = await services.incidents.calls(visit.scope, unplaced=True, limit=1)
    code = form.get("rescue_code", "").strip()
    mine = [one for one in waiting if one.by == visit.granted.by and one.rescue_code == code]
    return {"call": str(mine[0].id)} if mine and code else {}


async def _by_code(services: Services, visit: Visit, code: str) -> dict[str, Any]:
    found: list[tuple[LiftView, Any]] = []
    asked = code.isascii() and code.isdigit() and len(code) >= CODE_DIGITS_MIN
    if asked:
        lifts = await services.desk.lifts.by_code(code, visit.scope)
        found = await _with_open(services, visit, list(lifts))
    return {"found": found, "code": code, "asked": asked}


async def _with_open(
    services: Services, visit: Visit, assets: list[Asset]
) -> list[tuple[LiftView, Any]]:
    """Return lifts, each with its open incident: a further call joins that."""
    await services.shown(visit.granted, *assets)
    found = []
    for asset in assets:
        wanted = WantedIncidents(open=True, asset=asset.asset_id, limit=1)
        one = await services.incidents.find(wanted, visit.scope_of("incidents.read"))
        found.append((as_lift(asset), one[0] if one else None))
    return found


async def _page(
    services: Services,
    visit: Visit,
    form: dict[str, str],
    *,
    error: str = "",
    status: int = 200,
) -> Response:
    asked = visit.request.query_params
    given = {name: form.get(name, asked.get(name, ""))[:2_000] for name in KEPT}
    asset = given["asset"]
    chosen = lift_of(services, asset) if asset and services.registry.peek(asset) else None
    if chosen is not None and not visit.scope.admits(chosen.asset):
        chosen = None
    looked = await _by_code(services, visit, "" if chosen else given["rescue_code"])
    if chosen is not None:
        await services.shown(visit.granted, chosen.asset)
    return visit.render(
        "rescue_call.html",
        status=status,
        head=services.feed.head,
        given=given,
        chosen=chosen,
        error=error,
        **looked,
    )
