"""What the regulator was told of gas cylinders: sent, refused, waiting."""

import re
from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.model.cylinder_report import ReportState
from cloud.web.visit import SignedIn, Visit

SHOWN = 50
_NUMBER = re.compile(r"[0-9]{1,15}")
STATES: tuple[ReportState, ...] = get_args(ReportState)


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /cylinder-reports."""
    routes = APIRouter()

    @routes.get("/cylinder-reports")
    async def show(visit: Annotated[Visit, Depends(signed_in("cylinders.read"))]) -> Response:
        query = visit.request.query_params
        state = query.get("state", "")
        before = query.get("before", "")
        found = await services.cylinders.reports.find(
            visit.scope,
            state=state if state in STATES else None,
            before=int(before)
            if before.isascii() and before.isdigit() and before[15:] == ""
            else None,
            limit=SHOWN + 1,
        )
        last = {"state": state, "before": found[SHOWN - 1].id} if len(found) > SHOWN else {}
        return visit.render(
            "cylinder_reports.html",
            reports=found[:SHOWN],
            states=STATES,
            state=state,
            next_page=f"/cylinder-reports?{urlencode(last)}" if last else None,
        )

    return routes
