"""Subscriptions to a named query, delivered to an address (EPCIS 2.0, section 8.2.7.4)."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.epcis.discovery import offer
from cloud.api.epcis.events import PAGING
from cloud.api.epcis.negotiate import JSON, epc_format, given_media
from cloud.api.epcis.pages import Pages, answer, named_in_path, no_parameters_but
from cloud.api.epcis.queries import owner_of
from cloud.api.guard import Guard
from cloud.model.principal import Granted
from cloud.trace.base import Subscription
from protocols.clock import iso, parse_time
from protocols.errors import RefuseInput

Field = Annotated[str, Meta(max_length=400)] | Annotated[int, Meta(ge=0, le=59)]
Secret = Annotated[str, Meta(min_length=8, max_length=512)]


class SubscriptionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a POST carries; the standard's file calls the secret by either name."""

    dest: Annotated[str, Meta(max_length=2_000)]
    signatureToken: Secret = ""  # noqa: N815  # as the standard writes it
    secret: Secret = ""
    stream: bool = False
    schedule: dict[str, Field] | None = None
    reportIfEmpty: bool = False  # noqa: N815  # as the standard writes it
    initialRecordTime: Annotated[str, Meta(max_length=64)] | None = None  # noqa: N815


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /epcis/queries/{queryName}/subscriptions."""
    routes = APIRouter(prefix="/epcis/queries/{queryName}/subscriptions")
    _add_lists(routes, services, guard)
    _add_ones(routes, services, guard)
    return routes


def _add_lists(routes: APIRouter, services: Services, guard: Guard) -> None:
    caller = Depends(guard("trace.subscribe"))
    trace, pages = services.trace, Pages(services.trace.pages)
    offer(routes, "", caller, "GET", "POST")

    @routes.get("")
    async def list_subscriptions(request: Request, granted: Annotated[Granted, caller]) -> Response:
        no_parameters_but(request, *PAGING)
        owner, name = owner_of(granted), named_in_path(request, "queryName")
        wanted = await pages.wanted(request, granted)
        await trace.store.get_query(owner, name)
        after, size = wanted.place or "", wanted.size
        found = await trace.subscriptions.find(owner, name, after=after, limit=size + 1)
        response = answer([_fields(one) for one in found[:size]])
        last = found[size - 1].subscription_id if len(found) > size else None
        pages.lead_on(request, response, wanted, last)
        return response

    @routes.post("")
    async def subscribe(request: Request, granted: Annotated[Granted, caller]) -> Response:
        given_media(request.headers.get("content-type", ""), JSON)
        body = read_body(await request.body(), SubscriptionBody)
        schedule = schedule_of(body.stream, body.schedule)
        owner, name = owner_of(granted), named_in_path(request, "queryName")
        await trace.store.get_query(owner, name)
        await trace.check_address(body.dest)
        made = await trace.subscriptions.subscribe(
            owner,
            name,
            principal=granted.principal.id,
            account=granted.principal.account,
            dest=body.dest,
            secret=body.signatureToken or body.secret,
            schedule=schedule,
            report_if_empty=body.reportIfEmpty,
            initial_us=initial_us(body.initialRecordTime),
            epc_format=epc_format(request.headers),
            also=[services.noted(granted, "epcis:subscriptions")],
        )
        where = f"{request.url.path}/{quote(made.subscription_id)}"
        return answer(_fields(made), status=201, headers={"Location": where})


def _add_ones(routes: APIRouter, services: Services, guard: Guard) -> None:
    caller, subscriptions = Depends(guard("trace.subscribe")), services.trace.subscriptions
    offer(routes, "/{subscriptionID}", caller, "GET", "DELETE")

    @routes.get("/{subscriptionID}")
    async def get_subscription(request: Request, granted: Annotated[Granted, caller]) -> Response:
        one = await subscriptions.get(owner_of(granted), *_named(request))
        min_record_time = {"GS1-Query-Min-Record-Time": iso(one.min_record_us // 1000)}
        return answer(_fields(one), headers=min_record_time)

    @routes.delete("/{subscriptionID}")
    async def unsubscribe(request: Request, granted: Annotated[Granted, caller]) -> Response:
        note = services.noted(granted, "epcis:subscriptions", state="deleted")
        await subscriptions.unsubscribe(owner_of(granted), *_named(request), also=[note])
        return Response(status_code=204)


def _named(request: Request) -> tuple[str, str]:
    return named_in_path(request, "queryName"), named_in_path(request, "subscriptionID")


def schedule_of(stream: bool, schedule: Mapping[str, Field] | None) -> Mapping[str, str]:
    """Return the fields of a schedule, none for a stream.

    Raises:
        RefuseInput: `bad_subscription`: both, or neither.

    """
    if stream == (schedule is not None):
        expected = "either stream: true or a schedule"
        raise RefuseInput("bad_subscription", f"expected {expected}, found both or neither")
    if schedule is None:
        return {}
    if not schedule:
        raise RefuseInput("bad_subscription", "schedule: expected a field, found none")
    return {name: str(value) for name, value in schedule.items()}


def initial_us(text: str | None) -> int | None:
    """Read `initialRecordTime`, us since 1970; RefuseInput `bad_time`."""
    return None if text is None else parse_time(text) * 1000


def _fields(one: Subscription) -> dict[str, Any]:
    """Return one as the standard writes it; its secret is never told."""
    fields: dict[str, Any] = {
        "subscriptionID": one.subscription_id,
        "queryName": one.query_name,
        "dest": one.dest,
        "createdAt": iso(one.created_at_ms),
        "epcFormat": one.epc_format,
        "reportIfEmpty": one.report_if_empty,
        "minRecordTime": iso(one.min_record_us // 1000),
        "state": one.state,
        **({"schedule": one.schedule} if one.schedule else {"stream": True}),
    }
    if one.initial_us is not None:
        fields["initialRecordTime"] = iso(one.initial_us // 1000)
    if one.notified_at_ms is not None:
        fields["lastNotifiedAt"] = iso(one.notified_at_ms)
    if one.error:
        fields["error"] = one.error
    return fields
