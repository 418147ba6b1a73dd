"""Releases of the gateway's software, and how they go over the fleet."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard, open_to_all
from cloud.api.parameters import check_names, number_in_path, whole
from cloud.api.render import answer, timed_fields
from cloud.model.principal import Granted
from cloud.model.remote import Rollout
from protocols.errors import RefuseInput
from protocols.limits import SEQ_MAX

LIMIT, LIMIT_MAX = 20, 100
Seconds = Annotated[int, Meta(ge=0, le=30 * 24 * 3600)]


class RolloutBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which release, to whom, how fast."""

    serial: Annotated[int, Meta(ge=1, le=SEQ_MAX)]
    gateways: Annotated[list[str], Meta(max_length=100_000)] | None = None
    """None: all that were ever heard of."""
    stages: tuple[Annotated[int, Meta(ge=1, le=100_000)], ...] = (1, 5)
    """Gateways of each stage; what is left makes the last one."""
    wait_s: Seconds = 3600
    timeout_s: Annotated[int, Meta(ge=1, le=30 * 24 * 3600)] = 1800
    failures_max: Annotated[int, Meta(ge=0, le=100_000)] = 0
    url: Annotated[str, Meta(max_length=300)] = ""
    """Where gateways reach this service; empty: `base_url` of its settings, or as the request."""


class ReasonBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why somebody stops a rollout, or lets it go on."""

    reason: Annotated[str, Meta(max_length=200)] = ""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/releases and /api/v1/rollouts."""
    keeper = Depends(guard("gateways.configure", whole=True))
    routes = APIRouter(prefix="/api/v1", dependencies=[keeper])
    remote = services.remote

    @routes.get("/releases")
    async def list_releases() -> Response:
        found = [remote.releases.release(serial) for serial in remote.releases.serials()]
        return answer([timed_fields(one) for one in found])

    @routes.post("/rollouts")
    async def begin(request: Request, granted: Annotated[Granted, keeper]) -> Response:
        body = read_body(await request.body(), RolloutBody)
        gateways = body.gateways
        if gateways is None:
            gateways = [one.gateway_id for one in services.gateways.all()]
        base = body.url or services.base_url or str(request.base_url)
        plan = Rollout(
            serial=body.serial,
            version=remote.releases.release(body.serial).version,
            url=f"{base.rstrip('/')}/releases/{body.serial}",
            stages=body.stages,
            wait_s=body.wait_s,
            timeout_s=body.timeout_s,
            failures_max=body.failures_max,
            by=granted.by,
            created_at=services.clock.wall_ms(),
        )
        named = list(dict.fromkeys(gateways))
        noted = services.noted(granted, f"release:{body.serial}", gateways=len(named))
        rollout, members = await remote.roll_out(plan, named, [noted])
        return answer(_fields(rollout, members), status=202)

    @routes.get("/rollouts")
    async def list_rollouts(request: Request, granted: Annotated[Granted, keeper]) -> Response:
        check_names(request.query_params, ("limit",))
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT_MAX)
        found = await remote.rollouts(limit)
        await services.shown(granted, *found)
        return answer([timed_fields(one) for one in found])

    @routes.get("/rollouts/{rollout_id}")
    async def get_rollout(rollout_id: str, granted: Annotated[Granted, keeper]) -> Response:
        rollout, members = await remote.rollout(number_in_path(rollout_id))
        await services.shown(granted, rollout)
        return answer(_fields(rollout, members))

    @routes.post("/rollouts/{rollout_id}/{verb}")
    async def steer(
        rollout_id: str, verb: str, request: Request, granted: Annotated[Granted, keeper]
    ) -> Response:
        if verb not in ("stop", "resume"):
            raise RefuseInput("not_found", f"expected stop or resume, found {verb[:20]!r}")
        raw = await request.body()
        reason = read_body(raw, ReasonBody).reason if raw.strip() else ""
        number, running = number_in_path(rollout_id), verb == "resume"
        noted = services.noted(granted, f"rollout:{number}", state=verb)
        rollout = await remote.set_rollout(number, running=running, reason=reason, also=[noted])
        return answer(timed_fields(rollout))

    return routes


def files(services: Services) -> APIRouter:
    """Build /releases/{serial}/{name}: the wheels, which everybody may have; no token needed."""
    everybody = open_to_all("a wheel is checked by its hash in a signed manifest, and no secret")
    routes = APIRouter(prefix="/releases", dependencies=[Depends(everybody)])

    @routes.get("/{serial}/{name}")
    async def get_wheel(serial: str, name: str) -> Response:
        path = services.remote.releases.file(number_in_path(serial), name)
        return FileResponse(path, media_type="application/octet-stream")

    return routes


def _fields(rollout: Rollout, members: Any) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in members:
        counts[one.state] = counts.get(one.state, 0) + 1
    shown = [timed_fields(one) for one in members]
    return timed_fields(rollout) | {"counts": counts, "gateways": shown}
