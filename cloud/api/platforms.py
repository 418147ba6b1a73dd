"""Enterprise platforms: registered by their firms, and what they send of their lifts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer, timed_fields
from cloud.model.platform import SEND, NewPlatform, Platform, PlatformChange
from cloud.model.principal import Granted
from protocols.lifts.gbt24476 import Batch, Kind

LIMIT = 1_000


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/platforms and /api/v1/dialects."""
    routes = APIRouter(prefix="/api/v1")
    _add_looks(routes, services, guard)
    _add_changes(routes, services, guard)
    _add_sending(routes, services, guard)
    return routes


def _add_looks(routes: APIRouter, services: Services, guard: Guard) -> None:
    reader = Depends(guard("platforms.read"))

    @routes.get("/platforms")
    async def find(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ())
        found = await services.platforms.find(granted.scope)
        return answer([platform_fields(one) for one in found])

    @routes.get("/platforms/{platform_id}")
    async def get(platform_id: str, granted: Annotated[Granted, reader]) -> Response:
        return answer(platform_fields(await services.platforms.get(platform_id, granted.scope)))

    @routes.get("/dialects")
    async def dialects(request: Request, _granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ())
        known = sorted(services.platforms.dialects.values(), key=lambda one: one.name)
        names = ("id", "version", "title", "title_zh", "source", "confidence", "caveats", "codes")
        return answer([{name: getattr(one, name) for name in names} for one in known])

    @routes.get("/dialects/unknown")
    async def unknown(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ("limit",))
        limit = whole(request.query_params, "limit", 100, low=1, high=LIMIT)
        found = await services.platforms.unknown(granted.scope, limit)
        return answer([timed_fields(one) for one in found])


def _add_changes(routes: APIRouter, services: Services, guard: Guard) -> None:
    keeper = Depends(guard("platforms.write"))
    platforms = services.platforms

    @routes.post("/platforms")
    async def register(request: Request, granted: Annotated[Granted, keeper]) -> Response:
        new = read_body(await request.body(), NewPlatform)
        made, secret = await platforms.register(
            new, granted, lambda subject: services.noted(granted, subject, what="registered")
        )
        return answer({**platform_fields(made), "secret": secret}, status=201)

    @routes.patch("/platforms/{platform_id}")
    async def change(
        platform_id: str, request: Request, granted: Annotated[Granted, keeper]
    ) -> Response:
        asked = read_body(await request.body(), PlatformChange)
        changed = await platforms.change(
            platform_id,
            asked,
            granted,
            lambda subject: services.noted(granted, subject, what="changed"),
        )
        return answer(platform_fields(changed))

    @routes.post("/platforms/{platform_id}/rotate")
    async def rotate(platform_id: str, granted: Annotated[Granted, keeper]) -> Response:
        made, secret = await platforms.rotate(
            platform_id, granted, lambda subject: services.noted(granted, subject, what="rotated")
        )
        return answer({**platform_fields(made), "secret": secret})

    @routes.post("/platforms/{platform_id}/revoke")
    async def revoke(platform_id: str, granted: Annotated[Granted, keeper]) -> Response:
        revoked = await platforms.revoke(
            platform_id, granted, lambda subject: services.noted(granted, subject, what="revoked")
        )
        return answer(platform_fields(revoked))


def _add_sending(routes: APIRouter, services: Services, guard: Guard) -> None:
    """Add what a platform sends; the log itself is the record of it, so the audit is not."""
    platform = Depends(guard(SEND))

    def add(kind: Kind) -> None:
        async def take(
            platform_id: str, request: Request, granted: Annotated[Granted, platform]
        ) -> Response:
            batch = read_body(await request.body(), Batch)
            outcome = await services.intake.take(platform_id, kind, batch, granted)
            return answer(timed_fields(outcome))

        path = f"/platforms/{{platform_id}}/{kind}"
        routes.add_api_route(path, take, methods=["POST"], name=f"take_{kind}")
        routes.add_api_route(path, take, methods=["PUT"], name=f"put_{kind}")

    add("status")
    add("messages")
    add("statistics")
    add("basic")


def platform_fields(platform: Platform) -> dict[str, object]:
    """Return a platform as JSON-ready fields."""
    return {**timed_fields(platform), "gateway": platform.gateway}
