"""Where things come from and where they went."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import QueryParams

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.lineage_sheet import sheet
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer
from cloud.model.principal import Granted, Scope
from cloud.trace.lineage.base import Bounds, Direction, Question
from protocols.clock import parse_time
from protocols.errors import RefuseInput

PARAMETERS = ("item", "direction", "at", "items", "depth", "horizon", "format")
STARTS_MAX = 50
ITEM_CHARS_MAX = 2_000
ITEMS, ITEMS_MAX = 1_000, 10_000
DEPTH_MAX = 1_000
TIME_MAX_MS = 253_402_300_800_000
"""The year 10000."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/lineage: `item` once or several times, as identifier or code."""
    routes = APIRouter(prefix="/api/v1/lineage")

    @routes.get("")
    async def lineage(
        request: Request, granted: Annotated[Granted, Depends(guard("trace.read"))]
    ) -> Response:
        query = request.query_params
        check_names(query, PARAMETERS)
        form = _one_of(query, "format", ("json", "csv"))
        asked = await question(query, services, granted.scope)
        shown = await services.trace.lineages.trace(asked, scope=granted.scope)
        if form == "csv":
            headers = {"Content-Disposition": 'attachment; filename="lineage.csv"'}
            return Response(sheet(shown), media_type="text/csv; charset=utf-8", headers=headers)
        return answer(shown)

    return routes


async def question(query: QueryParams, services: Services, scope: Scope) -> Question:
    """Read what is asked; RefuseInput `bad_request`, `ambiguous`."""
    texts = [one.strip() for one in query.getlist("item") if one.strip()]
    if not 1 <= len(texts) <= STARTS_MAX or max(map(len, texts)) > ITEM_CHARS_MAX:
        raise RefuseInput("bad_request", f"item: expected 1 to {STARTS_MAX}, found {len(texts)}")
    bounds = Bounds(
        items=whole(query, "items", ITEMS, low=1, high=ITEMS_MAX),
        depth=whole(query, "depth", Bounds().depth, low=1, high=DEPTH_MAX),
        horizon_us=_time_us(query, "horizon"),
    )
    direction = cast("Direction", _one_of(query, "direction", ("back", "forward")))
    start = await services.trace.lineages.items(texts, scope=scope)
    return Question(start, direction, _time_us(query, "at"), bounds)


def _one_of(query: QueryParams, name: str, known: tuple[str, ...]) -> str:
    text = query.get(name, known[0])
    if text not in known:
        expected = " or ".join(known)
        raise RefuseInput("bad_request", f"{name}: expected {expected}, found {text[:40]!r}")
    return text


def _time_us(query: QueryParams, name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    at_ms = parse_time(text.replace(" ", "+"))  # a plus sign that nobody encoded
    return max(-TIME_MAX_MS, min(at_ms, TIME_MAX_MS)) * 1000
