"""What is recorded beside the files of cylinders: inspections, vehicles, permits."""

import re
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.cylinders import StepBody, cylinder_id, shown, subject_of
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, number_in_path
from cloud.api.render import answer, timed_fields
from cloud.model.cylinder import OrganisationId, PermitKind
from cloud.model.cylinder_records import InspectionReport, PermitBody, VehicleFile
from cloud.model.principal import Granted
from protocols.errors import RefuseInput

_VEHICLE, _NUMBER = re.compile(r"[A-Za-z0-9-]{1,32}"), re.compile(r"[A-Za-z0-9._-]{1,64}")


class InspectionBody(InspectionReport, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A report; an administrator also says of which body it is."""

    body: OrganisationId = ""

    def report(self) -> InspectionReport:
        """Return the report alone."""
        names = InspectionReport.__struct_fields__
        return InspectionReport(**{name: getattr(self, name) for name in names})


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls of inspections, vehicles and permits."""
    routes = APIRouter(prefix="/api/v1")
    _add_inspections(routes, services, guard)
    _add_vehicles(routes, services, guard)
    _add_permits(routes, services, guard)
    return routes


def _add_inspections(routes: APIRouter, services: Services, guard: Guard) -> None:
    desk, writer = services.cylinders.inspections, Depends(guard("cylinders.inspect"))

    @routes.get("/cylinders/{code}/inspections")
    async def list_inspections(
        code: str, granted: Annotated[Granted, Depends(guard("cylinders.read"))]
    ) -> Response:
        found = await desk.of(cylinder_id(code), granted.scope)
        return answer([timed_fields(one) for one in found])

    @routes.post("/cylinders/{code}/inspections")
    async def record(code: str, request: Request, granted: Annotated[Granted, writer]) -> Response:
        asset_id = cylinder_id(code)
        asked = read_body(await request.body(), InspectionBody)
        body = _body_of(granted, asked)
        noted = services.noted(
            granted, subject_of(asset_id), what="inspection", result=asked.result, body=body
        )
        one = await desk.record(granted, asset_id, asked.report(), body, also=[noted])
        return await shown(services, granted, one, status=201)

    @routes.post("/cylinders/{code}/inspections/{inspection_id}/withdraw")
    async def withdraw(
        code: str, inspection_id: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        asset_id, number = cylinder_id(code), number_in_path(inspection_id)
        body = read_body(await request.body(), StepBody)
        noted = services.noted(
            granted, subject_of(asset_id), what="inspection withdrawn", inspection=number
        )
        one = await desk.withdraw(granted, asset_id, number, body.reason, also=[noted])
        return await shown(services, granted, one)


def _body_of(granted: Granted, asked: InspectionBody) -> str:
    """Return whose inspection it is: the caller's own, unless an administrator says so."""
    own = granted.principal.organisation or ""
    if granted.scope.everything and asked.body:
        return asked.body
    if asked.body not in ("", own):
        raise RefuseInput("forbidden", f"body: expected {own}, found {asked.body}")
    return own


def _add_vehicles(routes: APIRouter, services: Services, guard: Guard) -> None:
    desk = services.cylinders.vehicles

    @routes.get("/cylinder-vehicles/{vehicle_id}")
    async def get_vehicle(
        vehicle_id: str, granted: Annotated[Granted, Depends(guard("cylinders.read"))]
    ) -> Response:
        one = await desk.get(vehicle_id, granted.scope)
        await services.shown(granted, one)
        return answer(timed_fields(one))

    @routes.put("/cylinder-vehicles/{vehicle_id}")
    async def put_vehicle(
        vehicle_id: str,
        request: Request,
        granted: Annotated[Granted, Depends(guard("cylinders.write"))],
    ) -> Response:
        if not _VEHICLE.fullmatch(vehicle_id):
            found = repr(vehicle_id[:60])
            raise RefuseInput("bad_request", f"expected 1 to 32 of A-Z a-z 0-9 -, found {found}")
        body = read_body(await request.body(), VehicleFile)
        noted = services.noted(granted, f"cylinder-vehicle:{vehicle_id}")
        one, new = await desk.put(granted, vehicle_id, body, also=[noted])
        await services.shown(granted, one)
        return answer(timed_fields(one), status=201 if new else 200)


def _add_permits(routes: APIRouter, services: Services, guard: Guard) -> None:
    desk = services.cylinders.permits

    @routes.get("/permits")
    async def list_permits(
        request: Request, _granted: Annotated[Granted, Depends(guard("cylinders.read"))]
    ) -> Response:
        query = request.query_params
        check_names(query, ("organisation", "kind"))
        kind = _kind(query["kind"]) if query.get("kind") else None
        found = await desk.find(organisation=query.get("organisation") or None, kind=kind)
        return answer([timed_fields(one) for one in found])

    @routes.put("/permits/{kind}/{organisation_id}/{number}")
    async def put_permit(
        kind: str,
        organisation_id: str,
        number: str,
        request: Request,
        granted: Annotated[Granted, Depends(guard("permits.write"))],
    ) -> Response:
        if not _NUMBER.fullmatch(number):
            found = repr(number[:80])
            raise RefuseInput("bad_request", f"number: expected A-Z a-z 0-9 . _ -, found {found}")
        body, subject = (
            read_body(await request.body(), PermitBody),
            f"organisation:{organisation_id}",
        )
        noted: Any = services.noted(granted, subject, permit=number, kind=kind, state=body.state)
        one = await desk.put(granted, organisation_id, _kind(kind), number, body, also=[noted])
        return answer(timed_fields(one))


def _kind(text: str) -> PermitKind:
    for kind in get_args(PermitKind):
        if text == kind:
            return kind  # type: ignore[no-any-return]
    raise RefuseInput("bad_request", f"kind: expected filling or inspection, found {text[:40]!r}")
