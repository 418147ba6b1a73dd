"""All pages, added to the application by the composition root."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from cloud.api.base import Services
from cloud.web import (
    alarm_figures,
    alarm_holds,
    alarms,
    assets,
    audit,
    codes,
    console,
    cylinder_cases,
    cylinder_fills,
    cylinder_notices,
    cylinder_reports,
    cylinders,
    data_rules,
    first_steps,
    fleet,
    hand,
    leaving,
    lifts,
    login,
    open_data,
    organisations,
    own_account,
    people,
    platforms,
    receivers,
    redeem,
    rescue,
    rescue_calls,
    rescue_figures,
    rescue_handover,
    rescue_link_desk,
    rescue_links,
    rescue_wall,
    scans,
    sign_on,
    signup,
    trace,
)
from cloud.web.visit import STATIC, NotForYou, SignInFirst, login_address, visits
from protocols.errors import StopService

FOREVER = "public, max-age=31536000, immutable"
NEEDED = ("htmx.min.js", "htmx-sse.min.js", "uplot.min.js", "uplot.min.css", "zxing.min.js")


class Static(StaticFiles):
    """Static files; one asked for by its content's hash may be kept for good."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Answer with the file."""
        response = super().file_response(*arguments, **options)
        scope = options.get("scope") or arguments[2]
        versioned = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = FOREVER if versioned else "no-cache"
        return response


def mount(app: FastAPI, services: Services) -> None:
    """Add the pages and their static files to `app`.

    Raises:
        StopService: the assets that come from npm were not built.

    """
    missing = [name for name in NEEDED if not (STATIC / "vendor" / name).is_file()]
    if missing:
        raise StopService(f"the pages lack {', '.join(missing)}: run python build_assets.py")
    anyone, signed_in = visits(services)
    for open_pages in (codes, hand, login, open_data, redeem, rescue_links, signup):
        app.include_router(open_pages.router(services, anyone))
    app.include_router(leaving.router(services, anyone, signed_in))
    if services.sign_on is not None:
        app.include_router(sign_on.router(services.sign_on, anyone))
    firms = (organisations, first_steps)
    app.include_router(own_account.router(services, anyone, signed_in))
    of_cylinders = (cylinders, cylinder_cases, cylinder_fills, cylinder_notices, cylinder_reports)
    of_alarms, of_lifts = (alarms, alarm_figures, alarm_holds), (fleet, lifts, platforms)
    of_rescue = (
        rescue_calls,
        rescue_figures,
        rescue_handover,
        rescue_wall,
        rescue_link_desk,
        rescue,
    )
    things = (*of_rescue, *of_alarms, assets, *of_cylinders, *of_lifts, receivers, scans, trace)
    for pages in (console, *things, *firms, people, audit, data_rules):
        app.include_router(pages.router(services, signed_in))
    app.mount("/static", Static(directory=STATIC))

    async def sign_in(request: Request, _error: Exception) -> Response:
        if _is_look(request):
            return RedirectResponse(login_address(request), status_code=303)
        return Response("signed out", status_code=401, media_type="text/plain")

    async def elsewhere(request: Request, error: Exception) -> Response:
        assert isinstance(error, NotForYou)  # noqa: S101  # as registered below
        if error.visit.lacks_second_factor() and _is_look(request):
            return RedirectResponse("/account", status_code=303)
        places = error.visit.places()
        if request.url.path == "/" and request.method == "GET" and places:
            return RedirectResponse(places[0][1], status_code=303)
        return error.visit.render("forbidden.html", status=403)

    app.add_exception_handler(SignInFirst, sign_in)
    app.add_exception_handler(NotForYou, elsewhere)


def _is_look(request: Request) -> bool:
    """Tell whether a whole page is asked for."""
    return request.method == "GET" and not request.headers.get("hx-request")
