"""Pages that show a code or a key once: a post leads to one, and loading it again shows nothing."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response
from fastapi.responses import RedirectResponse

from cloud.web.visit import Visit

COOKIE = "suyuan_once"
COOKIE_S = 120


def lead_to(
    visit: Visit, path: str, content: Mapping[str, str], *, signed_out: bool = False
) -> Response:
    """Lead to the page at `path`, which shows the content.

    `signed_out`: the post ended the session, so that nothing but the browser is bound to it.
    """
    session = visit.session.id if visit.session and not signed_out else ""
    response = RedirectResponse(path, status_code=303)
    sealed = visit.services.access.seal(path, content, session=session)
    visit.set_cookie(response, COOKIE, sealed, COOKIE_S)
    return response


def content_of(visit: Visit) -> Mapping[str, str] | None:
    """Return what the page that is asked for shows, None when it was shown or never was."""
    sealed, path = visit.request.cookies.get(COOKIE, ""), visit.request.url.path
    session = visit.session.id if visit.session else ""
    return visit.services.access.unseal(path, sealed, session=session)


def show(visit: Visit, template: str, **values: Any) -> Response:
    """Show it, this once."""
    response = visit.render(template, **values)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=visit.is_https())
    return response


def shown_already(visit: Visit, back: str) -> Response:
    """Say that it is not shown again; `back`: where to go on."""
    return visit.render("shown_already.html", back=back)
