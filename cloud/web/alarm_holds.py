"""What is held back: shelved alarms, things out of service, and the forms that do it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.alarm import Alarm
from cloud.model.database import Work
from cloud.web.view import AlarmView, alarm_view, asset_view
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

SHOWN_MAX = 200
MINUTES = (15, 30, 60, 120, 240, 480, 1_440)
"""Offered, as far as the severity of the alarm allows."""
REASON_CHARS_MAX = 2_000
Do = Callable[[Visit, Alarm, Mapping[str, str]], Awaitable[object]]


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /alarm-holds and the forms of an alarm's page."""
    routes = APIRouter()
    visitor = Depends(signed_in("alarms.read"))

    @routes.get("/alarm-holds")
    async def show(visit: Annotated[Visit, visitor]) -> Response:
        shelved = await _held(services, visit, "shelved")
        hidden = await _held(services, visit, "suppressed_by_design")
        out = await services.alarms.out_of_service(scope=visit.scope)
        views = [(one, await asset_view(services, one.asset, visit.t)) for one in out[:SHOWN_MAX]]
        alarms = [view.alarm for view in (*shelved, *hidden)]
        assets = [view.asset.asset for view in (*shelved, *hidden)]
        await services.shown(visit.granted, *alarms, *assets, *out[:SHOWN_MAX])
        await services.shown(visit.granted, *(view.asset for _, view in views))
        head = services.feed.head
        return visit.render(
            "alarm_holds.html",
            shelved=shelved,
            hidden=hidden,
            out=views,
            head=head,
            may_shelve=visit.may("alarms.shelve"),
            may_take=visit.may("alarms.out_of_service"),
        )

    _add_shelf(routes, services, signed_in)
    _add_service(routes, services, signed_in)
    return routes


def _add_shelf(routes: APIRouter, services: Services, signed_in: SignedIn) -> None:
    shelver = Depends(signed_in("alarms.shelve"))

    async def _shelve(visit: Visit, alarm: Alarm, form: Mapping[str, str]) -> object:
        minutes = form.get("minutes", "")
        if minutes not in {str(one) for one in MINUTES}:
            raise RefuseInput("bad_request", f"until: expected minutes, found {minutes[:20]!r}")
        return await services.alarms.shelve(
            alarm.id,
            until_ms=services.clock.wall_ms() + int(minutes) * 60_000,
            reason=form.get("reason", "").strip()[:REASON_CHARS_MAX],
            by=visit.granted.by,
            scope=visit.scope,
            also=_noted(services, visit, alarm, "shelve"),
        )

    @routes.post("/alarms/{alarm_id}/shelve")
    async def shelve(visit: Annotated[Visit, shelver], alarm_id: str) -> Response:
        return await _do(services, visit, alarm_id, _shelve)

    @routes.post("/alarms/{alarm_id}/unshelve")
    async def unshelve(visit: Annotated[Visit, shelver], alarm_id: str) -> Response:
        async def act(visit: Visit, alarm: Alarm, _form: Mapping[str, str]) -> object:
            also = _noted(services, visit, alarm, "unshelve")
            return await services.alarms.unshelve(alarm.id, scope=visit.scope, also=also)

        return await _do(services, visit, alarm_id, act)

    @routes.post("/alarms/{alarm_id}/reset")
    async def reset(visit: Annotated[Visit, shelver], alarm_id: str) -> Response:
        async def act(visit: Visit, alarm: Alarm, _form: Mapping[str, str]) -> object:
            also = _noted(services, visit, alarm, "reset")
            return await services.alarms.reset(alarm.id, scope=visit.scope, also=also)

        return await _do(services, visit, alarm_id, act)


def _add_service(routes: APIRouter, services: Services, signed_in: SignedIn) -> None:
    taker = Depends(signed_in("alarms.out_of_service"))

    async def _take_out(visit: Visit, alarm: Alarm, form: Mapping[str, str]) -> object:
        hours = form.get("hours", "")
        if hours and not (hours.isascii() and hours.isdigit() and 0 < int(hours[:6]) <= 8_760):
            raise RefuseInput("bad_request", f"until: expected hours, found {hours[:20]!r}")
        ends_at = services.clock.wall_ms() + int(hours) * 3_600_000 if hours else None
        subject = f"asset:{alarm.asset}"
        return await services.alarms.take_out_of_service(
            alarm.asset,
            reason=form.get("reason", "").strip()[:REASON_CHARS_MAX],
            by=visit.granted.by,
            return_expected_at=ends_at,
            also=[services.noted(visit.granted, subject, what="out of service")],
        )

    @routes.post("/alarms/{alarm_id}/out-of-service")
    async def take_out(visit: Annotated[Visit, taker], alarm_id: str) -> Response:
        return await _do(services, visit, alarm_id, _take_out)

    @routes.post("/assets/{asset_id}/return-to-service")
    async def return_to_service(visit: Annotated[Visit, taker], asset_id: str) -> Response:
        await _checked(visit)
        await services.known_asset(asset_id, visit.scope)
        noted = services.noted(visit.granted, f"asset:{asset_id}", what="back in service")
        await services.alarms.return_to_service(asset_id, by=visit.granted.by, also=[noted])
        return RedirectResponse("/alarm-holds", status_code=303)


async def find_alarm(services: Services, alarm_id: str, visit: Visit) -> Alarm | None:
    """Return the alarm of a path, None when there is none that the visitor may see."""
    if not (alarm_id.isascii() and alarm_id.isdigit() and len(alarm_id) <= 16):
        return None
    return await services.alarms.get(int(alarm_id), scope=visit.scope)


def minutes_of(services: Services, alarm: Alarm) -> list[int]:
    """Return for how long an alarm may be shelved; none: never, or not now."""
    terms = services.alarm_figures.terms.shelf(alarm.severity)
    if terms is None or alarm.shelvings >= terms.times_max:
        return []
    return [one for one in MINUTES if one <= terms.minutes_max]


async def _held(services: Services, visit: Visit, state: str) -> list[AlarmView]:
    found = await services.alarms.find(scope=visit.scope, states=[state], limit=SHOWN_MAX)
    found.sort(key=lambda one: (one.shelve_ends_at or 0, one.id))
    return [await alarm_view(services, alarm, visit.t) for alarm in found]


async def _checked(visit: Visit) -> Mapping[str, str]:
    form = await visit.form()
    visit.check_same_site()
    visit.check_csrf(form.get("csrf", ""))
    return form


async def _do(services: Services, visit: Visit, alarm_id: str, do: Do) -> Response:
    """Carry out a form of an alarm's page; what is refused is told on that page."""
    form = await _checked(visit)
    alarm = await find_alarm(services, alarm_id, visit)
    if alarm is None:
        raise RefuseInput("not_found", f"no alarm {alarm_id[:40]!r}")
    try:
        await do(visit, alarm, form)
    except RefuseInput as error:
        word = error.detail.partition(":")[0] if error.reason == "bad_request" else error.reason
        return RedirectResponse(f"/alarms/{alarm.id}?refused={word}#hold", status_code=303)
    return RedirectResponse(f"/alarms/{alarm.id}", status_code=303)


def _noted(services: Services, visit: Visit, alarm: Alarm, verb: str) -> list[Work]:
    return [services.noted(visit.granted, f"asset:{alarm.asset}", alarm=alarm.id, what=verb)]
