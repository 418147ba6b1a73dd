"""Receivers of the feed: who is told, of what, and how that goes."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, number_in_path
from cloud.api.render import answer, timed_fields
from cloud.model.principal import Granted
from cloud.model.receiver import Receiver, ReceiverBody, ReceiverMade

SUBJECT = "receivers"


class ResumeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to go on."""

    skip: bool = False
    """With what comes from now on; what waited is a gap."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/receivers."""
    routes = APIRouter(prefix="/api/v1/receivers")
    reader, writer = Depends(guard("receivers.read")), Depends(guard("receivers.write"))
    receivers = services.receivers

    @routes.get("")
    async def find(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ())
        found = await receivers.find(granted)
        await services.shown(granted, *found)
        return answer([receiver_fields(one) for one in found])

    @routes.post("")
    async def add(request: Request, granted: Annotated[Granted, writer]) -> Response:
        body = read_body(await request.body(), ReceiverBody)
        noted = services.noted(granted, SUBJECT, kind=body.kind)
        made = await receivers.add(granted, body, also=[noted])
        await services.shown(granted, made.receiver)
        return answer(_made(made), status=201)

    @routes.get("/{receiver_id}")
    async def get(receiver_id: str, granted: Annotated[Granted, reader]) -> Response:
        one = await receivers.get(granted, number_in_path(receiver_id))
        await services.shown(granted, one)
        return answer(receiver_fields(one))

    @routes.put("/{receiver_id}")
    async def change(
        receiver_id: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        number = number_in_path(receiver_id)
        body = read_body(await request.body(), ReceiverBody)
        noted = services.noted(granted, SUBJECT, receiver=number)
        one = await receivers.change(granted, number, body, also=[noted])
        await services.shown(granted, one)
        return answer(receiver_fields(one))

    @routes.post("/{receiver_id}/secret")
    async def rotate(receiver_id: str, granted: Annotated[Granted, writer]) -> Response:
        number = number_in_path(receiver_id)
        noted = services.noted(granted, SUBJECT, receiver=number, what="secret")
        made = await receivers.rotate(granted, number, also=[noted])
        await services.shown(granted, made.receiver)
        return answer(_made(made))

    _steps(routes, services, writer)
    return routes


def _steps(routes: APIRouter, services: Services, writer: Any) -> None:
    receivers = services.receivers

    @routes.post("/{receiver_id}/pause")
    async def pause(receiver_id: str, granted: Annotated[Granted, writer]) -> Response:
        number = number_in_path(receiver_id)
        noted = services.noted(granted, SUBJECT, receiver=number, what="pause")
        one = await receivers.pause(granted, number, also=[noted])
        await services.shown(granted, one)
        return answer(receiver_fields(one))

    @routes.post("/{receiver_id}/resume")
    async def resume(
        receiver_id: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        number, raw = number_in_path(receiver_id), await request.body()
        body = read_body(raw, ResumeBody) if raw.strip() else ResumeBody()
        what = "skip" if body.skip else "resume"
        noted = services.noted(granted, SUBJECT, receiver=number, what=what)
        one = await receivers.resume(granted, number, skip=body.skip, also=[noted])
        await services.shown(granted, one)
        return answer(receiver_fields(one))

    @routes.post("/{receiver_id}/test")
    async def test(receiver_id: str, granted: Annotated[Granted, writer]) -> Response:
        number = number_in_path(receiver_id)
        noted = services.noted(granted, SUBJECT, receiver=number, what="test")
        return answer(await receivers.test(granted, number, also=[noted]))

    @routes.delete("/{receiver_id}")
    async def remove(receiver_id: str, granted: Annotated[Granted, writer]) -> Response:
        number = number_in_path(receiver_id)
        noted = services.noted(granted, SUBJECT, receiver=number, what="delete")
        await receivers.remove(granted, number, also=[noted])
        return Response(status_code=204)


def receiver_fields(one: Receiver) -> dict[str, Any]:
    """Return a receiver as JSON-ready fields."""
    return {**timed_fields(one), "health": timed_fields(one.health)}


def _made(made: ReceiverMade) -> dict[str, Any]:
    return {**receiver_fields(made.receiver), "secret": made.secret}
