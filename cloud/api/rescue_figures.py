"""Figures of rescues over a time."""

from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import QueryParams

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.parameters import check_names
from cloud.api.render import answer, timed_fields
from cloud.model.principal import Granted
from cloud.model.rescue_figures import FiguresBy
from protocols.clock import parse_time
from protocols.errors import RefuseInput

BY: tuple[FiguresBy, ...] = get_args(FiguresBy)
DAYS = 30
SPAN_MAX_MS = 3_660 * 86_400_000
"""Ten years; no rescue is kept longer."""
END_MS = 253_370_764_800_000
"""The year 9999, in any zone."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/rescue-figures and -causes."""
    routes = APIRouter(prefix="/api/v1")

    @routes.get("/rescue-figures")
    async def figures(
        request: Request, granted: Annotated[Granted, Depends(guard("incidents.read"))]
    ) -> Response:
        query = request.query_params
        check_names(query, ("from", "to", "by"))
        to_at = parse_time(query["to"]) if "to" in query else services.clock.wall_ms()
        from_at = parse_time(query["from"]) if "from" in query else to_at - DAYS * 86_400_000
        found = await services.incidents.figures(
            granted.scope, from_at=from_at, to_at=check_span(from_at, to_at), by=read_by(query)
        )
        return answer(timed_fields(found))

    @routes.get("/rescue-causes")
    async def causes(
        request: Request, _granted: Annotated[Granted, Depends(guard("incidents.read"))]
    ) -> Response:
        check_names(request.query_params, ())
        known = services.incidents.rules.causes
        return answer({"classes": known.class_, "causes": known.cause})

    return routes


def check_span(from_at: int, to_at: int) -> int:
    """Return the end of a span; RefuseInput `bad_request` when it has no good length."""
    within = 0 <= from_at < to_at <= END_MS
    if not within or to_at - from_at > SPAN_MAX_MS:
        raise RefuseInput("bad_request", "from, to: expected from before to, within ten years")
    return to_at


def read_by(query: QueryParams) -> FiguresBy:
    """Read the word to count by; RefuseInput `bad_request`."""
    found = query.get("by", "month")
    for one in BY:
        if one == found:
            return one
    expected = f"expected one of {', '.join(BY)}"
    raise RefuseInput("bad_request", f"by: {expected}, found {found[:20]!r}")
