"""Lifts: the list with what is overdue first, and the file of one with calendar and record."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse
from msgspec import Struct
from starlette.datastructures import QueryParams

from cloud.api.base import Services
from cloud.lifts.base import noting
from cloud.model.asking_lifts import (
    CALENDAR_HEADERS,
    CALENDAR_LIFTS_MAX,
    STATES,
    after_of,
    calendar_of_lifts,
    read_wanted,
)
from cloud.model.lift import Lift, LiftRecord, LiftVerdict, WantedLifts
from cloud.web.cylinder_words import organisation_names
from cloud.web.format import clock_time
from cloud.web.lift_forms import WAYS, may_write, offered, read_draft
from cloud.web.own_account import qr_code
from cloud.web.refused import refused_text
from cloud.web.texts import Texts
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput
from protocols.lifts.base import SCHEME, LiftFile
from protocols.lifts.records import FieldRule, Kinds, Value

SHOWN, RECORDS, CALENDAR_DAYS = 50, 30, 180
STATUS_OF = {"not_found": 404, "wrong_state": 409, "forbidden": 403}
CODES = ("registration_code", "equipment_code", "certificate", "trace_code", "rescue_code")
MADE = (
    *("model", "serial_number", "in_house_number", "manufacturer", "manufactured_on"),
    *("installer", "installed_on", "used_since", "supervised_on", "inspected_on"),
)
MEASURES = (
    *("floors", "stops", "doors", "rated_speed_m_s", "rated_load_kg", "rise_m"),
    *("inclination_deg", "step_width_mm", "public_transport", "outdoor"),
)
PLACE = ("address", "district", "area_code", "site_type", "latitude", "longitude")


class RecordView(Struct, frozen=True):
    """One entry, in words."""

    record: LiftRecord
    title: str
    fields: list[tuple[str, str]]
    may_confirm: bool


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /lifts, the file of one, and the forms of its record."""
    routes = APIRouter()
    reader = Depends(signed_in("lifts.read"))
    _add_lists(routes, services, reader)

    @routes.get("/lifts/{code}")
    async def show_one(visit: Annotated[Visit, reader], code: str) -> Response:
        return await _page(services, visit, code)

    for way, call in WAYS.items():
        _add_way(routes, services, way, Depends(signed_in(call)))
    return routes


def _add_lists(routes: APIRouter, services: Services, reader: Any) -> None:
    desks = services.lifts

    @routes.get("/lifts")
    async def show_list(visit: Annotated[Visit, reader]) -> Response:
        query = visit.request.query_params
        try:
            wanted = read_wanted(query, SHOWN + 1)
        except RefuseInput:
            wanted = WantedLifts(limit=SHOWN + 1)
        found = await desks.lifts.find(visit.scope, wanted)
        some = found[:SHOWN]
        await services.shown(visit.granted, *some)
        parties = {who for one in some for who in one.parties.values()}
        return visit.render(
            "lifts.html",
            lifts=some,
            wanted=wanted,
            states=STATES,
            names=organisation_names(services, parties),
            types=_types(services, visit.t),
            next_page=_next_page(query, found),
            today=desks.lifts.today(),
            days=_days(some, desks.lifts.today()),
            own=not (visit.scope.everything or visit.scope.remits),
        )

    @routes.get("/lift-calendar.ics")
    async def download(visit: Annotated[Visit, reader]) -> Response:
        until = desks.lifts.today() + timedelta(days=CALENDAR_DAYS)
        wanted = WantedLifts(limit=CALENDAR_LIFTS_MAX)
        raw = calendar_of_lifts(
            await desks.cases.due(visit.scope, wanted, until),
            language=visit.t.language,
            base_url=services.base_url,
            now_ms=visit.now_ms,
        )
        return Response(raw, media_type="text/calendar", headers=CALENDAR_HEADERS)


def _add_way(routes: APIRouter, services: Services, way: str, writer: Any) -> None:
    lifts = services.lifts.lifts

    @routes.post(f"/lifts/{{code}}/{way}")
    async def write(visit: Annotated[Visit, writer], code: str) -> Response:
        form, asset_id = await visit.checked_form(), f"{SCHEME}:{code}"
        try:
            draft = read_draft(form, lifts, visit.zone)
            note = noting(services.noted, visit.granted, asset_id)
            await lifts.record(visit.granted, asset_id, draft, note)
        except RefuseInput as error:
            told = refused_text(error, visit.t, about="wrong_lift")
            status = STATUS_OF.get(error.reason, 400)
            return await _page(services, visit, code, status=status, error=told)
        return RedirectResponse(f"/lifts/{quote(code)}#record", status_code=303)


