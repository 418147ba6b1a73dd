"""Commands and configuration of gateways."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer, timed_fields
from cloud.model.principal import Granted
from protocols.errors import RefuseInput
from protocols.ids import check_gateway_id
from protocols.limits import SEQ_MAX

LIMIT, LIMIT_MAX = 20, 100
EXPIRES_IN_S, EXPIRES_IN_S_MAX = 60, 7 * 24 * 3600


class CommandBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An order to a gateway."""

    op: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
    args: dict[str, Any] = {}
    expires_in_s: Annotated[int, Meta(ge=1, le=EXPIRES_IN_S_MAX)] = EXPIRES_IN_S


class ConfigBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A site file and the data files beside it, as text."""

    site: str
    overlay: dict[str, str] = {}
    not_after: Annotated[int, Meta(ge=0, le=SEQ_MAX)] | None = None
    """ms since 1970; later the gateway refuses it."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls below /api/v1/gateways/{id} that reach the gateway."""
    routes = APIRouter(prefix="/api/v1/gateways/{gateway_id}")
    commander = Depends(guard("gateways.command", whole=True))
    keeper = Depends(guard("gateways.configure", whole=True))
    remote = services.remote

    @routes.post("/commands")
    async def order(
        gateway_id: str, request: Request, granted: Annotated[Granted, commander]
    ) -> Response:
        body = read_body(await request.body(), CommandBody)
        entry = await remote.command(
            check_gateway_id(gateway_id),
            op=body.op,
            args=body.args,
            expires_in_s=body.expires_in_s,
            by=granted.by,
            also=[
                services.noted(granted, f"gateway:{gateway_id}", op=body.op, args=sorted(body.args))
            ],
        )
        return answer(timed_fields(entry), status=202)

    @routes.get("/commands")
    async def list_commands(
        gateway_id: str, request: Request, granted: Annotated[Granted, commander]
    ) -> Response:
        found = await remote.commands(check_gateway_id(gateway_id), _limit(request))
        await services.shown(granted, *found)
        return answer([timed_fields(one) for one in found])

    @routes.get("/commands/{command_id}")
    async def get_command(
        gateway_id: str, command_id: str, granted: Annotated[Granted, commander]
    ) -> Response:
        entry = await remote.find_command(check_gateway_id(gateway_id), command_id)
        if entry is None:
            raise RefuseInput("not_found", f"no command {command_id[:80]!r} to {gateway_id}")
        await services.shown(granted, entry)
        return answer(timed_fields(entry))

    @routes.post("/config")
    async def push(
        gateway_id: str, request: Request, granted: Annotated[Granted, keeper]
    ) -> Response:
        body = read_body(await request.body(), ConfigBody)
        pushed = await remote.push(
            check_gateway_id(gateway_id),
            site=body.site,
            overlay=body.overlay,
            not_after=body.not_after,
            by=granted.by,
            also=[
                services.noted(granted, f"gateway:{gateway_id}", overlay=sorted(body.overlay)[:50])
            ],
        )
        return answer(timed_fields(pushed), status=202)

    @routes.get("/config")
    async def list_pushes(
        gateway_id: str, request: Request, granted: Annotated[Granted, keeper]
    ) -> Response:
        found = await remote.pushes(check_gateway_id(gateway_id), _limit(request))
        await services.shown(granted, *found)
        return answer([timed_fields(one) for one in found])

    return routes


def _limit(request: Request) -> int:
    check_names(request.query_params, ("limit",))
    return whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT_MAX)
