"""How a firm leaves: with all its data, if it wants, and for good."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.session import SESSION_COOKIE
from cloud.web.refused import refused_text
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput


def router(
    services: Services, anyone: Callable[[Request], Visit], signed_in: SignedIn
) -> APIRouter:
    """Build /leave and the page after it."""
    routes = APIRouter()
    manager = Depends(signed_in("organisations.leave"))

    @routes.get("/leave")
    async def show(visit: Annotated[Visit, manager]) -> Response:
        return _page(services, visit)

    @routes.post("/leave")
    async def leave(visit: Annotated[Visit, manager]) -> Response:
        form = await visit.checked_form()
        own = visit.granted.principal.organisation or ""
        try:
            await services.organisations.leave(
                own,
                form.get("credit_code", ""),
                scope=visit.scope,
                by=visit.granted.principal,
                also=[services.noted(visit.granted, f"organisation:{own}", step="leave")],
            )
        except RefuseInput as error:
            return _page(services, visit, error)
        response = RedirectResponse("/left", status_code=303)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
        return response

    @routes.get("/left")
    async def left(visit: Annotated[Visit, Depends(anyone)]) -> Response:
        return visit.render("left.html")

    return routes


def _page(services: Services, visit: Visit, error: RefuseInput | None = None) -> Response:
    one = services.organisations.peek(visit.granted.principal.organisation or "")
    if one is None:
        return visit.render("not_found.html", status=404)
    return visit.render(
        "leave.html",
        status=200 if error is None else 400,
        one=one,
        error=refused_text(error, visit.t) if error else "",
    )
