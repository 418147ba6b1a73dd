"""Work lists of cylinders and stations, their calendar, and figures."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, number_in_path, whole
from cloud.api.render import answer, page, timed_fields
from cloud.model.asking_cases import (
    CALENDAR_HEADERS,
    FILTERS,
    after_of,
    calendar_file,
    calendar_wanted,
    read_by,
    read_wanted,
)
from cloud.model.principal import Granted
from protocols.errors import RefuseInput

LIMIT, LIMIT_MAX = 100, 1_000


class CloseBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What was done about it."""

    note: Annotated[str, Meta(min_length=1, max_length=500)]


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/cylinder-cases, -calendar and -figures."""
    routes = APIRouter(prefix="/api/v1")
    _add_lists(routes, services, guard)
    _add_calendar(routes, services, guard)
    return routes


def _add_lists(routes: APIRouter, services: Services, guard: Guard) -> None:
    reader, cases = Depends(guard("cylinders.read")), services.cylinders.cases

    @routes.get("/cylinder-cases")
    async def list_cases(request: Request, granted: Annotated[Granted, reader]) -> Response:
        query = request.query_params
        check_names(query, (*FILTERS, "from", "to", "after", "limit"))
        limit = whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX)
        found = await cases.find(granted.scope, read_wanted(query, limit + 1))
        some = found[:limit]
        await services.shown(granted, *some)
        more = {"after": after_of(some[-1])} if len(found) > limit else {}
        return page([timed_fields(one) for one in some], request=request, next_page=more)

    @routes.get("/cylinder-cases/{case_id}")
    async def get_case(case_id: str, granted: Annotated[Granted, reader]) -> Response:
        one = await cases.get(number_in_path(case_id), granted.scope)
        await services.shown(granted, one)
        return answer(timed_fields(one))

    @routes.post("/cylinder-cases/{case_id}/close")
    async def close(
        case_id: str,
        request: Request,
        granted: Annotated[Granted, Depends(guard("cylinders.resolve"))],
    ) -> Response:
        number = number_in_path(case_id)
        body = read_body(await request.body(), CloseBody)
        noted = services.noted(granted, f"cylinder-case:{number}", what="close")
        one = await cases.close(granted, number, body.note, also=[noted])
        await services.shown(granted, one)
        return answer(timed_fields(one))

    @routes.get("/cylinder-figures")
    async def figures(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ("by",))
        return answer(await cases.figures(granted.scope, read_by(request.query_params)))


def _add_calendar(routes: APIRouter, services: Services, guard: Guard) -> None:
    reader, cases = Depends(guard("cylinders.read")), services.cylinders.cases

    @routes.get("/cylinder-calendar")
    async def calendar(request: Request, granted: Annotated[Granted, reader]) -> Response:
        query = request.query_params
        check_names(query, (*FILTERS, "from", "to"))
        return answer(await cases.calendar(granted.scope, calendar_wanted(query, cases.today())))

    @routes.get("/cylinder-calendar.ics")
    async def download(request: Request, granted: Annotated[Granted, reader]) -> Response:
        query = request.query_params
        check_names(query, (*FILTERS, "from", "to", "language"))
        if (language := query.get("language", services.language)) not in ("zh", "en"):
            raise RefuseInput("bad_request", f"language: expected zh or en, found {language[:20]}")
        days = await cases.calendar(granted.scope, calendar_wanted(query, cases.today()))
        raw = calendar_file(
            days,
            cases.watch,
            language=language,
            base_url=services.base_url,
            whose=granted.principal.organisation or "all",
            now_ms=services.clock.wall_ms(),
        )
        return Response(raw, media_type="text/calendar", headers=CALENDAR_HEADERS)
