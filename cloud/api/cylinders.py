"""Gas cylinders: their files, their history, and the steps of their lives."""

import re
from typing import Annotated, Any, get_args

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, number_in_path, whole
from cloud.api.render import answer, page, timed_fields
from cloud.cylinders.base import Wanted
from cloud.model.cylinder import (
    SCHEME,
    CylinderEntry,
    CylinderRecord,
    Day,
    Destroyed,
    FurtherCode,
    Line,
    OrganisationId,
    Reason,
    Step,
)
from cloud.model.principal import Granted
from protocols.cylinders.base import State
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id

LIMIT, LIMIT_MAX, TEXT_CHARS_MAX = 100, 1_000, 128
CHANGE_MAX = 10**15
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
REPORTS: tuple[Step, ...] = ("lose", "find")
"""Steps that whoever handles a cylinder may tell; the others are its filler's."""


class StepBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is done."""

    reason: Reason


class TransferBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose it will be, and why."""

    to: OrganisationId
    reason: Reason


class ScrapBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How its function was destroyed, when, by whom, and why."""

    how: Destroyed
    on: Day
    by: Annotated[Line, Meta(min_length=1)]
    reason: Reason


class ReadTogetherBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Codes that were read on one cylinder: its stamp, label and tag."""

    codes: Annotated[tuple[FurtherCode, ...], Meta(min_length=1, max_length=20)]


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls below /api/v1/cylinders."""
    routes = APIRouter(prefix="/api/v1/cylinders")
    _add_reading(routes, services, guard)
    _add_writing(routes, services, guard)
    _add_steps(routes, services, guard)
    _add_blocks(routes, services, guard)
    return routes


def cylinder_id(code: str) -> str:
    """Return the asset id of a cylinder by its code in a path; RefuseInput `bad_asset_id`."""
    return check_asset_id(f"{SCHEME}:{code}")


def subject_of(asset_id: str) -> str:
    """Return how the audit names a cylinder: as the asset that it is."""
    return f"asset:{asset_id}"


def cylinder_fields(record: CylinderRecord) -> dict[str, Any]:
    """Return a cylinder as JSON-ready fields."""
    fields = timed_fields(record)
    del fields["change"]
    fields["blocks"] = [timed_fields(one) for one in record.blocks]
    return {"code": record.asset_id.partition(":")[2], **fields}


async def shown(
    services: Services, granted: Granted, record: CylinderRecord, *, status: int = 200
) -> Response:
    """Answer with a cylinder, after the look at what is personal was noted."""
    await services.shown(granted, record)
    return answer(cylinder_fields(record), status=status)


def _add_reading(routes: APIRouter, services: Services, guard: Guard) -> None:
    reader, cylinders = Depends(guard("cylinders.read")), services.cylinders.cylinders

    @routes.get("")
    async def list_cylinders(request: Request, granted: Annotated[Granted, reader]) -> Response:
        wanted = read_wanted(request)
        found = await cylinders.find(
            granted.scope, msgspec.structs.replace(wanted, limit=wanted.limit + 1)
        )
        some = found[: wanted.limit]
        await services.shown(granted, *some)
        return page(
            [cylinder_fields(one) for one in some],
            request=request,
            next_page={"after": some[-1].asset_id} if len(found) > wanted.limit else {},
        )

    @routes.get("/{code}")
    async def get_cylinder(code: str, granted: Annotated[Granted, reader]) -> Response:
        record = await cylinders.get(cylinder_id(code), granted.scope)
        return await shown(services, granted, record)

    @routes.get("/{code}/history")
    async def get_history(
        code: str, request: Request, granted: Annotated[Granted, reader]
    ) -> Response:
        check_names(request.query_params, ("before", "limit"))
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT_MAX)
        before = whole(request.query_params, "before", CHANGE_MAX, low=1, high=CHANGE_MAX)
        found = await cylinders.history(
            cylinder_id(code), granted.scope, before=before, limit=limit + 1
        )
        some = found[:limit]
        return page(
            [timed_fields(one) for one in some],
            request=request,
            next_page={"before": some[-1].change} if len(found) > limit else {},
        )


def _add_writing(routes: APIRouter, services: Services, guard: Guard) -> None:
    cylinders = services.cylinders.cylinders

    @routes.put("/{code}")
    async def put_cylinder(
        code: str, request: Request, granted: Annotated[Granted, Depends(guard("cylinders.write"))]
    ) -> Response:
        asset_id = cylinder_id(code)
        body = read_body(await request.body(), CylinderEntry)
        record, outcome = await cylinders.register(
            granted,
            asset_id,
            body.file(),
            body.district,
            also=[services.noted(granted, subject_of(asset_id), what="file")],
        )
        status = 201 if outcome == "registered" else 200
        return await shown(services, granted, record, status=status)

    @routes.post("/{code}/transfer")
    async def transfer(
        code: str, request: Request, granted: Annotated[Granted, Depends(guard("cylinders.write"))]
    ) -> Response:
        asset_id = cylinder_id(code)
        body = read_body(await request.body(), TransferBody)
        noted = services.noted(granted, subject_of(asset_id), what="transfer", to=body.to)
        await cylinders.transfer(granted, asset_id, body.to, body.reason, also=[noted])
        return answer({"code": code, "filler": body.to})

    @routes.post("/{code}/scrap")
    async def scrap(
        code: str, request: Request, granted: Annotated[Granted, Depends(guard("cylinders.scrap"))]
    ) -> Response:
        asset_id = cylinder_id(code)
        body = read_body(await request.body(), ScrapBody)
        record = await cylinders.scrap(
            granted,
            asset_id,
            body.how,
            body.on,
            body.by,
            body.reason,
            also=[services.noted(granted, subject_of(asset_id), what="scrap")],
        )
        return await shown(services, granted, record)

    @routes.post("/read-together")
    async def read_together(
        request: Request, granted: Annotated[Granted, Depends(guard("cylinders.report"))]
    ) -> Response:
        body = read_body(await request.body(), ReadTogetherBody)
        noted = services.noted(granted, "cylinders", codes=len(body.codes))
        told, blocked = await cylinders.read_together(granted, body.codes, also=[noted])
        return answer({"cylinders": told, "blocked": blocked})


def _add_steps(routes: APIRouter, services: Services, guard: Guard) -> None:
    def add(step: Step) -> None:
        call = "cylinders.report" if step in REPORTS else "cylinders.write"

        @routes.post(f"/{{code}}/{step}")
        async def take(
            code: str, request: Request, granted: Annotated[Granted, Depends(guard(call))]
        ) -> Response:
            asset_id = cylinder_id(code)
            body = read_body(await request.body(), StepBody)
            noted = services.noted(granted, subject_of(asset_id), step=step)
            record = await services.cylinders.cylinders.take_step(
                granted, asset_id, step, body.reason, also=[noted]
            )
            return await shown(services, granted, record)

    for step in get_args(Step):
        add(step)


def _add_blocks(routes: APIRouter, services: Services, guard: Guard) -> None:
    cylinders = services.cylinders.cylinders

    @routes.post("/{code}/block")
    async def block(
        code: str, request: Request, granted: Annotated[Granted, Depends(guard("cylinders.block"))]
    ) -> Response:
        asset_id = cylinder_id(code)
        body = read_body(await request.body(), StepBody)
        noted = services.noted(granted, subject_of(asset_id), what="block")
        record = await cylinders.block(granted, asset_id, body.reason, also=[noted])
        return await shown(services, granted, record)

    @routes.post("/{code}/blocks/{block_id}/lift")
    async def lift(
        code: str,
        block_id: str,
        request: Request,
        granted: Annotated[Granted, Depends(guard("cylinders.resolve"))],
    ) -> Response:
        asset_id, number = cylinder_id(code), number_in_path(block_id)
        body = read_body(await request.body(), StepBody)
        noted = services.noted(granted, subject_of(asset_id), what="lift", block=number)
        record = await cylinders.lift(granted, asset_id, number, body.reason, also=[noted])
        return await shown(services, granted, record)


def read_wanted(request: Request) -> Wanted:
    """Read which cylinders are asked for; RefuseInput `bad_request`."""
    query = request.query_params
    names = ("text", "filler", "district", "state", "kind", "gas", "due_before", "after", "limit")
    check_names(query, names)
    state, due = query.get("state") or None, query.get("due_before") or None
    if state is not None and state not in get_args(State):
        expected = ", ".join(get_args(State))
        raise RefuseInput("bad_request", f"state: expected {expected}, found {state[:40]!r}")
    if due is not None and not _DAY.fullmatch(due):
        raise RefuseInput("bad_request", f"due_before: expected YYYY-MM-DD, found {due[:20]!r}")
    texts = {name: (query.get(name) or "").strip()[:TEXT_CHARS_MAX] or None for name in names[:6]}
    return Wanted(
        text=texts["text"],
        filler=texts["filler"],
        district=texts["district"],
        state=state,
        kind=texts["kind"],
        gas=texts["gas"],
        due_before=due,
        after=(query.get("after") or "")[:TEXT_CHARS_MAX],
        limit=whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX),
    )
