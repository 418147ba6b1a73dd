"""Where from, where to: the lineage of an item as a picture and a table."""

from typing import Annotated, Any, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.trace.lineage.base import Bounds, Direction, Question, Shown
from cloud.web.lineage_picture import HEIGHT, WIDTH, draw
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

ITEM_CHARS_MAX = 2_000
BOUNDS = Bounds(items=2_000)
STEPS_SHOWN = 200
OPENED_MAX = 50


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /trace; `?item=` and `?direction=` ask, `?open=` unfolds a fan."""
    routes = APIRouter()

    @routes.get("/trace")
    async def trace(
        request: Request, visit: Annotated[Visit, Depends(signed_in("trace.read"))]
    ) -> Response:
        query = request.query_params
        item = query.get("item", "").strip()[:ITEM_CHARS_MAX]
        direction = "forward" if query.get("direction") == "forward" else "back"
        asked: dict[str, Any] = {"item": item, "direction": direction, "fault": "", "shown": None}
        asked["around"] = lambda other: (
            "/trace?" + urlencode({"item": other, "direction": direction})
        )
        head = services.feed.head
        if not item:
            return visit.render("trace.html", head=head, **asked)
        lineages = services.trace.lineages
        try:
            start = await lineages.items([item], scope=visit.scope)
            question = Question(start, cast("Direction", direction), None, BOUNDS)
            shown = await lineages.trace(question, scope=visit.scope)
        except RefuseInput as refusal:
            asked["fault"] = refusal.reason
            asked["may_be"] = lineages.meant(item) if refusal.reason == "ambiguous" else ()
            return visit.render("trace.html", status=404, head=head, **asked)
        opened = [int(one) for one in query.getlist("open")[:OPENED_MAX] if one.isdecimal()]
        asked["shown"] = shown
        return visit.render("trace.html", head=head, **asked, **_seen(shown, opened))

    return routes


def _seen(shown: Shown, opened: list[int]) -> dict[str, Any]:
    item, direction = shown.start[0], shown.direction

    def address(**more: object) -> str:
        return "/trace?" + urlencode({"item": item, "direction": direction, **more}, doseq=True)

    return {
        "picture": draw(shown, opened),
        "box": {"width": WIDTH, "height": HEIGHT},
        "steps": shown.steps[:STEPS_SHOWN],
        "steps_more": max(0, len(shown.steps) - STEPS_SHOWN) + shown.cut.steps,
        "unfolded": lambda number: address(open=[*opened, number]),
        "sheet": "/api/v1/lineage?" + urlencode({"item": item, "direction": direction}),
        "bare": lambda word: (word or "").rpartition("/")[2].partition("-")[2] or word,
    }
