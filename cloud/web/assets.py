"""An asset's own page, a lift's above all."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.model.principal import Scope
from cloud.web.view import PLACE, alarm_view, asset_view
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

PLOT_MINUTES = 30
ALARMS = 20
SHOWN_ELSEWHERE = (*PLACE, "maintenance_phone", "rescue_code")


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /assets/{asset_id}."""
    routes = APIRouter()
    visitor = Depends(signed_in("assets.read"))

    @routes.get("/assets/{asset_id}")
    async def show(visit: Annotated[Visit, visitor], asset_id: str) -> Response:
        if not await _is_known(services, asset_id, visit.scope):
            return visit.render("not_found.html", status=404)
        head = services.feed.head
        view = await asset_view(services, asset_id, visit.t)
        found = await services.alarms.find(
            scope=visit.scope_of("alarms.read"), asset=asset_id, limit=ALARMS
        )
        await services.shown(visit.granted, view.asset, *found)
        others = {
            name: value
            for name, value in sorted(view.asset.attributes.items())
            if name not in SHOWN_ELSEWHERE
        }
        return visit.render(
            "asset.html",
            asset=view,
            attributes=others,
            recent=[await alarm_view(services, alarm, visit.t) for alarm in found],
            head=head,
            minutes=PLOT_MINUTES,
        )

    @routes.get("/parts/asset-points/{asset_id}")
    async def show_points(visit: Annotated[Visit, visitor], asset_id: str) -> Response:
        await services.known_asset(asset_id, visit.scope)
        view = await asset_view(services, asset_id, visit.t)
        return visit.render("parts/point_table.html", asset=view)

    return routes


async def _is_known(services: Services, asset_id: str, scope: Scope) -> bool:
    try:
        await services.known_asset(asset_id, scope)
    except RefuseInput:
        return False
    return True
