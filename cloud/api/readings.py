"""Readings of an asset, raw or one value per step."""

import asyncio
from typing import Annotated, cast, get_args

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import QueryParams

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, several, step_ms, whole
from cloud.api.render import answer
from cloud.model.principal import Granted
from cloud.telemetry.base import Aggregate, Series
from protocols.clock import parse_time
from protocols.errors import RefuseInput, RetryLater
from protocols.ids import POINT_NAME

PARAMETERS = ("point", "from", "to", "step", "agg", "limit")
LIMIT = 10_000
LIMIT_MAX = 100_000
STEPS_MAX = 10_000
"""Steps of one answer; the rest is asked for by `next`."""
AT_ONCE_MAX = 2
WAITING_MAX = 32
"""Queries that wait for their turn; a further one is answered 503."""
TIME_MAX_MS = 253_402_300_800_000
"""The year 10000; what is asked beyond it is asked up to it."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A checked question for readings; from_ms <= observed_at < to_ms."""

    points: list[str]
    from_ms: int
    to_ms: int
    limit: int
    step_ms: int | None
    how: Aggregate


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/assets/{asset_id}/readings."""
    routes = APIRouter(prefix="/api/v1/assets")
    reader = Depends(guard("readings.read"))
    turns = asyncio.Semaphore(AT_ONCE_MAX)
    waiting = 0

    @routes.get("/{asset_id}/readings")
    async def get_readings(
        asset_id: str, request: Request, granted: Annotated[Granted, reader]
    ) -> Response:
        nonlocal waiting
        await services.known_asset(asset_id, granted.scope)
        query = read_query(request.query_params)
        if waiting >= WAITING_MAX:
            raise RetryLater("too many questions for readings at once")
        waiting += 1
        try:
            async with turns:
                series = await asyncio.to_thread(_ask, services, asset_id, query)
        finally:
            waiting -= 1
        body: dict[str, object] = {"points": series.points}
        if series.next is not None:
            body["next"] = series.next
        return answer(body)

    return routes


def read_query(query: QueryParams) -> Query:
    """Read and check the parameters.

    Raises:
        RefuseInput: `bad_request` or `bad_time`.

    """
    check_names(query, PARAMETERS)
    for name in ("from", "to"):
        if name not in query:
            raise RefuseInput("bad_request", f"{name}: expected ms since 1970 or ISO 8601")
    points = several(query, "point")
    for point in points:
        if not POINT_NAME.fullmatch(point):
            raise RefuseInput("bad_request", f"point: expected a name, found {point[:40]!r}")
    step, how = query.get("step"), query.get("agg")
    if how is not None and (step is None or how not in get_args(Aggregate)):
        words = ", ".join(get_args(Aggregate))
        raise RefuseInput("bad_request", f"agg: expected one of {words}, together with step")
    from_ms, to_ms = (_time(query[name]) for name in ("from", "to"))
    if to_ms < from_ms:
        raise RefuseInput("bad_request", "expected from <= to")
    return Query(
        points=points,
        from_ms=from_ms,
        to_ms=to_ms,
        limit=whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX),
        step_ms=None if step is None else step_ms(step),
        how=cast("Aggregate", how or "mean"),
    )


def _time(text: str) -> int:
    at = parse_time(text.replace(" ", "+"))  # a plus sign that nobody encoded
    return max(-TIME_MAX_MS, min(at, TIME_MAX_MS))


def _ask(services: Services, asset_id: str, query: Query) -> Series:
    if query.step_ms is None:
        return services.telemetry.readings(
            asset_id, query.points, query.from_ms, query.to_ms, query.limit
        )
    cut_ms = query.from_ms + min(STEPS_MAX, query.limit) * query.step_ms
    to_ms = query.to_ms
    if query.how == "mean":  # the last value holds until now, not into the future
        to_ms = max(query.from_ms, min(to_ms, services.clock.wall_ms() + 1))
    series = services.telemetry.aggregate(
        asset_id,
        query.points,
        query.from_ms,
        min(to_ms, cut_ms),
        query.step_ms,
        query.how,
    )
    if cut_ms < to_ms:
        return msgspec.structs.replace(series, next=cut_ms)
    return series
