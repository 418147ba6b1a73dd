"""Figures of rescues and the monthly report: how quickly help came, and what the causes were."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Response
from msgspec import Struct

from cloud.api.base import Services
from cloud.model.incident import Incident, WantedIncidents
from cloud.model.principal import Scope
from cloud.model.rescue_figures import FiguresBy, Group
from cloud.web.rescue_view import lift_of
from cloud.web.texts import Texts
from cloud.web.visit import SignedIn, Visit

ARRIVAL_MS = 30 * 60_000
LATE_MAX = 12
PAGE, PAGES_MAX = 1_000, 10
"""A city of 20,000 lifts has some 260 rescues a month."""
BARS_MAX = 12
BAR_HEIGHT, BAR_WIDTH, LABEL_WIDTH, LABEL_ROOM = 24, 260, 170, 24
BY: tuple[FiguresBy, ...] = ("class", "cause", "firm", "unit", "brand", "site", "district", "hour")
HOURS = [f"{hour:02}" for hour in range(24)]
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


def chart(name: str, counts: Mapping[str, int]) -> Chart:
    """Lay out bars: hours in their order, all else the longest first, the rest left out."""
    if name == "hour":
        pairs = [(hour, counts.get(hour, 0)) for hour in HOURS]
    else:
        pairs = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:BARS_MAX]
    most = max((count for _, count in pairs), default=0) or 1
    bars = [
        Bar(shortened(label), count, index * BAR_HEIGHT, -(-BAR_WIDTH * count // most))
        for index, (label, count) in enumerate(pairs)
    ]
    return Chart(name, bars, max(1, len(bars)) * BAR_HEIGHT)


def shortened(label: str) -> str:
    """Return a label that fits beside its bar; a Chinese character takes the room of two."""
    room = 0
    for at, char in enumerate(label):
        room += 2 if char >= "\u2e80" else 1
        if room > LABEL_ROOM:
            return f"{label[: at - 1]}…"
    return label


def month_of(text: str, zone: ZoneInfo, now_ms: int) -> tuple[str, int, int, str, str]:
    """Return (month, its first moment, the first after it, the month before, the month after).

    What is no month is the present one.
    """
    match = _MONTH.match(text)
    today = datetime.fromtimestamp(now_ms / 1000, zone)
    year, month = (int(match[1]), int(match[2])) if match else (today.year, today.month)
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    before = (year - 1, 12) if month == 1 else (year, month - 1)
    starts = [
        int(datetime(y, m, 1, tzinfo=zone).timestamp() * 1000) for y, m in ((year, month), after)
    ]
    names = [f"{y}-{m:02}" for y, m in ((year, month), before, after)]
    return names[0], starts[0], starts[1], names[1], names[2]


async def _month(services: Services, visit: Visit) -> dict[str, Any]:
    asked = visit.request.query_params.get("month", "")
    month, from_at, to_at, before, after = month_of(asked, visit.zone, visit.now_ms)
    find = services.incidents.figures
    found = {by: await find(visit.scope, from_at=from_at, to_at=to_at, by=by) for by in BY}
    units = {one.unit: one.name for one in await services.incidents.all_units()}
    late = await _late(services, visit.scope, from_at, to_at)
    await services.shown(visit.granted, *late)
    return {
        "head": services.feed.head,
        "month": month,
        "before": before,
        "after": after if to_at <= visit.now_ms else "",
        "figures": found["class"].total,
        "year": found["class"].year_to_date,
        "charts": [
            chart(by, _counts(services, one.groups, by, visit.t, units))
            for by, one in found.items()
        ],
        "late": [(one, lift_of(services, one.asset)) for one in late],
        "label_width": LABEL_WIDTH,
    }


def _counts(
    services: Services,
    groups: Sequence[Group],
    by: FiguresBy,
    t: Texts,
    units: Mapping[str, str],
) -> dict[str, int]:
    causes = {one.id: t.of(one, "title") for one in services.desk.causes}
    classes = {one.group_id: t.of(one, "group") for one in services.desk.causes}
    told: dict[FiguresBy, Mapping[str, str]] = {
        "cause": causes | classes,
        "class": classes,
        "unit": units,
    }
    words = told.get(by, {})
    counts: dict[str, int] = {}
    for group in groups:
        label = words.get(group.key) or group.title or group.key or t("rescue_figures.unknown")
        counts[label] = counts.get(label, 0) + group.figures.entrapments
    return {label: count for label, count in counts.items() if count}


async def _late(services: Services, scope: Scope, from_at: int, to_at: int) -> list[Incident]:
    """Return those that were arrived at after more than 30 minutes, the worst first."""
    late: list[Incident] = []
    before: int | None = None
    for _ in range(PAGES_MAX):
        wanted = WantedIncidents(
            drill=False, from_at=from_at, to_at=to_at, before_id=before, limit=PAGE
        )
        page = await services.incidents.find(wanted, scope)
        late += [one for one in page if _waited_ms(one) > ARRIVAL_MS]
        if len(page) < PAGE:
            break
        before = page[-1].id
    real = [one for one in late if one.state not in ("false_alarm", "cancelled", "merged")]
    return sorted(real, key=_waited_ms, reverse=True)[:LATE_MAX]


def _waited_ms(incident: Incident) -> int:
    return (incident.arrived_at or incident.detected_at) - incident.detected_at
