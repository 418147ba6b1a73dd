"""Work lists of cylinders and stations, the calendar of what is due, and figures."""

from calendar import Calendar
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse
from msgspec import Struct
from msgspec.structs import replace

from cloud.api.base import Services
from cloud.model.asking_cases import (
    CALENDAR_HEADERS,
    after_of,
    calendar_file,
    calendar_wanted,
    read_by,
    read_wanted,
)
from cloud.model.cylinder_case import CylinderCase, Figures, FiguresBy, WantedCases
from cloud.web.cylinder_words import CylinderWords, organisation_names
from cloud.web.format import clock_time
from cloud.web.refused import refused_text
from cloud.web.texts import Texts
from cloud.web.visit import SignedIn, Visit
from protocols.cylinders.watch import KINDS, TERMS
from protocols.errors import RefuseInput

SHOWN = 50
MONTHS = 4
BY: tuple[FiguresBy, ...] = get_args(FiguresBy)
STATUS_OF = {"not_found": 404, "wrong_state": 409}
NOTE_CHARS_MAX = 500
FACTS: tuple[str, ...] = (
    *("due_on", "life_ends_on", "owner", "gate", "after_kg", "limit_kg", "places", "place"),
    *("counter", "left_at", "fills", "without", "asked_at"),
)
"""Facts that a page shows, in this order."""
ORGANISATIONS, MOMENTS = ("owner", "place", "places"), ("left_at", "asked_at")


class CaseView(Struct, frozen=True):
    """A case as a page shows it."""

    case: CylinderCase
    code: str
    """Of a cylinder; empty: of a station's gateway."""
    gateway: str
    days: int
    """Until its day; less than 0: since."""
    facts: list[tuple[str, str]]
    may_close: bool


