"""What was filled, and what gates refused, for fillers and those who look after them."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Response
from starlette.datastructures import QueryParams

from cloud.api.base import Services
from cloud.cylinders.base import WantedDecisions, WantedFills
from cloud.model.cylinder_fill import CylinderFill, FillDecision
from cloud.web.cylinder_words import CylinderWords, organisation_names
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

SHOWN = 50
TEXT_CHARS_MAX = 64
Show = Literal["fills", "refused", "decided"]
SHOWS: tuple[Show, ...] = ("fills", "refused", "decided")


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /cylinder-fills."""
    routes = APIRouter()

    @routes.get("/cylinder-fills")
    async def show(visit: Annotated[Visit, Depends(signed_in("cylinders.read"))]) -> Response:
        query = visit.request.query_params
        shown: Show = next((one for one in SHOWS if one == query.get("show")), "fills")
        fills, decisions = list[CylinderFill](), list[FillDecision]()
        if shown == "fills":
            fills = await services.cylinders.fills.find(visit.scope, _wanted_fills(query))
            last = f"{fills[SHOWN - 1].began_at}-{fills[SHOWN - 1].id}" if _more(fills) else ""
        else:
            decisions = await _decisions(services, visit, shown)
            last = decisions[SHOWN - 1].key if _more(decisions) else ""
        fills, decisions = fills[:SHOWN], decisions[:SHOWN]
        await services.shown(visit.granted, *fills, *decisions)
        fillers = {one.filler for one in fills} | {one.filler for one in decisions}
        kept = [(name, text) for name, text in query.multi_items() if name != "before"]
        return visit.render(
            "cylinder_fills.html",
            show=shown,
            shows=SHOWS,
            fills=fills,
            decisions=decisions,
            words=CylinderWords(services.cylinders.cylinders.rules, visit.t.language),
            names=organisation_names(services, fillers),
            own=not (visit.scope.everything or visit.scope.remits),
            asked={name: _text(query, name) or "" for name in ("filler", "gateway")},
            next_page="?" + urlencode([*kept, ("before", last)]) if last else None,
        )

    return routes


async def _decisions(services: Services, visit: Visit, shown: Show) -> list[FillDecision]:
    """Return one more than a page; from the latest on where `before` cannot be."""
    query, desk = visit.request.query_params, services.cylinders.fills
    wanted = WantedDecisions(
        filler=_text(query, "filler"),
        gateway=_text(query, "gateway"),
        refused=shown == "refused",
        before=query.get("before") or None,
        limit=SHOWN + 1,
    )
    try:
        return await desk.decisions(visit.scope, wanted)
    except RefuseInput:
        return []


def _wanted_fills(query: QueryParams) -> WantedFills:
    began_at, _, id_ = query.get("before", "")[:32].partition("-")
    numbers = began_at.isascii() and began_at.isdigit() and id_.isascii() and id_.isdigit()
    return WantedFills(
        filler=_text(query, "filler"),
        gateway=_text(query, "gateway"),
        before=(int(began_at), int(id_)) if numbers else None,
        limit=SHOWN + 1,
    )


def _text(query: QueryParams, name: str) -> str | None:
    return query.get(name, "").strip()[:TEXT_CHARS_MAX] or None


def _more(found: list[CylinderFill] | list[FillDecision]) -> bool:
    return len(found) > SHOWN
