"""What the regulator was told of gas cylinders, the latest first."""

from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.cylinders import LIMIT, LIMIT_MAX
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, whole
from cloud.api.render import page, timed_fields
from cloud.model.cylinder_report import ReportState
from cloud.model.principal import Granted
from protocols.errors import RefuseInput

ID_MAX = 10**15


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/cylinder-reports."""
    routes = APIRouter(prefix="/api/v1")

    @routes.get("/cylinder-reports")
    async def list_reports(
        request: Request, granted: Annotated[Granted, Depends(guard("cylinders.read"))]
    ) -> Response:
        query = request.query_params
        check_names(query, ("state", "kind", "before", "limit"))
        state = query.get("state") or None
        if state is not None and state not in get_args(ReportState):
            expected = ", ".join(get_args(ReportState))
            raise RefuseInput("bad_request", f"state: expected {expected}, found {state[:40]!r}")
        limit = whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX)
        found = await services.cylinders.reports.find(
            granted.scope,
            state=state,
            kind=(query.get("kind") or "")[:32] or None,
            before=whole(query, "before", ID_MAX, low=1, high=ID_MAX),
            limit=limit + 1,
        )
        return page(
            [timed_fields(one) for one in found[:limit]],
            request=request,
            next_page={"before": found[limit - 1].id} if len(found) > limit else {},
        )

    return routes
