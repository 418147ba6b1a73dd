"""An asset's own page, a lift's above all."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.web.view import PLACE, alarm_view, asset_view
from cloud.web.visit import Visit
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id

PLOT_MINUTES = 30
ALARMS = 20
SHOWN_ELSEWHERE = (*PLACE, "maintenance_phone", "rescue_code")


def router(services: Services, signed_in: Callable[[Request], Visit]) -> APIRouter:
    """Build /assets/{asset_id}."""
    routes = APIRouter()
    visitor = Depends(signed_in)

    @routes.get("/assets/{asset_id}")
    async def show(visit: Annotated[Visit, visitor], asset_id: str) -> Response:
        if not await _is_known(services, asset_id):
            return visit.render("not_found.html", status=404)
        head = services.feed.head
        view = await asset_view(services, asset_id, visit.t)
        found = await services.alarms.find(
            states=None, asset=asset_id, before_id=None, limit=ALARMS
        )
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
        view = await asset_view(services, asset_id, visit.t)
        return visit.render("parts/point_table.html", asset=view)

    return routes


async def _is_known(services: Services, asset_id: str) -> bool:
    try:
        check_asset_id(asset_id)
    except RefuseInput:
        return False
    return await services.registry.get(asset_id) is not None or bool(services.latest(asset_id))
