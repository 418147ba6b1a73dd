"""The top-level resources: what events hold, and the events that hold one of it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Struct

from cloud.api.base import Services
from cloud.api.epcis.discovery import offer
from cloud.api.epcis.events import PAGING, answer_events
from cloud.api.epcis.negotiate import epc_format
from cloud.api.epcis.pages import Pages, collection, named_in_path, no_parameters_but
from cloud.api.guard import Guard
from cloud.model.principal import Granted
from cloud.trace.base import Listing
from cloud.trace.query.base import EventQuery
from protocols.epcis.event import STANDARD_TYPES
from protocols.errors import RefuseInput


class Resource(Struct, frozen=True):
    """A top-level resource."""

    name: Listing
    value: str
    """What one of its values is called in a path."""
    parameter: str
    """Of the query that finds the events that hold one of its values."""


RESOURCES = (
    Resource("eventTypes", "eventType", "eventType"),
    Resource("epcs", "epc", "MATCH_anyEPC"),
    Resource("bizSteps", "bizStep", "EQ_bizStep"),
    Resource("bizLocations", "bizLocation", "EQ_bizLocation"),
    Resource("readPoints", "readPoint", "EQ_readPoint"),
    Resource("dispositions", "disposition", "EQ_disposition"),
)


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /epcis/epcs, /epcis/bizSteps and the like."""
    routes = APIRouter(prefix="/epcis")
    for one in RESOURCES:
        _add(routes, services, Depends(guard("trace.read")), one)
    return routes


def _add(routes: APIRouter, services: Services, reader: object, one: Resource) -> None:
    path, of_value = f"/{one.name}", f"/{one.name}/{{{one.value}}}"
    for here in (path, of_value, f"{of_value}/events"):
        offer(routes, here, reader, "GET")
    pages = Pages(services.trace.pages)

    @routes.get(path)
    async def list_values(request: Request, granted: Annotated[Granted, reader]) -> Response:
        no_parameters_but(request, *PAGING)
        written = epc_format(request.headers)
        wanted = await pages.wanted(request, granted)
        after, size = wanted.place or "", wanted.size
        values = await _values(services, granted, one.name, after, size + 1)
        shown = values[:size]
        response = collection(
            [services.trace.render.value(one.name, value, written) for value in shown]
        )
        pages.lead_on(request, response, wanted, shown[-1] if len(values) > size else None)
        return response

    @routes.get(of_value)
    async def list_parts(request: Request, granted: Annotated[Granted, reader]) -> Response:
        no_parameters_but(request)
        value = named_in_path(request, one.value)
        if not (one.name == "eventTypes" and value in STANDARD_TYPES):
            query = _holding(services, request, one, value)
            page = await services.trace.store.find(query, scope=granted.scope, limit=1)
            if not page.events:
                raise RefuseInput("not_found", f"no event holds {value[:200]!r}")
        return collection(["events"])

    @routes.get(f"{of_value}/events")
    async def find_events(request: Request, granted: Annotated[Granted, reader]) -> Response:
        implied = _holding(services, request, one, named_in_path(request, one.value))
        return await answer_events(services, request, granted, implied=implied)


def _holding(services: Services, request: Request, one: Resource, value: str) -> EventQuery:
    extensions = services.trace.read_extensions(request.headers.get("gs1-extensions", ""))
    return services.trace.read_query({one.parameter: [value]}, namespaces=extensions)


async def _values(
    services: Services, granted: Granted, name: Listing, after: str, limit: int
) -> list[str]:
    listing = services.trace.store.listing
    found = await listing(name, scope=granted.scope, after=after, limit=limit)
    if name == "eventTypes":  # the standard's own are there whether an event has them or not
        found = sorted({*found, *(one for one in STANDARD_TYPES if one > after)})[:limit]
    return found
