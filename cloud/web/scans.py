"""What readers and scanners saw, as it comes in."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.web.visit import Visit

SHOWN = 50


def router(services: Services, signed_in: Callable[[Request], Visit]) -> APIRouter:
    """Build /scans and its part; `?code=` shows where one code was seen."""
    routes = APIRouter()
    visitor = Depends(signed_in)

    async def shown(request: Request) -> dict[str, Any]:
        code = request.query_params.get("code", "").strip()
        return {"code": code, "scans": await services.scans(code=code or None, limit=SHOWN)}

    @routes.get("/scans")
    async def scans(request: Request, visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("scans.html", head=services.feed.head, **await shown(request))

    @routes.get("/parts/scans")
    async def part(request: Request, visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("parts/scans.html", **await shown(request))

    return routes
