"""The rescue centre's screen: the list of open incidents, and the desk of one."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.asset import Asset
from cloud.model.incident import Incident, RescueUnit, Verb, WantedIncidents
from cloud.web.lift_picture import LiftPicture, draw_lift
from cloud.web.refused import refused_text
from cloud.web.rescue_forms import act_of, is_act, is_answer
from cloud.web.rescue_map import has_map, points_near, scatter
from cloud.web.rescue_view import (
    ANSWERS,
    FIELDS,
    KEYS,
    SOON_MS,
    STEPS,
    board_of,
    name_of_unit,
    text_of,
    view_of,
)
from cloud.web.view import alarm_view, asset_view
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput, RetryLater

PLOT_MINUTES = 10
CALM_MS = 24 * 3_600_000
"""So far back the list tells of what ended."""
RECENT = 10
UNITS_MAX = 12
MERGE_MAX = 50
PHONES = (("owner", "owner_name", "owner_phone"), ("contact", "contact_name", "contact_phone"))
STATUS_OF = {"not_found": 404, "wrong_state": 409, "forbidden": 403}


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /rescue, /rescue/{id} and their parts."""
    routes = APIRouter()
    reader = Depends(signed_in("incidents.read"))

    @routes.get("/rescue")
    async def board(visit: Annotated[Visit, reader]) -> Response:
        head = services.feed.head  # before the list, so that nothing falls between
        parts = await _board(services, visit)
        recent = await _recent(services, visit)
        return visit.render("rescue.html", head=head, recent=recent, keys=KEYS, **parts)

    @routes.get("/parts/rescue-board")
    async def show_board(visit: Annotated[Visit, reader]) -> Response:
        return visit.render("parts/rescue_board.html", **await _board(services, visit))

    @routes.get("/rescue/{incident_id}")
    async def show(visit: Annotated[Visit, reader], incident_id: str) -> Response:
        head = services.feed.head
        try:
            incident = await services.incidents.get(number_of(incident_id), visit.scope)
        except RefuseInput:
            return visit.render("not_found.html", status=404)
        return await desk_page(services, visit, incident, head=head)

    @routes.get("/parts/rescue-course/{incident_id}")
    async def show_course(visit: Annotated[Visit, reader], incident_id: str) -> Response:
        incident = await services.incidents.get(number_of(incident_id), visit.scope)
        shown = await course_of(services, visit, incident)
        return visit.render("parts/rescue_course.html", error="", **shown)

    @routes.get("/parts/rescue-lift/{incident_id}")
    async def show_lift(visit: Annotated[Visit, reader], incident_id: str) -> Response:
        incident = await services.incidents.get(number_of(incident_id), visit.scope)
        asset = await asset_view(services, incident.asset, visit.t)
        await services.shown(visit.granted, asset.asset)
        picture = await _picture(services, visit, asset.asset)
        return visit.render("parts/rescue_lift.html", asset=asset, picture=picture)

    _add_verbs(routes, services, signed_in)
    return routes


def _add_verbs(routes: APIRouter, services: Services, signed_in: SignedIn) -> None:
    operator = Depends(signed_in("incidents.act"))
    speaker = Depends(signed_in("incidents.answer"))

    @routes.post("/rescue/{incident_id}/do/{verb}")
    async def do(visit: Annotated[Visit, operator], incident_id: str, verb: str) -> Response:
        return await _act(services, visit, incident_id, is_act(verb))

    @routes.post("/rescue/{incident_id}/answer/{verb}")
    async def answer(visit: Annotated[Visit, speaker], incident_id: str, verb: str) -> Response:
        return await _act(services, visit, incident_id, is_answer(verb))


async def _act(services: Services, visit: Visit, incident_id: str, verb: Verb) -> Response:
    """Do what a form says; what is refused is explained above what may be done instead."""
    form, number = await visit.checked_form(), number_of(incident_id)
    error, status = "", 200
    try:
        noted = services.noted(visit.granted, f"incident:{number}", verb=verb)
        incident = await services.incidents.act(
            number, verb, act_of(verb, form), granted=visit.granted, also=[noted]
        )
    except RetryLater:
        error, status = visit.t("rescue_wrong.later"), 503
    except RefuseInput as refused:
        error, status = refused_text(refused, visit.t, about="rescue_wrong"), 400
        status = STATUS_OF.get(refused.reason, 400)
    if error:
        incident = await services.incidents.get(number, visit.scope)
    if visit.request.headers.get("hx-request"):
        shown = await course_of(services, visit, incident)
        return visit.render("parts/rescue_course.html", status=status, error=error, **shown)
    if error:
        return await desk_page(services, visit, incident, error=error, status=status)
    return RedirectResponse(f"/rescue/{number}", status_code=303)


async def desk_page(
    services: Services,
    visit: Visit,
    incident: Incident,
    *,
    head: int = 0,
    error: str = "",
    status: int = 200,
) -> Response:
    """Show the whole desk of one incident."""
    course = await course_of(services, visit, incident)
    asset = await asset_view(services, incident.asset, visit.t)
    await services.shown(visit.granted, asset.asset)
    points = points_near(course["view"].lift, course["units"])
    alarm = None
    if incident.alarm is not None:
        found = await services.alarms.get(incident.alarm, scope=visit.scope_of("alarms.read"))
        alarm = await alarm_view(services, found, visit.t) if found else None
        await services.shown(visit.granted, *([found] if found else []))
    return visit.render(
        "rescue_one.html",
        status=status,
        head=head or services.feed.head,
        error=error,
        asset=asset,
        alarm=alarm,
        picture=await _picture(services, visit, asset.asset),
        minutes=PLOT_MINUTES,
        points=points,
        has_map=has_map(),
        scatter=scatter(points),
        style_url=services.desk.map_style_url,
        **course,
    )


