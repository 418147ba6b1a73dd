"""The rescue centre's console: open alarms, worst first, and the recent ones."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.model.alarm import Alarm
from cloud.model.principal import Scope
from cloud.web.view import ASKING, OPEN_STATES, alarm_view, asset_view, worst_first
from cloud.web.visit import SignedIn, Visit

CARDS_MAX = 12
"""Open alarms shown whole; those after them are shown as a line each."""
LINES_MAX = 100
OPEN_MAX = 5_000
"""Open alarms looked through for the worst."""
PAGE = 1_000
RECENT = 20
PLOT_MINUTES = 5


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build / and its parts."""
    routes = APIRouter()
    visitor = Depends(signed_in("alarms.read"))

    async def open_part(visit: Visit) -> dict[str, Any]:
        alarms = worst_first(await _all_open(services, visit.scope))
        shown = [await alarm_view(services, alarm, visit.t) for alarm in alarms[:LINES_MAX]]
        cards = [view.asset.asset for view in shown[:CARDS_MAX]]  # lines have no telephone
        await services.shown(visit.granted, *cards, *alarms[:LINES_MAX])
        return {
            "cards": shown[:CARDS_MAX],
            "lines": shown[CARDS_MAX:],
            "more": len(alarms) - len(shown),
            "total": len(alarms),
            "emergencies": _count(alarms, severity="emergency"),
            "asking": _count(alarms),
            "minutes": PLOT_MINUTES,
        }

    async def recent_part(visit: Visit) -> dict[str, Any]:
        found = await services.alarms.find(scope=visit.scope, limit=RECENT)
        await services.shown(visit.granted, *found)
        return {"recent": [await alarm_view(services, alarm, visit.t) for alarm in found]}

    @routes.get("/")
    async def console(visit: Annotated[Visit, visitor]) -> Response:
        head = services.feed.head  # before the lists, so that nothing falls between
        parts = await open_part(visit) | await recent_part(visit)
        return visit.render("console.html", head=head, **parts)

    @routes.get("/parts/open")
    async def show_open(visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("parts/open.html", **await open_part(visit))

    @routes.get("/parts/recent")
    async def show_recent(visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("parts/recent.html", **await recent_part(visit))

    @routes.get("/parts/alive")
    async def alive(visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("parts/alive.html")

    @routes.get("/parts/points/{asset_id}")
    async def show_points(visit: Annotated[Visit, visitor], asset_id: str) -> Response:
        await services.known_asset(asset_id, visit.scope)
        shown = await asset_view(services, asset_id, visit.t)
        return visit.render("parts/points.html", asset=shown)

    return routes


async def _all_open(services: Services, scope: Scope) -> list[Alarm]:
    found: list[Alarm] = []
    before: int | None = None
    while len(found) < OPEN_MAX:
        page = await services.alarms.find(
            scope=scope, states=OPEN_STATES, before_id=before, limit=PAGE
        )
        found += page
        if len(page) < PAGE:
            break
        before = page[-1].id
    return found


def _count(alarms: Sequence[Alarm], severity: str | None = None) -> int:
    """Count those that ask for an acknowledgement, or those of a severity."""
    if severity is None:
        return sum(alarm.state in ASKING for alarm in alarms)
    return sum(alarm.severity == severity for alarm in alarms)
