"""Signing in and out, and the choice of language."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.session import SESSION_COOKIE
from cloud.web.texts import LANGUAGES
from cloud.web.visit import LANGUAGE_COOKIE, YEAR_S, Visit, local_path
from protocols.errors import RefuseInput


def router(services: Services, anyone: Callable[[Request], Visit]) -> APIRouter:
    """Build /login, /logout and /language."""
    routes = APIRouter()
    visitor = Depends(anyone)

    @routes.get("/login")
    async def show(visit: Annotated[Visit, visitor]) -> Response:
        return _page(visit, visit.request.query_params.get("next", "/"))

    @routes.post("/login")
    async def log_in(visit: Annotated[Visit, visitor]) -> Response:
        form = await visit.form()
        target = local_path(form.get("next", "/"))
        try:
            visit.check_same_site()
        except RefuseInput:
            return _page(visit, target, status=403, error=visit.t("login.foreign"))
        client = visit.request.client
        try:
            session = services.access.log_in(
                form.get("token", "").strip(),
                person=form.get("person", ""),
                address=client.host if client else "",
            )
        except RefuseInput as error:
            wait = visit.t("login.wait", seconds=error.detail)
            response = _page(visit, target, status=429, error=wait)
            response.headers["Retry-After"] = error.detail
            return response
        if session is None:
            return _page(visit, target, status=401, error=visit.t("login.wrong"))
        response = RedirectResponse(target, status_code=303)
        visit.set_session(response, session)
        return response

    @routes.post("/logout")
    async def log_out(visit: Annotated[Visit, visitor]) -> Response:
        visit.check_csrf((await visit.form()).get("csrf", ""))
        response = RedirectResponse("/login", status_code=303)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
        return response

    @routes.get("/language/{language}")
    async def choose(visit: Annotated[Visit, visitor], language: str) -> Response:
        target = local_path(visit.request.query_params.get("next", "/"))
        response = RedirectResponse(target, status_code=303)
        if language in LANGUAGES:
            response.set_cookie(
                LANGUAGE_COOKIE,
                language,
                max_age=YEAR_S,
                httponly=True,
                samesite="lax",
                secure=visit.is_https(),
            )
        return response

    return routes


def _page(visit: Visit, target: str, *, status: int = 200, error: str = "") -> Response:
    return visit.render("login.html", status=status, target=local_path(target), error=error)
