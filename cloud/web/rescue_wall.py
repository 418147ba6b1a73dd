"""The wall of the rescue centre: to be read from five metres, touched by nobody."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.model.incident import Incident, WantedIncidents
from cloud.web.rescue_map import points_of, scatter
from cloud.web.rescue_view import SOON_MS, board_of
from cloud.web.visit import SignedIn, Visit

ROWS = 8
DAY_MS = 24 * 3_600_000
LOOKED_BACK_MAX = 1_000
DISTRICTS = 8
RESPONSE_MS, ARRIVAL_MS = 3 * 60_000, 30 * 60_000


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
    wanted = WantedIncidents(from_at=visit.now_ms - DAY_MS, drill=False, limit=LOOKED_BACK_MAX)
    day = await services.incidents.find(wanted, visit.scope)
    points = points_of(board.rows)
    districts = Counter(row.lift.asset.district for row in board.rows)
    await services.shown(
        visit.granted, *(thing for row in board.rows for thing in (row.lift.asset, row.incident))
    )
    return {
        "board": board,
        "rows": board.rows[:ROWS],
        "more": board.total - len(board.rows[:ROWS]),
        "day": day_of(day),
        "districts": districts.most_common(DISTRICTS),
        "points": points,
        "scatter": scatter(points),
        "style_url": services.desk.map_style_url,
        "soon_ms": SOON_MS,
    }


def day_of(incidents: Sequence[Incident]) -> dict[str, int | None]:
    """Return the figures of the last 24 h; shares in whole percent, None of nothing."""
    real = [one for one in incidents if one.state not in ("false_alarm", "cancelled", "merged")]
    freed = [one for one in real if one.released_at is not None]
    return {
        "all": len(incidents),
        "false": sum(one.state == "false_alarm" for one in incidents),
        "freed": sum(one.released_people or 0 for one in freed),
        "response": _share(real, "accepted_at", RESPONSE_MS),
        "arrival": _share(real, "arrived_at", ARRIVAL_MS),
    }


def _share(incidents: Sequence[Incident], name: str, within_ms: int) -> int | None:
    taken: list[int] = [
        at - one.detected_at for one in incidents if (at := getattr(one, name)) is not None
    ]
    if not taken:
        return None
    return round(100 * sum(ms <= within_ms for ms in taken) / len(taken))
