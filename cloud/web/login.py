"""Signing in and out, and the choice of language."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.session import SESSION_COOKIE, Pending, Session
from cloud.web.texts import LANGUAGES
from cloud.web.visit import LANGUAGE_COOKIE, YEAR_S, Visit, local_path
from protocols.errors import RefuseInput, RetryLater


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
        try:
            found = await _come_in(services, visit, form)
        except (RefuseInput, RetryLater) as error:
            return _not_now(visit, target, error)
        if isinstance(found, Pending):
            return _page(visit, target, pending=found.token)
        if found is None:
            return _wrong(visit, target, form)
        if visit.session is not None:  # whoever was here before
            await services.access.log_out(visit.session)
        response = RedirectResponse(target, status_code=303)
        visit.set_session(response, found)
        return response

    @routes.post("/logout")
    async def log_out(visit: Annotated[Visit, visitor]) -> Response:
        visit.check_csrf((await visit.form()).get("csrf", ""))
        if visit.session is not None:
            await services.access.log_out(visit.session)
        response = RedirectResponse("/login", status_code=303)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
        return response

    _add_language(routes, visitor)
    return routes


def _add_language(routes: APIRouter, visitor: Any) -> None:
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


async def _come_in(
    services: Services, visit: Visit, form: Mapping[str, str]
) -> Session | Pending | None:
    """Try the way in that the form is filled for: a code, the token, or name and password."""
    access = services.access
    address, known = visit.browser.address, visit.browser.known
    if pending := form.get("pending", ""):
        code = form.get("code", "").strip()
        return await access.log_in_second(pending, code, address=address, known=known)
    if token := form.get("token", "").strip():
        return await access.log_in_token(token, person=form.get("person", ""), address=address)
    return await access.log_in(
        form.get("username", ""), form.get("password", ""), address=address, known=known
    )


def _not_now(visit: Visit, target: str, error: RefuseInput | RetryLater) -> Response:
    if isinstance(error, RetryLater):
        return _page(visit, target, status=503, error=visit.t("login.busy"))
    if error.reason != "too_many_attempts":
        return _page(visit, target, status=401, error=visit.t("login.too_late"))
    wait = visit.t("login.wait", seconds=error.detail)
    response = _page(visit, target, status=429, error=wait)
    response.headers["Retry-After"] = error.detail
    return response


def _wrong(visit: Visit, target: str, form: Mapping[str, str]) -> Response:
    """Say that it was wrong, and ask for the same again."""
    if pending := form.get("pending", ""):
        error = visit.t("login.wrong_code")
        return _page(visit, target, status=401, error=error, pending=pending)
    wrong = "login.wrong_token" if form.get("token") else "login.wrong"
    return _page(visit, target, status=401, error=visit.t(wrong))


def _page(
    visit: Visit, target: str, *, status: int = 200, error: str = "", pending: str = ""
) -> Response:
    return visit.render(
        "login.html", status=status, target=local_path(target), error=error, pending=pending
    )
