"""Who can be sent to a rescue: list, register, change."""

import math
import re
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names
from cloud.api.render import answer, timed_fields
from cloud.model.incident import RescueUnit
from cloud.model.principal import Granted
from protocols.errors import RefuseInput

_UNIT = re.compile(r"[a-z0-9-]{1,64}")
Short = Annotated[str, Meta(max_length=64)]


class UnitBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A unit, all of it."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    level: Literal[1, 2, 3]
    phone: Short = ""
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    organisation: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    on_duty: bool = True


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/rescue-units."""
    routes = APIRouter(prefix="/api/v1/rescue-units")

    @routes.get("")
    async def list_units(
        request: Request, granted: Annotated[Granted, Depends(guard("incidents.read"))]
    ) -> Response:
        check_names(request.query_params, ())
        found = await services.incidents.all_units()
        await services.shown(granted, *found)
        return answer({"units": [timed_fields(one) for one in found]})

    @routes.put("/{unit_id}")
    async def put_unit(
        unit_id: str,
        request: Request,
        granted: Annotated[Granted, Depends(guard("rescue_units.write", whole=True))],
    ) -> Response:
        unit = _unit(services, unit_id, read_body(await request.body(), UnitBody))
        noted = services.noted(granted, f"rescue-unit:{unit.unit}", on_duty=unit.on_duty)
        return answer(timed_fields(await services.incidents.put_unit(unit, also=[noted])))

    return routes


def _unit(services: Services, unit_id: str, body: UnitBody) -> RescueUnit:
    """Build a unit of a body; RefuseInput `bad_request`."""
    if not _UNIT.fullmatch(unit_id):
        expected = "expected 1 to 64 of a-z 0-9 -"
        raise RefuseInput("bad_request", f"unit: {expected}, found {unit_id[:80]!r}")
    place = (body.latitude, body.longitude)
    if (body.latitude is None) != (body.longitude is None) or any(
        one is not None and not math.isfinite(one) for one in place
    ):
        raise RefuseInput("bad_request", "latitude, longitude: expected both, or neither")
    if body.organisation is not None and services.organisations.peek(body.organisation) is None:
        found = repr(body.organisation)
        raise RefuseInput("bad_request", f"organisation: expected one that is here, found {found}")
    return RescueUnit(
        unit=unit_id,
        name=body.name,
        level=body.level,
        phone=body.phone,
        latitude=body.latitude,
        longitude=body.longitude,
        organisation=body.organisation,
        on_duty=body.on_duty,
    )
