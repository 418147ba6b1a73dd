"""How much is asked of the operators, beside what one can bear (EEMUA 191, ISA-18.2)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from msgspec import Struct

from cloud.alarms.base import Actor, Figures
from cloud.api.base import Services
from cloud.model.alarm_terms import FIGURES, AlarmTerms
from cloud.web.texts import Texts
from cloud.web.visit import SignedIn, Visit

WINDOWS_H = (1, 8, 24, 168, 720)
WHOLE = ("busiest_10_minutes", "chattering", "stale")
"""Figures that are counted, not averaged."""


class FigureView(Struct, frozen=True):
    """A figure beside its target."""

    name: str
    text: str
    most: str
    met: bool | None
    """None: nothing to measure."""
    source: str
    confidence: str


class ShareView(Struct, frozen=True):
    """A priority's share beside its target."""

    title: str
    severity: str
    count: int
    share: float
    target: float


class ActorView(Struct, frozen=True):
    """An alert of an asset, with the asset's name."""

    actor: Actor
    name: str
    share: float


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /alarm-figures."""
    routes = APIRouter()
    visitor = Depends(signed_in("alarms.read"))

    @routes.get("/alarm-figures")
    async def show(visit: Annotated[Visit, visitor]) -> Response:
        book = services.alarm_figures
        asked = visit.request.query_params.get("hours", "")
        known = {str(one): one for one in WINDOWS_H}
        hours = known.get(asked, book.terms.figures.window_h)
        figures = await book.figures(hours, visit.scope)
        views = figure_views(figures, book.terms, visit.t)
        return visit.render(
            "alarm_figures.html",
            head=services.feed.head,
            hours=hours,
            windows=WINDOWS_H,
            figures=figures,
            views=views,
            missed=sum(one.met is False for one in views),
            shares=share_views(figures, book.terms, visit.t),
            top=[_actor(services, one, figures.total) for one in figures.top],
            chattering=[_actor(services, one, figures.total) for one in figures.chattering],
            stale=[(one, _name(services, one.asset)) for one in figures.stale],
            operators=book.terms.figures.operators,
        )

    return routes


def figure_views(figures: Figures, terms: AlarmTerms, t: Texts) -> list[FigureView]:
    """Return the figures that have a target."""
    found = []
    for name in FIGURES:
        value, target = figures.value(name), terms.targets[name]
        found.append(
            FigureView(
                name,
                _text(name, value),
                _text(name, target.most),
                None if value is None else value <= target.most,
                t.of(target, "source"),
                target.confidence,
            )
        )
    return found


def share_views(figures: Figures, terms: AlarmTerms, t: Texts) -> list[ShareView]:
    """Return how the alarms are spread over the priorities."""
    return [
        ShareView(
            t.of(one, "title"),
            one.severity,
            figures.by_severity[one.severity],
            100 * figures.by_severity[one.severity] / figures.total if figures.total else 0.0,
            one.share_percent,
        )
        for one in terms.priority
    ]


def _text(name: str, value: float | None) -> str:
    if value is None:
        return "—"
    if name.endswith("_percent"):
        return f"{value:.1f} %"
    if name.endswith("_s"):
        return f"{value:,.0f} s"
    return f"{value:,.0f}" if name in WHOLE or value >= 100 else f"{value:,.2f}"


def _actor(services: Services, actor: Actor, total: int) -> ActorView:
    share = 100 * actor.count / total if total else 0.0
    return ActorView(actor, _name(services, actor.asset), share)


def _name(services: Services, asset_id: str) -> str:
    asset = services.registry.peek(asset_id)
    return (asset.name if asset else "") or asset_id.partition(":")[2]
