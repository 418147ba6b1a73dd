"""Figures of the alarms beside their targets, and what is out of service."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.alarms.base import Figures
from cloud.api.alarms import moment
from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer, timed_fields
from cloud.model.alarm_terms import FIGURES, AlarmTerms
from cloud.model.principal import Granted

HOURS_MAX = 24 * 31


class OutBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an asset is out of service, and when it should be back."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
    until: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    """The expected return, ISO 8601 or ms since 1970 as text."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/alarm-figures, /api/v1/out-of-service and that of an asset."""
    routes = APIRouter(prefix="/api/v1")
    reader, operator = Depends(guard("alarms.read")), Depends(guard("alarms.out_of_service"))

    @routes.get("/alarm-figures")
    async def figures(request: Request, granted: Annotated[Granted, reader]) -> Response:
        query = request.query_params
        check_names(query, ("hours",))
        book = services.alarm_figures
        usual = book.terms.figures.window_h
        hours = whole(query, "hours", usual, low=1, high=HOURS_MAX)
        found = await book.figures(hours, granted.scope)
        return answer(figure_fields(found, book.terms))

    @routes.get("/out-of-service")
    async def out_of_service(granted: Annotated[Granted, reader]) -> Response:
        found = await services.alarms.out_of_service(scope=granted.scope)
        await services.shown(granted, *found)
        return answer([timed_fields(one) for one in found])

    @routes.put("/assets/{asset_id}/out-of-service")
    async def take_out(
        asset_id: str, request: Request, granted: Annotated[Granted, operator]
    ) -> Response:
        body = read_body(await request.body(), OutBody)
        await services.known_asset(asset_id, granted.scope)
        word = await services.alarms.take_out_of_service(
            asset_id,
            reason=body.reason,
            by=granted.by,
            return_expected_at=None if body.until is None else moment(body.until, "until"),
            also=[services.noted(granted, f"asset:{asset_id}", what="out of service")],
        )
        return answer(timed_fields(word))

    @routes.delete("/assets/{asset_id}/out-of-service")
    async def return_to_service(asset_id: str, granted: Annotated[Granted, operator]) -> Response:
        await services.known_asset(asset_id, granted.scope)
        also = [services.noted(granted, f"asset:{asset_id}", what="back in service")]
        await services.alarms.return_to_service(asset_id, by=granted.by, also=also)
        return Response(status_code=204)

    return routes


def figure_fields(figures: Figures, terms: AlarmTerms) -> dict[str, Any]:
    """Return figures as JSON-ready fields, each target with whether it is met."""
    fields = timed_fields(figures)
    fields["chattering"] = [timed_fields(one) for one in figures.chattering]
    fields["top"] = [timed_fields(one) for one in figures.top]
    fields["stale"] = [timed_fields(one) for one in figures.stale]
    fields["priorities"] = [
        {
            "severity": one.severity,
            "priority": one.priority,
            "count": figures.by_severity[one.severity],
            "share_percent": share(figures, one.severity),
            "target_percent": one.share_percent,
        }
        for one in terms.priority
    ]
    fields["targets"] = {
        name: {
            "value": (value := figures.value(name)),
            "most": terms.targets[name].most,
            "met": None if value is None else value <= terms.targets[name].most,
            "source": terms.targets[name].source,
            "confidence": terms.targets[name].confidence,
        }
        for name in FIGURES
    }
    return fields


def share(figures: Figures, severity: Any) -> float:
    """Return the share of a severity in all that was raised, in percent."""
    return 100 * figures.by_severity[severity] / figures.total if figures.total else 0.0
