"""Alarms: list and acknowledge."""

from typing import Annotated, get_args

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, several, whole
from cloud.api.render import alarm_fields, answer, page
from cloud.model.alarm import AlarmState
from cloud.model.principal import Granted
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

    return routes


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
