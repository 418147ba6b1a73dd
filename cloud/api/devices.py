"""Handhelds: issued against a one-time code, renewed by themselves, revoked when one is lost."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard, open_to_all
from cloud.api.parameters import check_names
from cloud.api.render import answer, page, timed_fields
from cloud.model.principal import Granted
from protocols.clock import iso
from protocols.errors import RefuseInput


class InviteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose handheld it will be; without it, the caller's own."""

    account: int | None = None


class IssueBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A handheld that comes in for the first time."""

    code: Annotated[str, Meta(max_length=64)]
    name: Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f]+\Z")]


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/devices."""
    routes = APIRouter(prefix="/api/v1/devices")
    keeper = Depends(guard("devices.write"))
    devices = services.devices

    @routes.get("")
    async def list_devices(request: Request, granted: Annotated[Granted, keeper]) -> Response:
        check_names(request.query_params, ())
        found = devices.find(granted.scope)
        await services.shown(granted, *found)
        return page([timed_fields(one) for one in found], request=request, next_page={})

    @routes.post("/codes")
    async def invite(request: Request, granted: Annotated[Granted, keeper]) -> Response:
        body = read_body(await request.body() or b"{}", InviteBody)
        code, expires_at = await devices.invite(
            body.account, granted, lambda subject: services.noted(granted, subject, what="code")
        )
        return answer({"code": code, "expires_at": iso(expires_at)}, status=201)

    @routes.delete("/{device_id}")
    async def revoke(device_id: str, granted: Annotated[Granted, keeper]) -> Response:
        revoked = await devices.revoke(
            device_id, granted, lambda subject: services.noted(granted, subject, what="revoked")
        )
        return answer(timed_fields(revoked))

    _add_own(routes, services)
    return routes


def _add_own(routes: APIRouter, services: Services) -> None:
    """Add what a handheld does for itself."""
    proven = [Depends(open_to_all("a handheld proves itself by its code or its token"))]

    @routes.post("", dependencies=proven)
    async def issue(request: Request) -> Response:
        body = read_body(await request.body(), IssueBody)
        name = " ".join(body.name.split())
        issued = await services.devices.issue(body.code, name, services.audit.noted)
        return answer(timed_fields(issued), status=201)

    @routes.post("/renew", dependencies=proven)
    async def renew(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise RefuseInput("no_token", "send Authorization: Bearer TOKEN")
        return answer(timed_fields(await services.devices.renew(token.strip())))
