"""Events: one sent, one fetched by its id, and those that a query in the address admits."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.epcis.arrivals import Arrivals
from cloud.api.epcis.base import QUERY_NAME
from cloud.api.epcis.capture import fault_fields
from cloud.api.epcis.discovery import offer
from cloud.api.epcis.negotiate import (
    JSON,
    JSON_OR_XML,
    Media,
    cbv_xml_format,
    choose_media,
    epc_format,
    given_media,
)
from cloud.api.epcis.pages import Pages, Wanted, named_in_path
from cloud.api.guard import Guard
from cloud.api.problems import problem
from cloud.model.principal import Granted
from cloud.trace.base import EventPage, Formats, Position, StoredEvent
from cloud.trace.query.base import EventQuery
from protocols.epcis.faults import CaptureFault
from protocols.errors import RefuseInput

PAGING = ("perPage", "nextPageToken")


def router(services: Services, guard: Guard, arrivals: Arrivals) -> APIRouter:
    """Build /epcis/events."""
    routes = APIRouter(prefix="/epcis/events")
    reader, sender = Depends(guard("trace.read")), Depends(guard("trace.capture"))
    offer(routes, "", reader, "GET", "POST")
    offer(routes, "/{eventID}", reader, "GET")

    @routes.get("")
    async def find_events(request: Request, granted: Annotated[Granted, reader]) -> Response:
        return await answer_events(services, request, granted)

    @routes.post("")
    async def capture_event(request: Request, granted: Annotated[Granted, sender]) -> Response:
        async with arrivals.whole(request, granted.principal.id) as body:
            return await _capture(services, request, granted, body)

    @routes.get("/{eventID}")
    async def get_event(request: Request, granted: Annotated[Granted, reader]) -> Response:
        written, event_id = written_for(request), named_in_path(request, "eventID")
        found = await services.trace.store.event(event_id, scope=granted.scope)
        if not found:
            raise RefuseInput("not_found", "no event of this id")
        return await document(services, found, written)

    return routes


async def answer_events(
    services: Services,
    request: Request,
    granted: Granted,
    *,
    implied: EventQuery | None = None,
) -> Response:
    """Answer with a page of the events that the address asks for.

    Args:
        services: the service.
        request: its parameters are a query.
        granted: who asks.
        implied: what the path asks for besides.

    Raises:
        QueryFault, RefuseInput: it is refused.

    """
    query = query_of(services, request)
    if implied is not None:
        both = query.conditions + implied.conditions
        query = msgspec.structs.replace(query, conditions=both)
    return await answer_query(services, request, granted, query)


async def answer_query(
    services: Services,
    request: Request,
    granted: Granted,
    query: EventQuery,
    *,
    query_name: str = QUERY_NAME,
) -> Response:
    """Answer with a page of the events that a query admits."""
    written = written_for(request)
    pages = Pages(services.trace.pages)
    wanted = await pages.wanted(request, granted)
    page = await _page(services, granted, query, wanted)
    response = await document(services, page.events, written, query_name=query_name)
    following = page.next and (page.next.bound, page.next.last, page.next.left)
    pages.lead_on(request, response, wanted, following)
    return response


def query_of(services: Services, request: Request) -> EventQuery:
    """Read the query in an address; QueryFault."""
    asked = [one for one in request.query_params.multi_items() if one[0] not in PAGING]
    return services.trace.read_url(asked, namespaces=namespaces_of(services, request))


def namespaces_of(services: Services, request: Request) -> Mapping[str, str]:
    """Read the prefixes that a request declares by header; QueryFault."""
    return services.trace.read_extensions(request.headers.get("gs1-extensions", ""))


class Written(NamedTuple):
    """How a caller wants what he reads."""

    media: Media = "application/json"
    formats: Formats = Formats()


def written_for(request: Request) -> Written:
    """Read how events are to be written; RefuseInput `not_acceptable`."""
    formats = Formats(epc_format(request.headers), cbv_xml_format(request.headers))
    return Written(choose_media(request.headers.get("accept", ""), JSON_OR_XML), formats)


async def document(
    services: Services,
    events: Sequence[StoredEvent],
    written: Written,
    *,
    query_name: str = QUERY_NAME,
) -> Response:
    """Answer with an EPCISQueryDocument."""
    body = await asyncio.to_thread(
        services.trace.render.document,
        events,
        media=written.media,
        formats=written.formats,
        created_us=services.clock.wall_ms() * 1000,
        query_name=query_name,
    )
    headers: dict[str, str] = {"GS1-EPC-Format": written.formats.epc}
    if written.media == "application/xml":
        headers["GS1-CBV-XML-Format"] = written.formats.cbv_xml
    return Response(body, headers=headers, media_type=written.media)


async def _page(
    services: Services, granted: Granted, query: EventQuery, wanted: Wanted
) -> EventPage:
    after = None
    if wanted.place is not None:
        bound, last, left = wanted.place
        after = Position(bound, tuple(last), left)
    find = services.trace.store.find
    return await find(query, scope=granted.scope, after=after, limit=wanted.size)


async def _capture(services: Services, request: Request, granted: Granted, body: bytes) -> Response:
    given_media(request.headers.get("content-type", ""), JSON)
    now_us = services.clock.wall_ms() * 1000
    organisation = granted.principal.organisation or ""
    reading = await asyncio.to_thread(services.trace.read_event, body, now_us, organisation)
    if reading.event is None:
        return _refused(reading.faults)
    [outcome] = await services.trace.store.capture(
        [reading.event],
        organisation=organisation,
        recorded_at_us=now_us,
        also=[services.noted(granted, "epcis:events")],
    )
    if outcome.outcome != "stored":
        raise RefuseInput("already_there", f"event {outcome.event_id[:200]} is here already")
    where = f"/epcis/events/{quote(outcome.event_id, safe='')}"
    stored = await services.trace.store.event(outcome.event_id, scope=granted.scope)
    newest = [one for one in stored if one.event_no == outcome.event_no]
    response = await document(services, newest, Written())
    response.status_code = 201
    response.headers["Location"] = where
    return response


def _refused(faults: Sequence[CaptureFault]) -> Response:
    fields: list[dict[str, Any]] = [msgspec.structs.asdict(one) for one in faults]
    first = next((str(one) for one in faults if one.severity == "error"), "")
    errors = [fault_fields(one) for one in fields]
    return problem(400, "bad_event", first, errors=errors)
