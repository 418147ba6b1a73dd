"""Handhelds at work: who am I, and here is what was done. Issuing them is in `devices`."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, flag, whole
from cloud.api.render import answer, page, timed_fields
from cloud.model.database import Work
from cloud.model.principal import Granted
from protocols.errors import RefuseInput
from protocols.handheld import Batch
from protocols.limits import SEQ_MAX

LIMIT = 500
ID_MAX = 10**15


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/handheld."""
    routes = APIRouter(prefix="/api/v1/handheld")
    user, reader = Depends(guard("handheld.use")), Depends(guard("handheld.read"))

    _add_what_it_knows(routes, services, guard)

    @routes.get("")
    async def contact(granted: Annotated[Granted, user]) -> Response:
        return answer(await services.handhelds.contact(granted))

    @routes.post("/records")
    async def take(request: Request, granted: Annotated[Granted, user]) -> Response:
        batch = read_body(await request.body(), Batch)

        def noting(subject: str, counts: Mapping[str, int]) -> Work:
            return services.noted(granted, subject, **counts)

        return answer(await services.handhelds.take(batch, granted, noting))

    @routes.get("/records")
    async def find(request: Request, granted: Annotated[Granted, reader]) -> Response:
        query = request.query_params
        check_names(query, ("asset", "outcome", "before_id", "limit"))
        limit = whole(query, "limit", 100, low=1, high=LIMIT)
        found = await services.handhelds.find(
            granted.scope,
            asset=query.get("asset"),
            outcome=query.get("outcome"),
            before_id=whole(query, "before_id", ID_MAX, low=1, high=ID_MAX),
            limit=limit + 1,
        )
        await services.shown(granted, *found[:limit])
        more = {"before_id": found[limit - 1].id} if len(found) > limit else {}
        return page([timed_fields(one) for one in found[:limit]], request=request, next_page=more)

    _add_photos(routes, services, guard)
    return routes


def _add_what_it_knows(routes: APIRouter, services: Services, guard: Guard) -> None:
    """Add what a handheld keeps to decide without asking."""
    user, reader = Depends(guard("handheld.use")), Depends(guard("cylinders.read"))

    @routes.get("/rules")
    async def rules(request: Request, _granted: Annotated[Granted, user]) -> Response:
        check_names(request.query_params, ())
        raw, version = services.handhelds.rules()
        etag = f'"{version}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"ETag": etag})
        return Response(raw, media_type="application/json", headers={"ETag": etag})

    @routes.get("/forms")
    async def forms(request: Request, _granted: Annotated[Granted, user]) -> Response:
        check_names(request.query_params, ())
        return answer({**services.handhelds.forms(), "zone": services.time_zone})

    @routes.get("/keys")
    async def keys(request: Request, _granted: Annotated[Granted, user]) -> Response:
        check_names(request.query_params, ())
        found = await asyncio.to_thread(services.signing_keys)
        if not found:
            raise RefuseInput("not_found", "nothing is signed here")
        return answer({"keys": [key.hex() for key in found]})

    @routes.get("/sheets")
    async def sheets(request: Request, granted: Annotated[Granted, reader]) -> Response:
        query = request.query_params
        check_names(query, ("text", "after", "limit"))
        limit = whole(query, "limit", 100, low=1, high=LIMIT)
        own = granted.principal.organisation or ""
        found = await services.cylinders.sheets.find(
            granted.scope,
            own if services.handhelds.fills(own) else "",
            text=query.get("text"),
            after=query.get("after", ""),
            limit=limit,
        )
        return answer(found)

    @routes.get("/snapshot")
    async def snapshot(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ("have", "whole"))
        have = whole(request.query_params, "have", 0, low=0, high=SEQ_MAX)
        wants_whole = flag(request.query_params, "whole")
        organisation = granted.principal.organisation
        if services.snapshots is None or organisation is None:
            raise RefuseInput("not_found", "no cylinders are registered here")
        offer = services.snapshots.offer
        signed = await asyncio.to_thread(offer, organisation, have, whole=wants_whole)
        return Response(signed, media_type="application/json")


def _add_photos(routes: APIRouter, services: Services, guard: Guard) -> None:
    """Add the photos of inspections, each under its SHA-256."""

    @routes.put("/photos/{sha256}")
    async def take_photo(
        sha256: str, request: Request, granted: Annotated[Granted, Depends(guard("handheld.use"))]
    ) -> Response:
        new = await services.photos.take(granted, sha256, await request.body())
        return answer({"sha256": sha256}, status=201 if new else 200)

    @routes.get("/photos/{sha256}")
    async def get_photo(
        sha256: str, granted: Annotated[Granted, Depends(guard("handheld.read"))]
    ) -> Response:
        found = await services.photos.find(granted.scope, sha256)
        return FileResponse(found.path, media_type=found.media_type)
