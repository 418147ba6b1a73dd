"""Named queries: each organisation keeps its own (EPCIS 2.0, section 8.2.7)."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.epcis.discovery import offer
from cloud.api.epcis.events import PAGING, answer_query, namespaces_of
from cloud.api.epcis.negotiate import JSON, given_media
from cloud.api.epcis.pages import Pages, answer, named_in_path, no_parameters_but
from cloud.api.guard import Guard
from cloud.model.principal import Granted
from cloud.trace.base import NamedQuery

Name = Annotated[
    str, Meta(min_length=1, max_length=128, pattern=r"^(?!\.{1,2}\Z)[^\x00-\x1f\x7f]+\Z")
]


class QueryBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a POST carries."""

    name: Name
    query: dict[str, Any]


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /epcis/queries."""
    routes = APIRouter(prefix="/epcis/queries")
    _add_lists(routes, services, guard)
    _add_ones(routes, services, guard)
    return routes


def _add_lists(routes: APIRouter, services: Services, guard: Guard) -> None:
    reader, writer = Depends(guard("trace.read")), Depends(guard("trace.query"))
    pages, store = Pages(services.trace.pages), services.trace.store
    offer(routes, "", reader, "GET", "POST")

    @routes.get("")
    async def list_queries(request: Request, granted: Annotated[Granted, reader]) -> Response:
        no_parameters_but(request, *PAGING)
        wanted = await pages.wanted(request, granted)
        after, size = wanted.place or "", wanted.size
        found = await store.queries(owner_of(granted), after=after, limit=size + 1)
        response = answer([_fields(one) for one in found[:size]])
        last = found[size - 1].name if len(found) > size else None
        pages.lead_on(request, response, wanted, last)
        return response

    @routes.post("")
    async def make_query(request: Request, granted: Annotated[Granted, writer]) -> Response:
        given_media(request.headers.get("content-type", ""), JSON)
        body = read_body(await request.body(), QueryBody)
        declared = dict(namespaces_of(services, request))
        services.trace.read_query(body.query, namespaces=declared)
        if declared:  # a query is read again without the header that came with it
            context = body.query.get("@context", [])
            known = context if isinstance(context, list) else [context]
            body.query["@context"] = [*known, declared]
        query = NamedQuery(
            name=body.name,
            query=body.query,
            by=granted.by,
            organisation=owner_of(granted),
            created_at_ms=services.clock.wall_ms(),
        )
        await store.put_query(query, also=[services.noted(granted, "epcis:queries")])
        where = f"/epcis/queries/{quote(body.name, safe='')}"
        return answer(_fields(query), status=201, headers={"Location": where})


def _add_ones(routes: APIRouter, services: Services, guard: Guard) -> None:
    reader, writer = Depends(guard("trace.read")), Depends(guard("trace.query"))
    store = services.trace.store
    offer(routes, "/{queryName}", reader, "GET", "DELETE")
    offer(routes, "/{queryName}/events", reader, "GET")

    @routes.get("/{queryName}")
    async def get_query(request: Request, granted: Annotated[Granted, reader]) -> Response:
        name = named_in_path(request, "queryName")
        return answer(_fields(await store.get_query(owner_of(granted), name)))

    @routes.delete("/{queryName}")
    async def delete_query(request: Request, granted: Annotated[Granted, writer]) -> Response:
        name = named_in_path(request, "queryName")
        note = services.noted(granted, "epcis:queries", state="deleted")
        owner = owner_of(granted)
        ending = services.trace.subscriptions.ending(owner, name)
        await store.delete_query(owner, name, also=[ending, note])
        return Response(status_code=204)

    @routes.get("/{queryName}/events")
    async def run_query(request: Request, granted: Annotated[Granted, reader]) -> Response:
        no_parameters_but(request, *PAGING)
        kept = await store.get_query(owner_of(granted), named_in_path(request, "queryName"))
        query = services.trace.read_query(kept.query)
        return await answer_query(services, request, granted, query, query_name=kept.name)


def owner_of(granted: Granted) -> str:
    """Return whose queries a caller names."""
    return granted.principal.organisation or ""


def _fields(query: NamedQuery) -> dict[str, Any]:
    return {"name": query.name, "query": query.query}
