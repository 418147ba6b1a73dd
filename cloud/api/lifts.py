"""Lifts: their files, what is due of them, and the look-up by a code."""

import re
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, flag, whole
from cloud.api.render import answer, page, timed_fields
from cloud.model.asking_lifts import (
    CALENDAR_HEADERS,
    CALENDAR_LIFTS_MAX,
    NAMES,
    after_of,
    calendar_of_lifts,
    read_wanted,
)
from cloud.model.lift import Lift, LiftCalendar, LiftCase, LiftEntry, WantedLifts
from cloud.model.principal import Granted
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id
from protocols.lifts.base import SCHEME
from protocols.lifts.watch import KINDS

LIMIT, LIMIT_MAX, TEXT_CHARS_MAX, DAYS_MAX = 100, 1_000, 128, 800
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls below /api/v1/lifts, /api/v1/lift-cases and /api/v1/lift-calendar.ics."""
    routes = APIRouter(prefix="/api/v1")
    reader = Depends(guard("lifts.read"))
    _add_finding(routes, services, reader)
    _add_one(routes, services, reader, Depends(guard("lifts.write")))
    _add_due(routes, services, reader)
    return routes


def lift_id(code: str) -> str:
    """Return the asset id of a lift by its code in a path; RefuseInput `bad_asset_id`."""
    return check_asset_id(f"{SCHEME}:{code}")


def subject_of(asset_id: str) -> str:
    """Return how the audit names a lift: as the asset that it is."""
    return f"asset:{asset_id}"


def lift_fields(one: Lift) -> dict[str, Any]:
    """Return a lift as JSON-ready fields."""
    return {"code": one.code, **timed_fields(one)}


def calendar_fields(one: LiftCalendar) -> dict[str, Any]:
    """Return a calendar as JSON-ready fields."""
    fields = msgspec.structs.asdict(one.plan)
    return {"code": one.asset_id.partition(":")[2], "today": one.today, **fields}


def case_fields(one: LiftCase) -> dict[str, Any]:
    """Return a case as JSON-ready fields."""
    return {"code": one.asset_id.partition(":")[2], **timed_fields(one)}


def _add_finding(routes: APIRouter, services: Services, reader: Any) -> None:
    lifts = services.lifts.lifts

    @routes.get("/lifts")
    async def list_lifts(request: Request, granted: Annotated[Granted, reader]) -> Response:
        query = request.query_params
        check_names(query, (*NAMES, "limit"))
        limit = whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX)
        found = await lifts.find(granted.scope, read_wanted(query, limit + 1))
        some = found[:limit]
        await services.shown(granted, *some)
        last = after_of(some[-1]) if len(found) > limit else ""
        return page(
            [lift_fields(one) for one in some],
            request=request,
            next_page={"after": last} if last else {},
        )

    @routes.get("/lifts/by-code/{code}")
    async def by_code(code: str, granted: Annotated[Granted, reader]) -> Response:
        found = await lifts.by_code(code[:TEXT_CHARS_MAX], granted.scope)
        await services.shown(granted, *found.lifts)
        told = [lift_fields(one) for one in found.lifts]
        return answer({"code": found.code, "ambiguous": found.ambiguous, "lifts": told})


def _add_one(routes: APIRouter, services: Services, reader: Any, writer: Any) -> None:
    lifts = services.lifts.lifts

    @routes.get("/lifts/{code}")
    async def get_lift(code: str, granted: Annotated[Granted, reader]) -> Response:
        one = await lifts.get(lift_id(code), granted.scope)
        await services.shown(granted, one)
        return answer(lift_fields(one))

    @routes.put("/lifts/{code}")
    async def put_lift(
        code: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        asset_id = lift_id(code)
        body = read_body(await request.body(), LiftEntry)
        noted = services.noted(granted, subject_of(asset_id), what="file")
        one, new = await lifts.put(granted, asset_id, body, also=[noted])
        await services.shown(granted, one)
        return answer(lift_fields(one), status=201 if new else 200)

    @routes.get("/lifts/{code}/calendar")
    async def get_calendar(code: str, granted: Annotated[Granted, reader]) -> Response:
        return answer(calendar_fields(await lifts.calendar(lift_id(code), granted.scope)))


def _add_due(routes: APIRouter, services: Services, reader: Any) -> None:
    cases, lifts = services.lifts.cases, services.lifts.lifts

    @routes.get("/lift-cases")
    async def list_cases(request: Request, granted: Annotated[Granted, reader]) -> Response:
        query = request.query_params
        check_names(query, ("kind", "lift", "ended", "after", "limit"))
        kind, lift = query.get("kind") or None, query.get("lift")
        if kind is not None and kind not in KINDS:
            expected = ", ".join(KINDS)
            raise RefuseInput("bad_request", f"kind: expected {expected}, found {kind[:40]!r}")
        limit = whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX)
        found = await cases.find(
            granted.scope,
            kind=kind,
            asset_id=lift_id(lift) if lift else None,
            ended=flag(query, "ended"),
            after=_case_after(query.get("after") or ""),
            limit=limit + 1,
        )
        some = found[:limit]
        more = {"after": f"{some[-1].day}:{some[-1].id}"} if len(found) > limit else {}
        return page([case_fields(one) for one in some], request=request, next_page=more)

    @routes.get("/lift-calendar.ics")
    async def calendar(request: Request, granted: Annotated[Granted, reader]) -> Response:
        query = request.query_params
        check_names(query, ("days", "district", "maintainer"))
        days = whole(query, "days", 90, low=1, high=DAYS_MAX)
        wanted = WantedLifts(
            district=query.get("district") or None,
            maintainer=query.get("maintainer") or None,
            limit=CALENDAR_LIFTS_MAX,
        )
        until = lifts.today() + timedelta(days=days)
        raw = calendar_of_lifts(
            await cases.due(granted.scope, wanted, until),
            language=services.language,
            base_url=services.base_url,
            now_ms=services.clock.wall_ms(),
        )
        return Response(raw, media_type="text/calendar", headers=CALENDAR_HEADERS)


def _case_after(text: str) -> tuple[str, int] | None:
    day, _, number = text.partition(":")
    if not text:
        return None
    if not (_DAY.fullmatch(day) and number.isascii() and number.isdigit() and len(number) < 16):
        raise RefuseInput("bad_request", f"after: expected DAY:NUMBER, found {text[:40]!r}")
    return day, int(number)
