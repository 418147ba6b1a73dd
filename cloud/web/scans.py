"""What readers and scanners saw, as it comes in."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.web.visit import SignedIn, Visit

SHOWN = 50


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /scans and its part; `?code=` shows where one code was seen."""
    routes = APIRouter()
    visitor = Depends(signed_in("scans.read"))

    async def shown(request: Request, visit: Visit) -> dict[str, Any]:
        code = request.query_params.get("code", "").strip()
        among = services.registry.gateways_in(visit.scope)
        found = await services.scans(among=among, code=code or None, limit=SHOWN)
        return {"code": code, "scans": found}

    @routes.get("/scans")
    async def scans(request: Request, visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("scans.html", head=services.feed.head, **await shown(request, visit))

    @routes.get("/parts/scans")
    async def part(request: Request, visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("parts/scans.html", **await shown(request, visit))

    return routes
