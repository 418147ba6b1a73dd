"""The records of lifts: signed entries, one behind the other, and the look whether they are whole.

Each way of writing is a call of its own: what kinds it takes is said by their data files.
"""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.lifts import lift_id
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer, page, timed_fields
from cloud.lifts.base import noting
from cloud.model.lift import LiftRecord, LiftVerdict
from cloud.model.principal import Granted
from protocols.errors import RefuseInput
from protocols.lifts.records import Draft

LIMIT, LIMIT_MAX, NUMBER_MAX = 100, 1_000, 10**9
WAYS = {
    "records": "lifts.record",
    "inspections": "lifts.inspect",
    "steps": "lifts.write",
    "confirmations": "lifts.confirm",
}
"""Path behind the lift, and the call."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls of records below /api/v1/lifts/{code}."""
    routes = APIRouter(prefix="/api/v1/lifts/{code}")
    _add_reading(routes, services, Depends(guard("lifts.read")))
    for path, call in WAYS.items():
        _add_way(routes, services, path, Depends(guard(call)))
    return routes


def record_fields(one: LiftRecord) -> dict[str, Any]:
    """Return an entry as JSON-ready fields."""
    fields = timed_fields(one.body)
    del fields["lift"], fields["schema"]
    return {**fields, "hash": one.hash, "stands": one.stands, "confirmed": one.confirmed}


def verdict_fields(one: LiftVerdict) -> dict[str, Any]:
    """Return what a look found as JSON-ready fields."""
    return {"code": one.asset_id.partition(":")[2], **msgspec.structs.asdict(one)}


def _add_reading(routes: APIRouter, services: Services, reader: Any) -> None:
    lifts = services.lifts.lifts

    @routes.get("/records")
    async def list_records(
        code: str, request: Request, granted: Annotated[Granted, reader]
    ) -> Response:
        query = request.query_params
        check_names(query, ("kind", "before", "limit"))
        kind = query.get("kind") or None
        if kind is not None and kind not in lifts.kinds:
            expected = ", ".join(sorted(lifts.kinds))
            raise RefuseInput("bad_request", f"kind: expected {expected}, found {kind[:40]!r}")
        limit = whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX)
        before = whole(query, "before", NUMBER_MAX, low=1, high=NUMBER_MAX)
        found = await lifts.records(
            lift_id(code), granted.scope, kind=kind, before=before, limit=limit + 1
        )
        some = found[:limit]
        await services.shown(granted, *some)
        more = {"before": some[-1].body.seq} if len(found) > limit else {}
        return page([record_fields(one) for one in some], request=request, next_page=more)

    @routes.get("/verify")
    async def verify(code: str, granted: Annotated[Granted, reader]) -> Response:
        return answer(verdict_fields(await lifts.verify(lift_id(code), granted.scope)))


def _add_way(routes: APIRouter, services: Services, path: str, writer: Any) -> None:
    lifts = services.lifts.lifts

    @routes.post(f"/{path}")
    async def write(code: str, request: Request, granted: Annotated[Granted, writer]) -> Response:
        asset_id = lift_id(code)
        draft = read_body(await request.body(), Draft)
        kept = await lifts.record(
            granted, asset_id, draft, noting(services.noted, granted, asset_id)
        )
        told = {"seq": kept.seq, "kind": kept.kind, "on": kept.on, "hash": kept.hash}
        return answer({"code": code, **told}, status=201)
