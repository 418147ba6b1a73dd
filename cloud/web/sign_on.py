"""Coming in by a department's own sign-on: leaving for it, coming back, linking an account."""

import logging
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from cloud.oidc.base import SignOn
from cloud.web.visit import Visit, local_path
from protocols.errors import RefuseInput, RetryLater

COOKIE = "suyuan_sign_on"
COOKIE_S = 600
STATUS_OF = {
    "not_found": 404,
    "denied": 401,
    "not_linked": 403,
    "linked_elsewhere": 409,
    "forbidden": 403,
}
PREFIX = "/login/with"

_log = logging.getLogger(__name__)


def router(desk: SignOn, anyone: Callable[[Request], Visit]) -> APIRouter:
    """Build the pages below /login/with."""
    routes = APIRouter(prefix=PREFIX)
    visitor = Depends(anyone)

    @routes.get("/{way}")
    async def leave(visit: Annotated[Visit, visitor], way: str) -> Response:
        target = local_path(visit.request.query_params.get("next", "/"))
        try:
            begun = await desk.begin(way, target=target)
        except (RefuseInput, RetryLater) as error:
            return _stay(visit, way, target, error)
        response = RedirectResponse(begun.url, status_code=303)
        _set_cookie(visit, response, begun.cookie)
        return response

    @routes.post("/{way}/link")
    async def begin_link(visit: Annotated[Visit, visitor], way: str) -> Response:
        visit.check_csrf((await visit.form()).get("csrf", ""))
        account = _account(visit)
        if account is None:
            raise RefuseInput("forbidden", "only an account can be linked")
        try:
            begun = await desk.begin(way, target="/account?done=linked", link=account)
        except (RefuseInput, RetryLater) as error:
            return _stay(visit, way, "/", error)
        response = visit.render("sign_on.html", url=begun.url)
        _set_cookie(visit, response, begun.cookie)
        return response

    @routes.get("/{way}/back")
    async def back(visit: Annotated[Visit, visitor], way: str) -> Response:
        query = dict(visit.request.query_params)
        cookie = visit.request.cookies.get(COOKIE, "")
        try:
            arrived = await desk.finish(way, cookie=cookie, query=query, account=_account(visit))
        except (RefuseInput, RetryLater) as error:
            response = _stay(visit, way, "/", error)
        else:
            response = RedirectResponse(local_path(arrived.target), status_code=303)
            visit.set_session(response, arrived.session)
        response.delete_cookie(
            COOKIE, path="/", httponly=True, samesite="lax", secure=visit.is_https()
        )
        return response

    return routes


def _account(visit: Visit) -> int | None:
    return visit.session.principal.account if visit.session else None


def _set_cookie(visit: Visit, response: Response, sealed: str) -> None:
    response.set_cookie(
        COOKIE,
        sealed,
        max_age=COOKIE_S,
        path="/",
        httponly=True,
        samesite="lax",  # it must come along when the other side sends the browser back
        secure=visit.is_https(),
    )


def _stay(visit: Visit, way: str, target: str, error: RefuseInput | RetryLater) -> Response:
    """Show the login page with what went wrong: the other ways in are still there."""
    _log.warning("sign-on %s: %s", way[:40], error)
    reason = error.reason if isinstance(error, RefuseInput) else "away"
    status = 503 if reason == "away" else STATUS_OF.get(reason, 400)
    words = visit.t.find(f"sign_on.{reason}", visit.t("sign_on.failed"))
    response = visit.render("login.html", status=status, target=target, error=words, pending="")
    if status == 503:
        response.headers["Retry-After"] = "10"
    return response