async def _page(
    services: Services, visit: Visit, code: str, *, status: int = 200, error: str = ""
) -> Response:
    scope, asset_id, lifts = visit.scope_of("lifts.read"), f"{SCHEME}:{code}", services.lifts.lifts
    query = visit.request.query_params
    before = query.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 10 else None
    try:
        one = await lifts.get(asset_id, scope)
        calendar = await lifts.calendar(asset_id, scope)
        verdict = await lifts.verify(asset_id, scope)
        records = await lifts.records(asset_id, scope, before=number, limit=RECORDS + 1)
    except RefuseInput:
        return visit.render("not_found.html", status=404)
    asset = await services.registry.get(asset_id)
    some = records[:RECORDS]
    await services.shown(visit.granted, one, *some)
    confirms = next((kind for kind in lifts.kinds.values() if kind.about == "confirms"), None)
    address = f"{services.base_url or str(visit.request.base_url).rstrip('/')}/q/{asset_id}"
    return visit.render(
        "lift.html",
        status=status,
        one=one,
        code=code,
        plan=calendar.plan,
        today=lifts.today(),
        verdict=verdict,
        chain=_chain(verdict, visit.t),
        records=[_view(each, visit, lifts.kinds, one) for each in some],
        older=some[-1].body.seq if len(records) > RECORDS else None,
        forms=offered(visit, lifts, one),
        confirms=confirms,
        groups=_groups(one.file, visit.t),
        type_name=_types(services, visit.t).get(one.file.type_code, one.file.type_code),
        names=organisation_names(
            services, {*one.parties.values(), *(each.maintainer for each in one.file.contracts)}
        ),
        kinds=lifts.kinds,
        findings=[each for each in asset.findings if each.resolved_at is None] if asset else [],
        rescue_phone=one.file.rescue_phone or lifts.catalogue.rescue_code.hotline,
        address=address,
        qr=qr_code(address),
        error=error,
    )


def _view(record: LiftRecord, visit: Visit, kinds: Kinds, one: Lift) -> RecordView:
    entry = record.body
    kind, confirming = kinds.get(entry.kind), [k for k in kinds.values() if k.about == "confirms"]
    rules = {rule.name: rule for rule in kind.fields} if kind else {}
    order = {name: place for place, name in enumerate(rules)}
    may = kind is not None and bool(kind.confirmed_by) and record.stands and not record.confirmed
    return RecordView(
        record=record,
        title=visit.t.of(kind, "title") if kind else entry.kind,
        fields=[
            (visit.t.of(rules[name], "title") if name in rules else name, told)
            for name, value in sorted(entry.fields.items(), key=lambda one: order.get(one[0], 99))
            if (told := _told(rules.get(name), value, visit))
        ],
        may_confirm=may and any(may_write(visit, each, one) for each in confirming),
    )


def _told(rule: FieldRule | None, value: Value, visit: Visit) -> str:
    if isinstance(value, bool):
        return visit.t("lifts.yes") if value else visit.t("lifts.no")
    if rule is not None and rule.type == "moment" and isinstance(value, int):
        return clock_time(value, visit.zone, visit.now_ms)
    if rule is not None and rule.type == "word":
        return visit.t.find(f"lift_word.{value}", str(value))
    return str(value)


def _chain(verdict: LiftVerdict, t: Texts) -> str:
    """Say in a sentence whether the record is whole."""
    if verdict.good:
        return t("lifts.chain_good", count=verdict.entries)
    places = ", ".join(
        f"{fault.seq} ({t.find(f'lift_fault.{fault.what}', fault.what)})"
        for fault in verdict.faults[:10]
    )
    return t("lifts.chain_broken", places=places)


def _groups(file: LiftFile, t: Texts) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the static data in groups, what is not known left out."""
    names = {"codes": CODES, "made": MADE, "measures": MEASURES, "place": PLACE}
    found = []
    for group, fields in names.items():
        told = [(t(f"lift_field.{name}"), _static(getattr(file, name), t)) for name in fields]
        found.append((t(f"lift_group.{group}"), [(name, text) for name, text in told if text]))
    return found


def _static(value: object, t: Texts) -> str:
    if isinstance(value, bool):
        return t("lifts.yes") if value else t("lifts.no")
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def _types(services: Services, t: Texts) -> Mapping[str, str]:
    return {one.code: t.of(one, "title") for one in services.lifts.lifts.catalogue.types}


def _days(found: Sequence[Lift], today: date) -> dict[str, int]:
    """Return how many days are left of each lift until its next day."""
    return {
        one.asset_id: (date.fromisoformat(one.next_due_on) - today).days
        for one in found
        if one.next_due_on
    }


def _next_page(query: QueryParams, found: Sequence[Lift]) -> str | None:
    if len(found) <= SHOWN:
        return None
    kept = [(name, value) for name, value in query.multi_items() if name != "after"]
    return "/lifts?" + urlencode([*kept, ("after", after_of(found[SHOWN - 1]))])
