"""The wall of the rescue centre: to be read from five metres, touched by nobody."""

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.web.rescue_map import has_map, points_of, scatter
from cloud.web.rescue_view import SOON_MS, board_of
from cloud.web.visit import SignedIn, Visit

ROWS = 8
DAY_MS = 24 * 3_600_000
DISTRICTS = 8


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /rescue/wall and its part."""
    routes = APIRouter()
    reader = Depends(signed_in("incidents.read"))

    @routes.get("/rescue/wall")
    async def wall(visit: Annotated[Visit, reader]) -> Response:
        head = services.feed.head
        return visit.render("rescue_wall.html", head=head, **await _wall(services, visit))

    @routes.get("/parts/rescue-wall")
    async def show(visit: Annotated[Visit, reader]) -> Response:
        return visit.render("parts/rescue_wall.html", **await _wall(services, visit))

    return routes


async def _wall(services: Services, visit: Visit) -> dict[str, Any]:
    board = await board_of(services, visit.scope, visit.now_ms)
    day = await services.incidents.figures(
        visit.scope, from_at=visit.now_ms - DAY_MS, to_at=visit.now_ms + 1, by="hour"
    )
    points = points_of(board.rows)
    districts = Counter(row.lift.asset.district for row in board.rows)
    await services.shown(
        visit.granted, *(thing for row in board.rows for thing in (row.lift.asset, row.incident))
    )
    return {
        "board": board,
        "rows": board.rows[:ROWS],
        "more": board.total - len(board.rows[:ROWS]),
        "day": day.total,
        "districts": districts.most_common(DISTRICTS),
        "points": points,
        "has_map": has_map(),
        "scatter": scatter(points),
        "style_url": services.desk.map_style_url,
        "soon_ms": SOON_MS,
    }
