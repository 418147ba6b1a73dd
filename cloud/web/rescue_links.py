"""Pages for telephones without an account: how it goes, and the unit's own words.

A link is all that they have: it names one rescue, and of a unit's link one unit. Whatever is wrong
with it, the answer is the same page that says there is nothing.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.model.desk import LinkKind, RescueLink, is_over
from cloud.model.granting import grant
from cloud.model.incident import Act, Incident
from cloud.model.principal import EVERYTHING, Granted, Principal
from cloud.web.rescue_forms import is_answer
from cloud.web.rescue_view import ANSWERS, lift_of, name_of_unit
from cloud.web.texts import LANGUAGES, load_texts
from cloud.web.visit import LANGUAGE_COOKIE, Visit
from protocols.errors import RefuseInput, RetryLater

CALL = "incidents.answer"
WISHES_MAX = 20
AHEAD_MS = 7 * 24 * 3_600_000
"""So old a pressed button may be that was kept while there was no link; older ones count as now."""


def router(services: Services, anyone: Callable[[Request], Visit]) -> APIRouter:
    """Build /r/{token}, /u/{token} and what a unit says."""
    routes, visitor = APIRouter(), Depends(anyone)

    @routes.get("/r/{token}")
    async def progress(visit: Annotated[Visit, visitor], token: str) -> Response:
        return await _shown(services, visit, token, "progress", "link.html")

    @routes.get("/r/{token}/now")
    async def progress_now(visit: Annotated[Visit, visitor], token: str) -> Response:
        return await _shown(services, visit, token, "progress", "parts/link_progress.html")

    @routes.get("/u/{token}")
    async def unit(visit: Annotated[Visit, visitor], token: str) -> Response:
        return await _shown(services, visit, token, "unit", "link.html")

    @routes.get("/u/{token}/now")
    async def unit_now(visit: Annotated[Visit, visitor], token: str) -> Response:
        return await _shown(services, visit, token, "unit", "parts/link_unit.html")

    @routes.post("/u/{token}/{verb}")
    async def say(visit: Annotated[Visit, visitor], token: str, verb: str) -> Response:
        return await _say(services, visit, token, verb)

    return routes


def language_of(request: Request, otherwise: str) -> str:
    """Return the language: chosen before, else what the browser wishes, else the service's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    for wish in request.headers.get("accept-language", "").split(",")[:WISHES_MAX]:
        word = wish.partition(";")[0].strip().lower().partition("-")[0]
        if word in LANGUAGES:
            return word
    return otherwise


def principal_of(link: RescueLink, unit_name: str, organisation: str | None) -> Principal:
    """Return whom a unit's link stands for: it may answer, and nothing else."""
    return Principal(
        kind="link",
        id=f"link:{link.id}",
        by=f"{unit_name[:40]} (link {link.id})",
        organisation=organisation,
        may={CALL: EVERYTHING},
    )


async def _open(
    services: Services, visit: Visit, token: str, kind: LinkKind
) -> tuple[RescueLink, Incident]:
    """Return a link that holds, with its rescue; RefuseInput `not_found`."""
    visit.t = load_texts(language_of(visit.request, services.language))
    link = await services.desk.links.open(token, kind)
    incident = await services.incidents.get(link.incident)
    if incident.state == "merged" and incident.merged_into is not None:
        incident = await services.incidents.get(incident.merged_into)
    if is_over(incident, services.desk.link_hours, visit.now_ms):
        raise RefuseInput("not_found", "no such link")
    return link, incident


async def _shown(
    services: Services, visit: Visit, token: str, kind: LinkKind, template: str
) -> Response:
    try:
        link, incident = await _open(services, visit, token, kind)
    except RefuseInput:
        return visit.render("link_none.html", status=404)
    shown = await _view(services, link, incident)
    return visit.render(template, token=token, kind=kind, **shown)


async def _view(services: Services, link: RescueLink, incident: Incident) -> dict[str, Any]:
    units = {one.unit: one for one in await services.incidents.all_units()}
    unit = units.get(incident.unit or "")
    may = [verb for verb in services.incidents.verbs(incident) if verb in ANSWERS]
    mine = link.unit is not None and link.unit == incident.unit
    return {
        "incident": incident,
        "lift": lift_of(services, incident.asset),
        "unit_name": unit.name if unit else name_of_unit(services, incident.unit),
        "mine": mine,
        "may": may if mine else [],
    }


class Said(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pressed button: when it was pressed and when it was sent, both by the telephone's clock."""

    at: int | None = None
    sent_at: int | None = None
    people: int | None = None
    injured: int | None = None
    eta_s: int | None = None
    note: str = ""
    key: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{0,40}\Z")] = ""
    """Made when it was pressed: sent again it is the same button."""


def read_said(raw: bytes) -> Said:
    """Read what a telephone sent; RefuseInput `bad_request`."""
    try:
        return msgspec.json.decode(raw, type=Said)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefuseInput("bad_request", str(error)[:200]) from None


async def _say(services: Services, visit: Visit, token: str, word: str) -> Response:
    try:
        link, incident = await _open(services, visit, token, "unit")
        verb = is_answer(word)
    except RefuseInput:
        return visit.render("link_none.html", status=404)
    visit.check_same_site()
    said = read_said(await visit.request.body())
    granted = await _granted(services, link)
    act = Act(
        unit=link.unit,
        people=said.people,
        injured=said.injured,
        eta_s=said.eta_s,
        note=said.note[:500],
        at=pressed_at(said.at, said.sent_at, incident, visit.now_ms),
    )
    also = [services.noted(granted, f"incident:{incident.id}", verb=verb, unit=link.unit)]
    if said.key:
        also.append(services.desk.links.once(link.id, said.key))
    error, status = "", 200
    try:
        incident = await services.incidents.act(incident.id, verb, act, granted=granted, also=also)
    except RetryLater:
        error, status = "later", 503
    except RefuseInput as refused:
        if refused.reason != "already_there":
            error, status = refused.reason, 409
    shown = await _view(services, link, incident)
    response = visit.render("parts/link_unit.html", status=status, token=token, **shown)
    response.headers["X-Refused"] = error
    return response


async def _granted(services: Services, link: RescueLink) -> Granted:
    units = {one.unit: one for one in await services.incidents.all_units()}
    unit = units.get(link.unit or "")
    firm = services.organisations.peek(link.unit or "")  # one that nobody registered as a unit
    organisation = unit.organisation if unit else firm.id if firm else None
    name = unit.name if unit else firm.name if firm else link.unit or ""
    return grant(principal_of(link, name, organisation), CALL)


def pressed_at(at: int | None, sent_at: int | None, incident: Incident, now_ms: int) -> int | None:
    """Return by our clock when a button was pressed, None for now.

    The telephone's clock may be wrong by hours; how long it kept the word is what counts.
    """
    if at is None or sent_at is None or not 0 <= sent_at - at <= AHEAD_MS:
        return None
    moment = now_ms - (sent_at - at)
    return max(moment, incident.detected_at) if moment < now_ms else None
