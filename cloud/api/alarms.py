"""Alarms: list, acknowledge, shelve and reset."""

import re
from typing import Annotated, get_args

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, number_in_path, several, whole
from cloud.api.render import alarm_fields, answer, page
from cloud.model.alarm import Alarm, AlarmState
from cloud.model.database import Work
from cloud.model.principal import Granted
from protocols.clock import parse_time
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id

LIMIT = 100
LIMIT_MAX = 1_000
OPEN = "open"
"""A word for every state but normal."""
STATES: tuple[str, ...] = get_args(AlarmState)


class NoteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an acknowledgement may carry."""

    note: Annotated[str, msgspec.Meta(max_length=2_000)] = ""


class ShelveBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long, or until when, and why."""

    minutes: Annotated[int, msgspec.Meta(ge=1, le=10_080)] | None = None
    until: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    """ISO 8601, or ms since 1970 as text."""
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]

    def ends_at(self, now_ms: int) -> int:
        """Return the moment meant; RefuseInput `bad_request` unless exactly one is given."""
        if (self.minutes is None) == (self.until is None):
            found = "neither" if self.until is None else "both"
            raise RefuseInput("bad_request", f"minutes: expected minutes or until, found {found}")
        if self.minutes is not None:
            return now_ms + self.minutes * 60_000
        return moment(self.until or "", "until")


def moment(text: str, name: str) -> int:
    """Read a moment; RefuseInput `bad_request`, naming the field."""
    if re.fullmatch(r"[0-9]{1,15}", text):
        return int(text)
    try:
        return parse_time(text)
    except RefuseInput as error:
        raise RefuseInput(error.reason, f"{name}: {error.detail}") from None


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls below /api/v1/alarms."""
    routes = APIRouter(prefix="/api/v1/alarms")

    @routes.get("")
    async def list_alarms(
        request: Request, granted: Annotated[Granted, Depends(guard("alarms.read"))]
    ) -> Response:
        query = request.query_params
        check_names(query, ("state", "asset", "before", "limit"))
        limit = whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX)
        asset = query.get("asset") or None
        found = await services.alarms.find(
            scope=granted.scope,
            states=_states(several(query, "state")),
            asset=None if asset is None else check_asset_id(asset),
            before_id=whole(query, "before", 0, low=0, high=2**53) or None,
            limit=limit + 1,
        )
        await services.shown(granted, *found[:limit])
        return page(
            [alarm_fields(alarm) for alarm in found[:limit]],
            request=request,
            next_page={"before": found[limit - 1].id} if len(found) > limit else {},
        )

    @routes.post("/{alarm_id}/acknowledge")
    async def acknowledge(
        alarm_id: str,
        request: Request,
        granted: Annotated[Granted, Depends(guard("alarms.acknowledge"))],
    ) -> Response:
        note = _note(await request.body())
        if not (alarm_id.isascii() and alarm_id.isdigit() and len(alarm_id) <= 16):
            raise RefuseInput("not_found", f"no alarm {alarm_id[:40]!r}")
        before = await services.alarms.get(int(alarm_id), scope=granted.scope)
        if before is None:
            raise RefuseInput("not_found", f"no alarm {alarm_id}")
        alarm = await services.alarms.acknowledge(
            before.id,
            by=granted.by,
            note=note,
            scope=granted.scope,
            also=[services.noted(granted, f"asset:{before.asset}", alarm=before.id)],
        )
        return answer(alarm_fields(alarm))

    _add_shelf(routes, services, guard)
    return routes


def _add_shelf(routes: APIRouter, services: Services, guard: Guard) -> None:
    operator = Depends(guard("alarms.shelve"))

    async def found(alarm_id: str, granted: Granted) -> Alarm:
        alarm = await services.alarms.get(number_in_path(alarm_id), scope=granted.scope)
        if alarm is None:
            raise RefuseInput("not_found", f"no alarm {alarm_id}")
        return alarm

    def noted(granted: Granted, alarm: Alarm, verb: str) -> list[Work]:
        return [services.noted(granted, f"asset:{alarm.asset}", alarm=alarm.id, what=verb)]

    @routes.post("/{alarm_id}/shelve")
    async def shelve(
        alarm_id: str, request: Request, granted: Annotated[Granted, operator]
    ) -> Response:
        body = read_body(await request.body(), ShelveBody)
        alarm = await found(alarm_id, granted)
        moved = await services.alarms.shelve(
            alarm.id,
            until_ms=body.ends_at(services.clock.wall_ms()),
            reason=body.reason.strip(),
            by=granted.by,
            scope=granted.scope,
            also=noted(granted, alarm, "shelve"),
        )
        return answer(alarm_fields(moved))

    @routes.post("/{alarm_id}/unshelve")
    async def unshelve(alarm_id: str, granted: Annotated[Granted, operator]) -> Response:
        alarm = await found(alarm_id, granted)
        also = noted(granted, alarm, "unshelve")
        moved = await services.alarms.unshelve(alarm.id, scope=granted.scope, also=also)
        return answer(alarm_fields(moved))

    @routes.post("/{alarm_id}/reset")
    async def reset(alarm_id: str, granted: Annotated[Granted, operator]) -> Response:
        alarm = await found(alarm_id, granted)
        also = noted(granted, alarm, "reset")
        moved = await services.alarms.reset(alarm.id, scope=granted.scope, also=also)
        return answer(alarm_fields(moved))


def _states(words: list[str]) -> list[str] | None:
    """Translate words to states, None for all of them."""
    for word in words:
        if word not in STATES and word != OPEN:
            known = ", ".join((OPEN, *STATES))
            raise RefuseInput("bad_request", f"state: expected one of {known}, found {word[:40]!r}")
    if OPEN in words:
        words = [*words, *(state for state in STATES if state != "normal")]
    return [word for word in dict.fromkeys(words) if word != OPEN] or None


def _note(raw: bytes) -> str:
    return read_body(raw, NoteBody).note.strip() if raw.strip() else ""
