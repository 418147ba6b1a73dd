"""An alarm's own page, and its acknowledgement."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.web.alarm_holds import find_alarm, minutes_of
from cloud.web.view import alarm_view, reasons_then, time_to_respond_ms, values_then
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

PLOT_MINUTES = 5
NOTE_CHARS_MAX = 2_000
CHANGED = {"HX-Trigger": "alarms-changed"}
"""Tells the lists on the page to ask anew, even while the feed is cut off."""


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /alarms/{id} and its acknowledgement."""
    routes = APIRouter()
    visitor = Depends(signed_in("alarms.read"))
    operator = Depends(signed_in("alarms.acknowledge"))

    @routes.get("/alarms/{alarm_id}")
    async def show_alarm(visit: Annotated[Visit, visitor], alarm_id: str) -> Response:
        alarm = await find_alarm(services, alarm_id, visit)
        if alarm is None:
            return visit.render("not_found.html", status=404)
        view = await alarm_view(services, alarm, visit.t)
        out = await services.alarms.out_of_service(scope=visit.scope, asset=alarm.asset)
        await services.shown(visit.granted, alarm, view.asset.asset, *out)
        refused = visit.request.query_params.get("refused", "")
        return visit.render(
            "alarm.html",
            view=view,
            values=values_then(alarm, visit.t),
            reasons=reasons_then(alarm, visit.t),
            time_to_respond_ms=time_to_respond_ms(alarm),
            refused=visit.t.find(f"wrong_hold.{refused}", visit.t("wrong.other"))
            if refused
            else "",
            out=out[0] if out else None,
            minutes_left=minutes_of(services, alarm),
            may_shelve=visit.may("alarms.shelve"),
            may_take=visit.may("alarms.out_of_service"),
            head=services.feed.head,
            minutes=PLOT_MINUTES,
        )

    @routes.post("/alarms/{alarm_id}/acknowledge")
    async def acknowledge(visit: Annotated[Visit, operator], alarm_id: str) -> Response:
        form = await visit.form()
        visit.check_same_site()
        visit.check_csrf(form.get("csrf", ""))
        alarm = await find_alarm(services, alarm_id, visit)
        if alarm is None:
            raise RefuseInput("not_found", f"no alarm {alarm_id[:40]!r}")
        note = form.get("note", "").strip()[:NOTE_CHARS_MAX]
        await services.alarms.acknowledge(
            alarm.id,
            by=visit.granted.by,
            note=note,
            scope=visit.scope,
            also=[services.noted(visit.granted, f"asset:{alarm.asset}", alarm=alarm.id)],
        )
        if visit.request.headers.get("hx-request"):
            return Response(status_code=204, headers=CHANGED)
        return RedirectResponse("/", status_code=303)

    return routes
