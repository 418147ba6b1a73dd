"""Figures of rescues and the monthly report: how quickly help came, and what the causes were."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Response
from msgspec import Struct

from cloud.api.base import Services
from cloud.model.incident import Incident, WantedIncidents
from cloud.model.principal import Scope
from cloud.web.rescue_view import lift_of, name_of_unit, text_of
from cloud.web.texts import Texts
from cloud.web.visit import SignedIn, Visit

PAGE = 1_000
LOOKED_THROUGH_MAX = 20_000
"""Rescues of a month; a city of 20,000 lifts has some 260."""
RESPONSE_MS, ARRIVAL_MS = 3 * 60_000, 30 * 60_000
BARS_MAX = 12
BAR_HEIGHT, BAR_WIDTH, LABEL_WIDTH = 24, 260, 170
_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])\Z")


class Bar(Struct, frozen=True):
    """A bar of a chart, in the picture's units."""

    label: str
    count: int
    y: int
    width: int


class Chart(Struct, frozen=True):
    """A chart: bars from above."""

    name: str
    bars: list[Bar]
    height: int


class Figures(Struct, frozen=True, kw_only=True):
    """Of one month, drills left out."""

    all: int
    false_alarms: int
    cancelled: int
    real: int
    """Neither false nor cancelled nor merged."""
    freed_people: int
    injured: int
    response_share: float | None
    """Accepted within 3 minutes, of those that were accepted."""
    arrival_share: float | None
    """Arrived within 30 minutes, of those that were arrived at."""
    response_mean_s: float | None
    arrival_mean_s: float | None
    release_mean_s: float | None
    satisfaction: float | None
    late: list[Incident]
    """That took longer than 30 minutes to arrive at, the worst first."""


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /rescue/figures and /rescue/report."""
    routes = APIRouter()
    reader = Depends(signed_in("incidents.read"))

    @routes.get("/rescue/figures")
    async def figures(visit: Annotated[Visit, reader]) -> Response:
        return visit.render("rescue_figures.html", **await _month(services, visit))

    @routes.get("/rescue/report")
    async def report(visit: Annotated[Visit, reader]) -> Response:
        return visit.render("rescue_report.html", **await _month(services, visit))

    return routes


def count_up(incidents: Sequence[Incident]) -> Figures:
    """Count; moments that are not known are left out of their mean."""
    real = [one for one in incidents if one.state not in ("false_alarm", "cancelled", "merged")]
    response = _after(real, lambda one: one.responded_at or one.accepted_at)
    arrival = _after(real, lambda one: one.arrived_at)
    late = [one for one in real if one.arrived_at and one.arrived_at - one.detected_at > ARRIVAL_MS]
    stars = [one.satisfaction for one in real if one.satisfaction is not None]
    return Figures(
        all=len(incidents),
        false_alarms=sum(one.state == "false_alarm" for one in incidents),
        cancelled=sum(one.state == "cancelled" for one in incidents),
        real=len(real),
        freed_people=sum(one.released_people or 0 for one in real),
        injured=sum(one.injured or 0 for one in real),
        response_share=_share(response, RESPONSE_MS),
        arrival_share=_share(arrival, ARRIVAL_MS),
        response_mean_s=_mean_s(response),
        arrival_mean_s=_mean_s(arrival),
        release_mean_s=_mean_s(_after(real, lambda one: one.released_at)),
        satisfaction=sum(stars) / len(stars) if stars else None,
        late=sorted(late, key=lambda one: one.detected_at - (one.arrived_at or 0)),
    )


def chart(name: str, counts: Counter[str], *, in_order: bool = False) -> Chart:
    """Lay out bars, the longest first unless they have an order of their own."""
    pairs = list(counts.items()) if in_order else counts.most_common(BARS_MAX)
    most = max((count for _, count in pairs), default=0) or 1
    bars = [
        Bar(
            label,
            count,
            index * BAR_HEIGHT,
            max(1 if count else 0, round(BAR_WIDTH * count / most)),
        )
        for index, (label, count) in enumerate(pairs)
    ]
    return Chart(name, bars, max(1, len(bars)) * BAR_HEIGHT)


def month_of(text: str, zone: ZoneInfo, now_ms: int) -> tuple[str, int, int, str, str]:
    """Return (month, its first moment, the first after it, the month before, the month after).

    What is no month is the present one.
    """
    match = _MONTH.match(text)
    today = datetime.fromtimestamp(now_ms / 1000, zone)
    year, month = (int(match[1]), int(match[2])) if match else (today.year, today.month)
    name, after, before = (f"{y}-{m:02}" for y, m in _around(year, month))
    starts = [
        int(datetime(*map(int, one.split("-")), 1, tzinfo=zone).timestamp() * 1000)  # type: ignore[misc, arg-type]
        for one in (name, after)
    ]
    return name, starts[0], starts[1], before, after


def _around(year: int, month: int) -> list[tuple[int, int]]:
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    before = (year - 1, 12) if month == 1 else (year, month - 1)
    return [(year, month), after, before]


async def _month(services: Services, visit: Visit) -> dict[str, Any]:
    asked = visit.request.query_params.get("month", "")
    month, from_at, to_at, before, after = month_of(asked, visit.zone, visit.now_ms)
    found = await _all(services, visit.scope, from_at, to_at)
    figures = count_up(found)
    await services.shown(visit.granted, *figures.late)
    real = [one for one in found if one.state not in ("false_alarm", "cancelled", "merged")]
    return {
        "head": services.feed.head,
        "month": month,
        "before": before,
        "after": after if to_at <= visit.now_ms else "",
        "figures": figures,
        "charts": await _charts(services, real, visit.t, visit.zone),
        "late": [(one, lift_of(services, one.asset)) for one in figures.late[:BARS_MAX]],
        "label_width": LABEL_WIDTH,
        "more": len(found) >= LOOKED_THROUGH_MAX,
    }


async def _charts(
    services: Services, real: Sequence[Incident], t: Texts, zone: ZoneInfo
) -> list[Chart]:
    unknown = t("rescue_figures.unknown")
    causes = {one.id: t.of(one, "group") for one in services.desk.causes}
    details = {one.id: t.of(one, "title") for one in services.desk.causes}
    hours = Counter({f"{hour:02}": 0 for hour in range(24)})
    hours.update(f"{datetime.fromtimestamp(one.detected_at / 1000, zone):%H}" for one in real)
    lifts = [lift_of(services, one.asset) for one in real]
    names = {one.unit: one.name for one in await services.incidents.all_units()}
    units = [names.get(one.unit or "") or name_of_unit(services, one.unit) for one in real]
    return [
        chart("class", Counter(causes.get(one.cause or "", unknown) for one in real)),
        chart("cause", Counter(details.get(one.cause or "", unknown) for one in real)),
        chart("firm", Counter(unit or unknown for unit in units)),
        chart(
            "brand",
            Counter(
                _first(one.asset.attributes, "brand", "manufacturer") or unknown for one in lifts
            ),
        ),
        chart(
            "site", Counter(_first(one.asset.attributes, "site_type") or unknown for one in lifts)
        ),
        chart("district", Counter(one.asset.district or unknown for one in lifts)),
        chart("hour", hours, in_order=True),
    ]


def _first(attributes: Any, *names: str) -> str:
    return next(filter(None, (text_of(attributes, name) for name in names)), "")


async def _all(services: Services, scope: Scope, from_at: int, to_at: int) -> list[Incident]:
    found: list[Incident] = []
    before: int | None = None
    while len(found) < LOOKED_THROUGH_MAX:
        wanted = WantedIncidents(
            drill=False, from_at=from_at, to_at=to_at, before_id=before, limit=PAGE
        )
        page = await services.incidents.find(wanted, scope)
        found += page
        if len(page) < PAGE:
            break
        before = page[-1].id
    return found


def _after(incidents: Sequence[Incident], moment: Callable[[Incident], int | None]) -> list[int]:
    return [at - one.detected_at for one in incidents if (at := moment(one)) is not None]


def _share(lasted_ms: Sequence[int], within_ms: int) -> float | None:
    if not lasted_ms:
        return None
    return 100 * sum(ms <= within_ms for ms in lasted_ms) / len(lasted_ms)


def _mean_s(lasted_ms: Sequence[int]) -> float | None:
    return sum(lasted_ms) / len(lasted_ms) / 1000 if lasted_ms else None
