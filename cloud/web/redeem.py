"""Where a one-time code becomes a password."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.web.refused import refused_text
from cloud.web.visit import Visit
from protocols.errors import RefuseInput, RetryLater


def router(services: Services, anyone: Callable[[Request], Visit]) -> APIRouter:
    """Build /redeem and what follows it."""
    routes = APIRouter()
    visitor = Depends(anyone)

    @routes.get("/redeem")
    async def show(visit: Annotated[Visit, visitor]) -> Response:
        return _page(visit)

    @routes.post("/redeem")
    async def redeem(visit: Annotated[Visit, visitor]) -> Response:
        form = await visit.form()
        code, password = form.get("code", ""), form.get("password", "")
        try:
            visit.check_same_site()
            if password != form.get("again"):
                raise RefuseInput("passwords_differ")
            await services.accounts.redeem(code, password, services.redeem_noted)
        except (RefuseInput, RetryLater) as error:
            return _page(visit, code, error)
        return RedirectResponse("/redeem/done", status_code=303)

    @routes.get("/redeem/done")
    async def done(visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("redeemed.html")

    return routes


def _page(visit: Visit, code: str = "", error: RefuseInput | RetryLater | None = None) -> Response:
    """Show the form; a code that may still be good need not be typed again."""
    status, text = 200, ""
    if isinstance(error, RetryLater):
        status, text = 503, visit.t("login.busy")
    elif error is not None:
        status = 403 if error.reason in ("forbidden", "bad_code") else 400
        text = refused_text(error, visit.t, about="wrong_account")
    return visit.render("redeem.html", status=status, code=code[:64], error=text)
