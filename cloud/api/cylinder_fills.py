"""Fillings of gas cylinders, the latest first."""

import re
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Request, Response
from msgspec.structs import replace
from starlette.datastructures import QueryParams

from cloud.api.base import Services
from cloud.api.cylinders import LIMIT, LIMIT_MAX, TEXT_CHARS_MAX, cylinder_id
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, whole
from cloud.api.render import page, timed_fields
from cloud.cylinders.base import WantedDecisions, WantedFills
from cloud.model.cylinder_fill import CylinderFill, FillState
from cloud.model.principal import Granted
from protocols.clock import parse_time
from protocols.cylinders.base import Decision
from protocols.errors import RefuseInput
from protocols.records import FillFault

_BEFORE = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")
_TEXTS = ("filler", "gateway", "state", "fault", "known", "permitted")
_PAGE = ("since", "before", "limit")
_DECISIONS = ("cylinder", "filler", "gateway", "gate", "decision", "refused", "reason", *_PAGE)


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls of fillings."""
    routes = APIRouter(prefix="/api/v1")
    reader, desks = Depends(guard("cylinders.read")), services.cylinders

    async def found(request: Request, granted: Granted, wanted: WantedFills) -> Response:
        some = await desks.fills.find(granted.scope, replace(wanted, limit=wanted.limit + 1))
        more, some = len(some) > wanted.limit, some[: wanted.limit]
        await services.shown(granted, *some)
        return page(
            [fill_fields(one) for one in some],
            request=request,
            next_page={"before": f"{some[-1].began_at}-{some[-1].id}"} if more else {},
        )

    @routes.get("/cylinder-fills")
    async def list_fills(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ("cylinder", *_TEXTS, *_PAGE))
        wanted = _wanted(request.query_params)
        cylinder = request.query_params.get("cylinder")
        if cylinder:
            wanted = replace(wanted, asset_id=cylinder_id(cylinder))
        return await found(request, granted, wanted)

    @routes.get("/cylinders/{code}/fills")
    async def list_of_one(
        code: str, request: Request, granted: Annotated[Granted, reader]
    ) -> Response:
        check_names(request.query_params, (*_TEXTS, *_PAGE))
        asset_id = cylinder_id(code)
        await desks.cylinders.get(asset_id, granted.scope)
        return await found(
            request, granted, replace(_wanted(request.query_params), asset_id=asset_id)
        )

    _add_decisions(routes, services, reader)
    return routes


def _add_decisions(routes: APIRouter, services: Services, reader: Any) -> None:
    """Add what gates decided, also where they refused."""

    @routes.get("/cylinder-decisions")
    async def list_decisions(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, _DECISIONS)
        wanted = _wanted_decisions(request.query_params)
        asked = replace(wanted, limit=wanted.limit + 1)
        some = await services.cylinders.fills.decisions(granted.scope, asked)
        more, some = len(some) > wanted.limit, some[: wanted.limit]
        await services.shown(granted, *some)
        fields = [timed_fields(one) for one in some]
        for one in fields:
            del one["key"]
        last = {"before": some[-1].key} if more else {}
        return page(fields, request=request, next_page=last)


def fill_fields(fill: CylinderFill) -> dict[str, Any]:
    """Return a filling as JSON-ready fields."""
    fields = timed_fields(fill)
    del fields["change"]
    return fields


def _wanted(query: QueryParams) -> WantedFills:
    """Read which fillings are asked for; RefuseInput `bad_request`."""
    before = query.get("before")
    match = _BEFORE.fullmatch(before) if before else None
    if before and match is None:
        raise RefuseInput("bad_request", f"before: expected as in Link, found {before[:40]!r}")
    since = query.get("since")
    return WantedFills(
        filler=(query.get("filler") or "")[:TEXT_CHARS_MAX] or None,
        gateway=(query.get("gateway") or "")[:TEXT_CHARS_MAX] or None,
        state=_one_of(query, "state", get_args(FillState)),
        fault=_one_of(query, "fault", get_args(FillFault)),
        known=_flag(query, "known"),
        permitted=_flag(query, "permitted"),
        since=parse_time(since.replace(" ", "+")) if since else None,
        before=(int(match[1]), int(match[2])) if match else None,
        limit=whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX),
    )


def _wanted_decisions(query: QueryParams) -> WantedDecisions:
    """Read which decisions are asked for; RefuseInput `bad_request`."""
    names = ("filler", "gateway", "gate", "reason")
    texts = {name: (query.get(name) or "")[:TEXT_CHARS_MAX] or None for name in names}
    cylinder, since = query.get("cylinder"), query.get("since")
    return WantedDecisions(
        asset_id=cylinder_id(cylinder) if cylinder else None,
        decision=_one_of(query, "decision", get_args(Decision)),
        refused=_flag(query, "refused") is True,
        since=parse_time(since.replace(" ", "+")) if since else None,
        before=query.get("before") or None,
        limit=whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX),
        **texts,
    )


def _flag(query: QueryParams, name: str) -> bool | None:
    text = _one_of(query, name, ("true", "false"))
    return None if text is None else text == "true"


def _one_of(query: QueryParams, name: str, words: tuple[str, ...]) -> str | None:
    text = query.get(name) or None
    if text is not None and text not in words:
        expected = ", ".join(words)
        raise RefuseInput("bad_request", f"{name}: expected {expected}, found {text[:40]!r}")
    return text
