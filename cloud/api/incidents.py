"""Rescues over HTTP: lists, the record, who can be sent, and what people do."""

from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, flag, number_in_path, several, whole
from cloud.api.render import answer, page, timed_fields
from cloud.incidents.base import ANSWERS
from cloud.model.incident import Act, Entry, Incident, IncidentState, Verb, WantedIncidents
from cloud.model.principal import Granted
from protocols.clock import iso, parse_time
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id

LIMIT, LIMIT_MAX = 100, 1_000
STATES: tuple[IncidentState, ...] = get_args(IncidentState)
VERBS: tuple[Verb, ...] = get_args(Verb)
_NAMES = ("open", "state", "asset", "unit", "drill", "from", "to", "before", "limit", "order")


def call_of(verb: Verb) -> str:
    """Return the call that a verb needs."""
    return "incidents.answer" if verb in ANSWERS else "incidents.act"


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls below /api/v1/incidents."""
    routes = APIRouter(prefix="/api/v1/incidents")
    _add_reading(routes, services, guard)
    for verb in VERBS:
        _add_verb(routes, services, guard, verb)
    return routes


def incident_fields(services: Services, incident: Incident, granted: Granted) -> dict[str, Any]:
    """Return an incident as JSON-ready fields, with what this caller may do with it now."""
    fields = timed_fields(incident)
    fields["deadlines"] = [timed_fields(one) for one in incident.deadlines]
    may = [
        verb
        for verb in services.incidents.verbs(incident)
        if granted.principal.scope(call_of(verb))
    ]
    return {**fields, "verbs": may}


def _add_reading(routes: APIRouter, services: Services, guard: Guard) -> None:
    reader, incidents = Depends(guard("incidents.read")), services.incidents

    @routes.get("")
    async def list_incidents(request: Request, granted: Annotated[Granted, reader]) -> Response:
        wanted = _wanted(request)
        found = await incidents.find(wanted, granted.scope)
        some = found[: wanted.limit - 1]
        await services.shown(granted, *some)
        following = {"before": some[-1].id} if len(found) > len(some) and not wanted.urgent else {}
        fields = [incident_fields(services, one, granted) for one in some]
        return page({"incidents": fields}, request=request, next_page=following)

    @routes.get("/{incident_id}")
    async def get_incident(incident_id: str, granted: Annotated[Granted, reader]) -> Response:
        one = await incidents.get(number_in_path(incident_id), granted.scope)
        await services.shown(granted, one)
        return answer(incident_fields(services, one, granted))

    @routes.get("/{incident_id}/record")
    async def get_record(incident_id: str, granted: Annotated[Granted, reader]) -> Response:
        entries = await incidents.record(number_in_path(incident_id), granted.scope)
        await services.shown(granted, *entries)
        return answer({"entries": [_entry_fields(one) for one in entries]})

    @routes.get("/{incident_id}/units")
    async def list_units(
        incident_id: str, request: Request, granted: Annotated[Granted, reader]
    ) -> Response:
        check_names(request.query_params, ("level",))
        one = await incidents.get(number_in_path(incident_id), granted.scope)
        level = whole(request.query_params, "level", one.level, low=1, high=3)
        found = await incidents.units(one, level)
        await services.shown(granted, *(unit for unit, _ in found))
        fields = [{**timed_fields(unit), "distance_m": metres} for unit, metres in found]
        return answer({"units": fields})


def _add_verb(routes: APIRouter, services: Services, guard: Guard, verb: Verb) -> None:
    @routes.post(f"/{{incident_id}}/{verb}")
    async def act(
        incident_id: str,
        request: Request,
        granted: Annotated[Granted, Depends(guard(call_of(verb)))],
    ) -> Response:
        number, raw = number_in_path(incident_id), await request.body()
        body = read_act(raw)
        one = await services.incidents.act(
            number,
            verb,
            body,
            granted=granted,
            also=[services.noted(granted, f"incident:{number}", what=verb)],
        )
        await services.shown(granted, one)
        return answer(incident_fields(services, one, granted))


def read_act(raw: bytes) -> Act:
    """Read what comes with a verb; nothing at all is fine."""
    return read_body(raw, Act) if raw.strip() else Act()


def _wanted(request: Request) -> WantedIncidents:
    """Read the filters; one more than the limit is asked for, to know whether there is more."""
    query = request.query_params
    check_names(query, _NAMES)
    states = several(query, "state")
    for word in states:
        if word not in STATES:
            expected = f"expected one of {', '.join(STATES)}"
            raise RefuseInput("bad_request", f"state: {expected}, found {word[:40]!r}")
    order = query.get("order", "newest")
    if order not in ("newest", "urgent"):
        raise RefuseInput("bad_request", f"order: expected newest or urgent, found {order[:20]!r}")
    asset, before = query.get("asset") or None, query.get("before")
    if order == "urgent" and before is not None:
        raise RefuseInput("bad_request", "before: expected none with order=urgent")
    return WantedIncidents(
        open=flag(query, "open") if "open" in query else None,
        states=tuple(state for state in STATES if state in states),
        asset=None if asset is None else check_asset_id(asset),
        unit=query.get("unit") or None,
        drill=flag(query, "drill") if "drill" in query else None,
        from_at=parse_time(query["from"]) if "from" in query else None,
        to_at=parse_time(query["to"]) if "to" in query else None,
        before_id=whole(query, "before", 0, low=1, high=2**53) if before is not None else None,
        limit=1 + whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX),
        urgent=order == "urgent",
    )


def _entry_fields(entry: Entry) -> dict[str, Any]:
    fields = timed_fields(entry)
    return fields | {"at": iso(entry.at)}