class Day(Struct, frozen=True):
    """A day of the calendar."""

    day: date
    counts: list[tuple[str, int]]
    """Kind and number."""
    inside: bool
    """Of the month that is shown."""


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /cylinder-cases, /cylinder-calendar and /cylinder-figures."""
    routes, reader = APIRouter(), Depends(signed_in("cylinders.read"))
    _add_lists(routes, services, reader, Depends(signed_in("cylinders.resolve")))
    _add_calendar(routes, services, reader)

    @routes.get("/cylinder-figures")
    async def figures(visit: Annotated[Visit, reader]) -> Response:
        try:
            by = read_by(visit.request.query_params)
        except RefuseInput:
            by = "filler"
        found = await services.cylinders.cases.figures(visit.scope, by)
        names = organisation_names(services, (one.name for one in found)) if by == "filler" else {}
        return visit.render(
            "cylinder_figures.html",
            by=by,
            ways=BY,
            figures=[_within(one, services) for one in found],
            names=names,
            words=CylinderWords(services.cylinders.cylinders.rules, visit.t.language),
            columns=_columns(services),
            totals=_totals([_within(one, services) for one in found]),
        )

    return routes


def _add_lists(routes: APIRouter, services: Services, reader: Any, resolver: Any) -> None:
    @routes.get("/cylinder-cases")
    async def show_list(visit: Annotated[Visit, reader]) -> Response:
        return await _list(services, visit)

    @routes.post("/cylinder-cases/{case_id}/close")
    async def close(visit: Annotated[Visit, resolver], case_id: str) -> Response:
        form = await visit.checked_form()
        note = form.get("note", "").strip()[:NOTE_CHARS_MAX]
        number = int(case_id[:16]) if case_id.isascii() and case_id.isdigit() else 0
        noted = services.noted(visit.granted, f"cylinder-case:{number}", what="close")
        try:
            if not note:
                raise RefuseInput("bad_request", "note: expected what was done, found nothing")
            await services.cylinders.cases.close(visit.granted, number, note, also=[noted])
        except RefuseInput as error:
            told = refused_text(error, visit.t, about="wrong_case")
            status = STATUS_OF.get(error.reason, 400)
            return await _list(services, visit, status=status, error=told)
        back = form.get("back", "")
        safe = back.startswith("?") and "\n" not in back and "\r" not in back
        return RedirectResponse(f"/cylinder-cases{back if safe else ''}", status_code=303)


async def _list(
    services: Services, visit: Visit, *, status: int = 200, error: str = ""
) -> Response:
    query, cases, scope = visit.request.query_params, services.cylinders.cases, visit.scope
    try:
        wanted = read_wanted(query, SHOWN + 1)
    except RefuseInput as refused:
        wanted, status = WantedCases(limit=SHOWN + 1), 400
        error = refused_text(refused, visit.t, about="wrong_case")
    found = await cases.find(visit.scope_of("cylinders.read"), wanted)
    some, today = found[:SHOWN], cases.today()
    await services.shown(visit.granted, *some)
    return visit.render(
        "cylinder_cases.html",
        status=status,
        views=[_view(one, visit, services, today) for one in some],
        wanted=wanted,
        kinds=KINDS,
        words=CylinderWords(services.cylinders.cylinders.rules, visit.t.language),
        titles=_titles(services, visit.t),
        acts=_acts(services, visit.t),
        names=organisation_names(
            services, {name for one in some for name in (one.filler, one.station)}
        ),
        own=not (scope.everything or scope.remits),
        next_page=_next_page(query.multi_items(), found),
        back=f"?{query}" if query else "",
        stages=cases.watch.due.days,
        error=error,
    )


def _add_calendar(routes: APIRouter, services: Services, reader: Any) -> None:
    cases = services.cylinders.cases

    @routes.get("/cylinder-calendar")
    async def show(visit: Annotated[Visit, reader]) -> Response:
        query, today = visit.request.query_params, cases.today()
        first = today.replace(day=1)
        last = (first + timedelta(days=31 * MONTHS)).replace(day=1) - timedelta(days=1)
        try:
            wanted = calendar_wanted(query, today)
        except RefuseInput:
            wanted = WantedCases()
        span = {"from_day": first.isoformat(), "to_day": last.isoformat()}
        counted = await cases.calendar(visit.scope, replace(wanted, **span))
        counts: dict[str, list[tuple[str, int]]] = {}
        for one in counted:
            if one.kind in TERMS:
                counts.setdefault(one.day, []).append((one.kind, one.count))
        before = WantedCases(kind="overdue", filler=wanted.filler, district=wanted.district)
        overdue = await cases.calendar(visit.scope, before)
        return visit.render(
            "cylinder_calendar.html",
            months=_months(first, counts),
            today=today,
            wanted=wanted,
            titles=_titles(services, visit.t),
            overdue=sum(one.count for one in overdue),
            own=not (visit.scope.everything or visit.scope.remits),
            filters=_kept(query.multi_items()),
            horizon=max(cases.watch.due.days),
        )

    @routes.get("/cylinder-calendar.ics")
    async def download(visit: Annotated[Visit, reader]) -> Response:
        try:
            wanted = calendar_wanted(visit.request.query_params, cases.today())
        except RefuseInput:
            return visit.render("not_found.html", status=400)
        raw = calendar_file(
            await cases.calendar(visit.scope, wanted),
            cases.watch,
            language=visit.t.language,
            base_url=services.base_url,
            whose=visit.granted.principal.organisation or "all",
            now_ms=visit.now_ms,
        )
        return Response(raw, media_type="text/calendar", headers=CALENDAR_HEADERS)


def _view(one: CylinderCase, visit: Visit, services: Services, today: date) -> CaseView:
    scheme, _, rest = one.subject.partition(":")
    may_close = one.ended_at is None and one.kind not in TERMS
    return CaseView(
        case=one,
        code=rest if scheme == "cylinder" else "",
        gateway=rest if scheme == "gateway" else "",
        days=(date.fromisoformat(one.day) - today).days,
        facts=_facts(one, visit, services),
        may_close=may_close and visit.may("cylinders.resolve"),
    )


def _facts(one: CylinderCase, visit: Visit, services: Services) -> list[tuple[str, str]]:
    found = []
    for name in FACTS:
        value = one.facts.get(name)
        if value is None or (name in ("due_on", "life_ends_on") and str(value) >= one.day):
            continue
        if name in MOMENTS:
            told = clock_time(int(value), visit.zone, visit.now_ms)
        elif name in ORGANISATIONS:
            ids = value if isinstance(value, list) else [value]
            known = organisation_names(services, ids)
            told = ", ".join(known[each] for each in ids)
        else:
            told = str(value)
        found.append((visit.t(f"case_fact.{name}"), told))
    return found


def _months(
    first: date, counts: Mapping[str, list[tuple[str, int]]]
) -> list[tuple[date, list[list[Day]]]]:
    months = []
    for _ in range(MONTHS):
        weeks = [
            [Day(day, counts.get(day.isoformat(), []), day.month == first.month) for day in week]
            for week in Calendar().monthdatescalendar(first.year, first.month)
        ]
        months.append((first, weeks))
        first = (first + timedelta(days=31)).replace(day=1)
    return months


def _columns(services: Services) -> list[tuple[str, str, int | None]]:
    """Return (word of a figure, kind, stage) of each column."""
    stages = sorted(services.cylinders.cases.watch.due.days)
    found: list[tuple[str, str, int | None]] = [(f"due_{one}", "due", one) for one in stages]
    return found + [(kind, kind, None) for kind in KINDS if kind not in ("due", "life_ending")]


def _within(one: Figures, services: Services) -> Figures:
    """Count what is due within a stage with what is due within the narrower ones."""
    total, counts = 0, dict(one.open)
    for stage in sorted(services.cylinders.cases.watch.due.days):
        counts[f"due_{stage}"] = total = total + one.open.get(f"due_{stage}", 0)
    return replace(one, open=counts)


def _totals(found: Sequence[Figures]) -> dict[str, int]:
    totals: dict[str, int] = {"cylinders": sum(one.cylinders for one in found)}
    for one in found:
        for word, count in one.open.items():
            totals[word] = totals.get(word, 0) + count
    return totals


def _titles(services: Services, t: Texts) -> dict[str, str]:
    zh = t.language == "zh"
    words = services.cylinders.cases.watch.cases
    return {one.id: one.title_zh if zh else one.title for one in words}


def _acts(services: Services, t: Texts) -> dict[str, str]:
    zh = t.language == "zh"
    words = services.cylinders.cases.watch.cases
    return {one.id: one.acts_zh if zh else one.acts for one in words}


def _kept(items: Iterable[tuple[str, str]]) -> str:
    kept = [(name, value) for name, value in items if name in ("filler", "district") and value]
    return urlencode(kept)


def _next_page(items: Sequence[tuple[str, str]], found: Sequence[CylinderCase]) -> str | None:
    if len(found) <= SHOWN:
        return None
    kept = [(name, value) for name, value in items if name != "after"]
    return "/cylinder-cases?" + urlencode([*kept, ("after", after_of(found[SHOWN - 1]))])
