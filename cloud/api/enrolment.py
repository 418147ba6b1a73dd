"""Enrolment of gateways, which proves itself and needs no token; and their identity, for admins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard, open_to_all
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer, identity_fields, refusal_fields
from cloud.model.principal import Granted
from cloud.trust.base import Trust
from protocols.clock import iso
from protocols.enrolment import (
    ENROL_PATH,
    PROOF_HEADER,
    RENEW_PATH,
    SIGNATURE_HEADER,
    EnrolRequest,
    RenewRequest,
)
from protocols.errors import RefuseInput
from protocols.ids import check_gateway_id

REFUSALS = 100
REFUSALS_MAX = 1_000
JSON = "application/json"


class InviteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an invitation may say."""

    valid_hours: float = 24.0


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/enroll and /api/v1/enroll/renew, and what admins do about identities."""
    routes = APIRouter()
    admin = Depends(guard("gateways.admit", whole=True))
    proven = [Depends(open_to_all("a gateway proves itself by its code or its certificate"))]

    @routes.post(ENROL_PATH, dependencies=proven)
    async def enrol(request: Request) -> Response:
        desk, body = _desk(services), read_body(await request.body(), EnrolRequest)
        made = await asyncio.to_thread(desk.enrol, body, address=_address(request))
        return Response(made.body, media_type=JSON, headers={PROOF_HEADER: made.proof})

    @routes.post(RENEW_PATH, dependencies=proven)
    async def renew(request: Request) -> Response:
        desk, body = _desk(services), read_body(await request.body(), RenewRequest)
        made = await asyncio.to_thread(desk.renew, body, address=_address(request))
        return Response(made.body, media_type=JSON, headers={SIGNATURE_HEADER: made.proof})

    @routes.post("/api/v1/gateways/{gateway_id}/invite")
    async def invite(
        gateway_id: str, request: Request, granted: Annotated[Granted, admin]
    ) -> Response:
        desk, body = _desk(services), read_body(await request.body() or b"{}", InviteBody)
        async with _noted_around(services, granted, gateway_id, "invite") as result:
            code, expires_at = await asyncio.to_thread(
                desk.invite, gateway_id, valid_hours=body.valid_hours
            )
            result["expires_at"] = expires_at
        return answer({"code": str(code), "expires_at": iso(expires_at)}, status=201)

    @routes.post("/api/v1/gateways/{gateway_id}/revoke")
    async def revoke(gateway_id: str, granted: Annotated[Granted, admin]) -> Response:
        desk = _desk(services)
        async with _noted_around(services, granted, gateway_id, "revoke") as result:
            count = await asyncio.to_thread(desk.revoke, gateway_id)
            result["revoked"] = count
        connection = await asyncio.to_thread(desk.cut_off, gateway_id)
        return answer({"revoked": count, "connection": connection})

    @routes.get("/api/v1/gateways/{gateway_id}/identity", dependencies=[admin])
    async def identity(gateway_id: str) -> Response:
        desk = _desk(services)
        found = await asyncio.to_thread(desk.identity, check_gateway_id(gateway_id))
        if found is None:
            raise RefuseInput("not_found", f"gateway {gateway_id} was never invited")
        return answer(identity_fields(found))

    @routes.get("/api/v1/refusals", dependencies=[admin])
    async def refusals(request: Request) -> Response:
        check_names(request.query_params, ("limit",))
        limit = whole(request.query_params, "limit", REFUSALS, low=1, high=REFUSALS_MAX)
        found = await asyncio.to_thread(_desk(services).refusals, limit)
        return answer([refusal_fields(one) for one in found])

    return routes


@asynccontextmanager
async def _noted_around(
    services: Services, granted: Granted, gateway_id: str, what: str
) -> AsyncIterator[dict[str, object]]:
    """Note what is going to be done, and what came of it: the authority has its own database.

    Yields what the second entry will tell. Where there is only the first one, the process ended
    in between, and the authority knows whether it was done.
    """
    subject, result = f"gateway:{check_gateway_id(gateway_id)}", dict[str, object]()
    await services.note(granted, subject, what=what, state="begun")
    try:
        yield result
    except RefuseInput as error:
        await services.note(granted, subject, what=what, state="refused", reason=error.reason)
        raise
    await services.note(granted, subject, what=what, state="done", **result)


def _desk(services: Services) -> Trust:
    if services.trust is None:
        detail = "run `suyuan-cloud ca init` and start the service again, or see its log"
        raise RefuseInput("no_authority", detail)
    return services.trust


def _address(request: Request) -> str:
    return request.client.host if request.client else "?"