async def course_of(services: Services, visit: Visit, incident: Incident) -> dict[str, Any]:
    """Return all that changes on the desk with its incident."""
    record = await services.incidents.record(incident.id, visit.scope)
    view = await view_of(services, incident, visit.now_ms)
    units = await _units(services, incident) if incident.open else []
    verbs = [verb for verb in view.verbs if visit.may(call_of(verb))]
    others: Sequence[Incident] = ()
    if "merge" in verbs:
        wanted = WantedIncidents(open=True, limit=MERGE_MAX)
        found = await services.incidents.find(wanted, visit.scope)
        others = [one for one in found if one.id != incident.id]
    links = []
    if visit.may("incidents.act"):
        links = list(await services.desk.links.find(incident.id))
    known = {one.unit: one.name for one in await services.incidents.all_units()}
    told = {one.unit for one in record if one.unit} | {one.unit for one in links if one.unit}
    things = [incident, *record, *(one for one, _, _ in units), *links, view.lift.asset]
    await services.shown(visit.granted, *things)
    return {
        "view": view,
        "incident": incident,
        "record": list(reversed(record)),
        "verbs": verbs,
        "first": verbs[0] if verbs else None,
        "answers": ANSWERS,
        "fields": FIELDS,
        "keys": KEYS,
        "units": units,
        "others": await _named(services, others, visit.now_ms),
        "links": links,
        "unit_names": {one: known.get(one) or name_of_unit(services, one) for one in told},
        "causes": services.desk.causes,
        "phones": _phones(services, incident),
        "scripts": services.desk.scripts.for_state(incident.state),
        "steps": [(word, getattr(incident, name)) for name, word in STEPS],
        "soon_ms": SOON_MS,
    }


async def _picture(services: Services, visit: Visit, asset: Asset) -> LiftPicture:
    """Draw a lift; how many floors it has stands in its file, where it has one."""
    attributes = asset.attributes
    scope = visit.scope_of("lifts.read")
    if scope:
        with suppress(RefuseInput):  # without a file its attributes must do
            file = (await services.lifts.lifts.get(asset.asset_id, scope)).file
            attributes = {**attributes, **({"floors": file.floors} if file.floors else {})}
    return draw_lift(services.latest(asset.asset_id), attributes, visit.now_ms)


async def _named(services: Services, others: Sequence[Incident], now_ms: int) -> list[Any]:
    return [await view_of(services, one, now_ms) for one in others[:MERGE_MAX]]


def call_of(verb: Verb) -> str:
    """Return the call that a verb needs on these pages."""
    if verb in ANSWERS:
        return "incidents.answer"
    return "incidents.act"


def number_of(text: str) -> int:
    """Return the number in a path; RefuseInput `not_found`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RefuseInput("not_found", f"no incident {text[:40]!r}")
    return int(text)


async def _units(
    services: Services, incident: Incident
) -> list[tuple[RescueUnit, float | None, bool]]:
    """Return who could be sent, of this level and those above, the best of each first."""
    found: list[tuple[RescueUnit, float | None, bool]] = []
    seen: set[str] = set()
    for level in range(1, 4):
        for unit, distance in await services.incidents.units(incident, level):
            if unit.unit not in seen and len(found) < UNITS_MAX:
                seen.add(unit.unit)
                found.append((unit, distance, unit.unit == incident.unit))
    return found


def _phones(services: Services, incident: Incident) -> list[tuple[str, str, str]]:
    """Return (part, name, telephone) of those of the lift; the units have their own."""
    asset = services.registry.peek(incident.asset)
    if asset is None:
        return []
    found = []
    phone = text_of(asset.attributes, "maintenance_phone")
    if phone:
        found.append(("maintainer", text_of(asset.attributes, "maintenance_name"), phone))
    for part, name, key in PHONES:
        if phone := text_of(asset.attributes, key):
            found.append((part, text_of(asset.attributes, name), phone))
    for part, organisation_id in sorted(asset.parties.items()):
        firm = services.organisations.peek(organisation_id)
        if firm is not None and firm.contact is not None and firm.contact.phone:
            found.append((part, f"{firm.name} {firm.contact.name}".strip(), firm.contact.phone))
    return list(dict.fromkeys(found))


async def _board(services: Services, visit: Visit) -> dict[str, Any]:
    board = await board_of(services, visit.scope, visit.now_ms)
    things = [thing for row in board.rows for thing in (row.lift.asset, row.incident)]
    await services.shown(visit.granted, *things)
    return {"board": board, "soon_ms": SOON_MS}


async def _recent(services: Services, visit: Visit) -> list[Any]:
    wanted = WantedIncidents(open=False, from_at=visit.now_ms - CALM_MS, limit=RECENT)
    found = await services.incidents.find(wanted, visit.scope)
    await services.shown(visit.granted, *found)
    return [await view_of(services, one, visit.now_ms) for one in found]
