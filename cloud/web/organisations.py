"""Organisations: the list, one of them, and what its office or its manager does with it."""

from typing import Annotated, Any, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import QueryParams

from cloud.api.base import Services
from cloud.model.organisation import Contact, Organisation, OrganisationState, Step
from cloud.model.permissions import load_categories
from cloud.organisations.base import Wanted
from cloud.web.refused import refused_text
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

SHOWN = 50
STATES: tuple[OrganisationState, ...] = get_args(OrganisationState)
DECISIONS: dict[OrganisationState, tuple[Step, ...]] = {
    "applied": ("confirm", "refuse"),
    "active": ("suspend",),
    "suspended": ("resume",),
}
STATUS_OF = {"not_found": 404, "wrong_state": 409, "forbidden": 403}


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /organisations, one of them, and what is done there."""
    routes = APIRouter()
    _add_reading(routes, services, Depends(signed_in("organisations.read")))
    _add_deciding(routes, services, Depends(signed_in("organisations.decide")))
    _add_contact(routes, services, Depends(signed_in("organisations.write")))
    return routes


def _add_reading(routes: APIRouter, services: Services, visitor: Any) -> None:
    @routes.get("/organisations")
    async def show_list(visit: Annotated[Visit, visitor]) -> Response:
        own = visit.granted.principal.organisation
        if visit.scope.organisations and not (visit.scope.everything or visit.scope.remits):
            return RedirectResponse(f"/organisations/{own}", status_code=303)
        wanted = _wanted(visit.request.query_params)
        found = await services.organisations.find(visit.scope, wanted)
        return visit.render(
            "organisations.html",
            organisations=found[:SHOWN],
            next_page=_next_page(visit.request.query_params, found),
            wanted=wanted,
            states=STATES,
            kinds=services.organisations.kinds,
        )

    @routes.get("/organisations/{organisation_id}")
    async def show_one(visit: Annotated[Visit, visitor], organisation_id: str) -> Response:
        try:
            one = await services.organisations.get(organisation_id, scope=visit.scope)
        except RefuseInput:
            return visit.render("not_found.html", status=404)
        return await _page(services, visit, one)


def _add_deciding(routes: APIRouter, services: Services, office: Any) -> None:
    def add(step: Step) -> None:
        @routes.post(f"/organisations/{{organisation_id}}/{step}")
        async def decide(visit: Annotated[Visit, office], organisation_id: str) -> Response:
            reason = (await visit.checked_form()).get("reason", "")
            noted = services.noted(visit.granted, f"organisation:{organisation_id}", step=step)
            try:
                await services.organisations.take(
                    organisation_id,
                    step,
                    scope=visit.scope,
                    by=visit.granted.principal,
                    reason=reason,
                    also=[noted],
                )
            except RefuseInput as error:
                return await _refused(services, visit, organisation_id, error)
            return RedirectResponse(f"/organisations/{organisation_id}", status_code=303)

    for step in sorted({step for steps in DECISIONS.values() for step in steps}):
        add(step)


def _add_contact(routes: APIRouter, services: Services, writer: Any) -> None:
    @routes.post("/organisations/{organisation_id}/contact")
    async def set_contact(visit: Annotated[Visit, writer], organisation_id: str) -> Response:
        form = await visit.checked_form()
        changed = ["contact.name", "contact.phone"]
        subject = f"organisation:{organisation_id}"
        try:
            await services.organisations.set_contact(
                organisation_id,
                Contact(name=form.get("name", ""), phone=form.get("phone", "")),
                scope=visit.scope,
                also=[services.noted(visit.granted, subject, changed=changed)],
            )
        except RefuseInput as error:
            return await _refused(services, visit, organisation_id, error)
        return RedirectResponse(f"/organisations/{organisation_id}", status_code=303)


async def _refused(
    services: Services, visit: Visit, organisation_id: str, error: RefuseInput
) -> Response:
    """Show the page again with what was wrong, if it is the visitor's to see."""
    status, scope = STATUS_OF.get(error.reason, 400), visit.scope_of("organisations.read")
    try:
        one = await services.organisations.get(organisation_id, scope=scope)
    except RefuseInput:
        return visit.render("not_found.html", status=404)
    return await _page(services, visit, one, status=status, error=refused_text(error, visit.t))


async def _page(
    services: Services, visit: Visit, one: Organisation, *, status: int = 200, error: str = ""
) -> Response:
    organisations, kind = services.organisations, services.organisations.kinds[one.kind]
    decides = visit.may("organisations.decide") and not kind.authority
    waits = decides and one.state == "applied"
    own = visit.granted.principal.organisation == one.id and not kind.authority
    await services.shown(visit.granted, one)
    return visit.render(
        "organisation.html",
        status=status,
        one=one,
        kind=kind,
        department=organisations.departments.get(one.department or ""),
        categories=[load_categories()[name] for name in one.categories],
        quotas=organisations.quotas(one),
        used=(await organisations.progress(one)).used,
        first_manager=await organisations.first_manager(one.id) if waits else None,
        steps=DECISIONS.get(one.state, ()) if decides else (),
        own=own,
        error=error,
    )


def _wanted(query: QueryParams) -> Wanted:
    """Read what a page asks for; what cannot be is left out."""
    at, _, after = query.get("after", "").partition(".")
    return Wanted(
        states=[state for state in query.getlist("state") if state in STATES],
        kind=query.get("kind") or None,
        text=query.get("text", "").strip()[:100] or None,
        after=(int(at), after) if at.isascii() and at.isdigit() and len(at) < 16 else None,
        limit=SHOWN + 1,
    )


def _next_page(query: QueryParams, found: list[Organisation]) -> str | None:
    if len(found) <= SHOWN:
        return None
    last = found[SHOWN - 1]
    kept = [(name, value) for name, value in query.multi_items() if name != "after"]
    return "/organisations?" + urlencode([*kept, ("after", f"{last.applied_at}.{last.id}")])
