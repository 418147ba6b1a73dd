"""Where a firm asks to be let in."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.organisation import Application, Contact
from cloud.model.permissions import load_categories
from cloud.web.refused import refused_text
from cloud.web.visit import Visit
from protocols.errors import RefuseInput

KEPT = ("kind", "name", "credit_code", "district", "contact_name", "phone", "username")
"""Fields that are shown again when something was wrong."""
BUSY = ("too_many_attempts", "too_many_applications")


def router(services: Services, anyone: Callable[[Request], Visit]) -> APIRouter:
    """Build /signup and what follows it."""
    routes = APIRouter()
    visitor = Depends(anyone)

    @routes.get("/signup")
    async def show(visit: Annotated[Visit, visitor]) -> Response:
        return _page(services, visit, {})

    @routes.post("/signup")
    async def ask(visit: Annotated[Visit, visitor]) -> Response:
        form = await visit.form()
        client = visit.request.client
        try:
            visit.check_same_site()
            if form.get("password") != form.get("again"):
                raise RefuseInput("passwords_differ")
            await services.sign_ups.apply(
                _application(form),
                address=client.host if client else "",
                noted=services.sign_up_noted,
            )
        except RefuseInput as error:
            return _page(services, visit, form, error)
        return RedirectResponse("/signup/received", status_code=303)

    @routes.get("/signup/received")
    async def received(visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("sign_up_received.html")

    return routes


def _application(form: dict[str, str]) -> Application:
    chosen = [name for name in load_categories() if form.get(f"category_{name}")]
    return Application(
        kind=form.get("kind", ""),
        name=form.get("name", ""),
        credit_code=form.get("credit_code", ""),
        districts=tuple(filter(None, [form.get("district", "")])),
        categories=tuple(chosen),
        contact=Contact(name=form.get("contact_name", ""), phone=form.get("phone", "")),
        username=form.get("username", ""),
        password=form.get("password", ""),
    )


def _page(
    services: Services, visit: Visit, form: dict[str, str], error: RefuseInput | None = None
) -> Response:
    busy = error is not None and error.reason in BUSY
    status = 200 if error is None else 429 if busy else 403 if error.reason == "forbidden" else 400
    response = visit.render(
        "sign_up.html",
        status=status,
        kept={name: form.get(name, "") for name in KEPT},
        chosen=[name for name in load_categories() if form.get(f"category_{name}")],
        categories=load_categories().values(),
        districts=sorted(services.sign_ups.districts()),
        kinds=[kind for kind in services.organisations.kinds.values() if kind.signs_up],
        error=refused_text(error, visit.t) if error else "",
    )
    if busy and error is not None:
        response.headers["Retry-After"] = error.detail
    return response
