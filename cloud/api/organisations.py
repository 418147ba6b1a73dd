"""Organisations: who they are, who lets them in, how they go."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, get_args

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard, open_to_all
from cloud.api.parameters import check_names, several, whole
from cloud.api.render import answer, page, timed_fields
from cloud.model.organisation import (
    Application,
    Contact,
    Count,
    Details,
    Organisation,
    OrganisationState,
    Quota,
    Step,
)
from cloud.model.principal import Granted
from cloud.organisations.base import Wanted
from protocols.errors import RefuseInput

LIMIT, LIMIT_MAX = 100, 1_000
STATES: tuple[str, ...] = get_args(OrganisationState)
TEXT_CHARS_MAX = 200
_AFTER = re.compile(r"([0-9]{1,15})\.([a-z0-9-]{1,32})")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

Text = Annotated[str, Meta(max_length=400)]
Texts = Annotated[tuple[Text, ...], Meta(max_length=50)]


class DetailsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a PUT carries; state, dates and whoever decided are nobody's to write."""

    kind: Text
    name: Text
    credit_code: Text | None = None
    department: Text | None = None
    districts: Texts = ()
    categories: Texts = ()
    contact: Contact | None = None
    """Without it it stays as it is."""
    quotas: Mapping[Quota, Count] = {}
    tolerances: Text = "standard"


class ContactBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a PATCH carries: a field that is missing stays as it is."""

    class Fields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Whom to call."""

        name: Text | None = None
        phone: Text | None = None

    contact: Fields


class ReasonBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why; needed where a firm is refused or suspended."""

    reason: Annotated[str, Meta(max_length=1_000)] = ""


class LeaveBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The organisation's own credit code: nobody leaves by a slip of the hand."""

    credit_code: Text


class SignUpBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A firm that asks to be let in; see `cloud.model.organisation.Application`."""

    kind: Text
    name: Text
    credit_code: Text
    districts: Texts
    categories: Texts
    contact: Contact
    username: Text
    password: Text


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls below /api/v1/organisations, and /api/v1/signup."""
    routes = APIRouter(prefix="/api/v1")
    _add_reading(routes, services, guard)
    _add_writing(routes, services, guard)
    _add_steps(routes, services, guard)
    _add_going(routes, services, guard)
    _add_sign_up(routes, services)
    return routes


def _add_reading(routes: APIRouter, services: Services, guard: Guard) -> None:
    reader = Depends(guard("organisations.read"))

    @routes.get("/organisations")
    async def list_organisations(request: Request, granted: Annotated[Granted, reader]) -> Response:
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT_MAX)
        found = await services.organisations.find(granted.scope, _wanted(request, limit + 1))
        shown, last = found[:limit], found[limit - 1] if len(found) > limit else None
        return page(
            [_listed(services, one) for one in shown],
            request=request,
            next_page={"after": f"{last.applied_at}.{last.id}"} if last else {},
        )

    @routes.get("/organisations/{organisation_id}")
    async def get_organisation(
        organisation_id: str, granted: Annotated[Granted, reader]
    ) -> Response:
        one = await services.organisations.get(organisation_id, scope=granted.scope)
        return await _shown(services, granted, one)


def _add_writing(routes: APIRouter, services: Services, guard: Guard) -> None:
    writer = Depends(guard("organisations.write"))
    administrator = Depends(guard("organisations.write", whole=True))

    @routes.put("/organisations/{organisation_id}")
    async def put_organisation(
        organisation_id: str, request: Request, granted: Annotated[Granted, administrator]
    ) -> Response:
        if not _ID.fullmatch(organisation_id):
            detail = f"expected 1 to 32 of a-z 0-9 -, found {organisation_id[:60]!r}"
            raise RefuseInput("bad_request", detail)
        body = read_body(await request.body(), DetailsBody)
        earlier = services.organisations.peek(organisation_id)
        contact = body.contact or (earlier.contact if earlier else Contact())
        fields = {**msgspec.structs.asdict(body), "contact": contact}
        noted = services.noted(
            granted,
            f"organisation:{organisation_id}",
            kind=body.kind,
            changed=_changed(earlier, fields),
        )
        one, new = await services.organisations.put(
            organisation_id, Details(**fields), by=granted.principal, also=[noted]
        )
        return await _shown(services, granted, one, status=201 if new else 200)

    @routes.patch("/organisations/{organisation_id}")
    async def patch_organisation(
        organisation_id: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        asked = read_body(await request.body(), ContactBody).contact
        before = await services.organisations.get(organisation_id, scope=granted.scope)
        fields = msgspec.structs.asdict(asked).items()
        given = {name: value for name, value in fields if value is not None}
        subject = f"organisation:{organisation_id}"
        one = await services.organisations.set_contact(
            organisation_id,
            msgspec.structs.replace(before.contact, **given),
            scope=granted.scope,
            also=[services.noted(granted, subject, changed=sorted(f"contact.{n}" for n in given))],
        )
        return await _shown(services, granted, one)


def _add_steps(routes: APIRouter, services: Services, guard: Guard) -> None:
    decider = Depends(guard("organisations.decide"))

    def add(step: Step) -> None:
        @routes.post(f"/organisations/{{organisation_id}}/{step}")
        async def decide(
            organisation_id: str, request: Request, granted: Annotated[Granted, decider]
        ) -> Response:
            raw = await request.body()
            reason = read_body(raw, ReasonBody).reason if raw.strip() else ""
            one = await services.organisations.take(
                organisation_id,
                step,
                scope=granted.scope,
                by=granted.principal,
                reason=reason,
                also=[services.noted(granted, f"organisation:{organisation_id}", step=step)],
            )
            return answer(_listed(services, one))

    for step in ("confirm", "refuse", "suspend", "resume"):
        add(step)


def _add_going(routes: APIRouter, services: Services, guard: Guard) -> None:
    @routes.get("/organisations/{organisation_id}/export")
    async def export(
        organisation_id: str, granted: Annotated[Granted, Depends(guard("organisations.export"))]
    ) -> Response:
        one = await services.organisations.get(organisation_id, scope=granted.scope)
        await services.note(granted, f"organisation:{one.id}")
        name = f"suyuan-{one.id}.zip"  # of a-z 0-9 - alone, so fit for a header
        return StreamingResponse(
            await services.exports.open(one),
            media_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    @routes.post("/organisations/{organisation_id}/leave")
    async def leave(
        organisation_id: str,
        request: Request,
        granted: Annotated[Granted, Depends(guard("organisations.leave"))],
    ) -> Response:
        body = read_body(await request.body(), LeaveBody)
        one = await services.organisations.leave(
            organisation_id,
            body.credit_code,
            scope=granted.scope,
            by=granted.principal,
            also=[services.noted(granted, f"organisation:{organisation_id}", step="leave")],
        )
        return answer(_listed(services, one))


def _add_sign_up(routes: APIRouter, services: Services) -> None:
    @routes.post("/signup", dependencies=[Depends(open_to_all("a firm asks to be let in by it"))])
    async def sign_up(request: Request) -> Response:
        body = read_body(await request.body(), SignUpBody)
        client = request.client
        await services.sign_ups.apply(
            Application(**msgspec.structs.asdict(body)),
            address=client.host if client else "",
            noted=services.sign_up_noted,
        )
        return answer({"state": "received"}, status=202)


def _changed(earlier: Organisation | None, fields: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields that differ: no value, which may be personal."""
    if earlier is None:
        return sorted(fields)
    return sorted(name for name, value in fields.items() if getattr(earlier, name) != value)


def _wanted(request: Request, limit: int) -> Wanted:
    query = request.query_params
    check_names(query, ("state", "kind", "text", "after", "limit"))
    states = several(query, "state")
    for state in states:
        if state not in STATES:
            expected = ", ".join(STATES)
            raise RefuseInput("bad_request", f"state: expected {expected}, found {state[:40]!r}")
    after = query.get("after")
    match = None if after is None else _AFTER.fullmatch(after)
    if after is not None and match is None:
        raise RefuseInput("bad_request", f"after: expected that of a page, found {after[:40]!r}")
    return Wanted(
        states=states,
        kind=query.get("kind") or None,
        text=(query.get("text") or "").strip()[:TEXT_CHARS_MAX] or None,
        after=(int(match[1]), match[2]) if match else None,
        limit=limit,
    )


def _listed(services: Services, one: Organisation) -> dict[str, Any]:
    """Return what is not personal."""
    fields = {**timed_fields(one), "quotas": services.organisations.quotas(one)}
    del fields["contact"]
    return fields


async def _shown(
    services: Services, granted: Granted, one: Organisation, *, status: int = 200
) -> Response:
    """Answer with all of it, after the look was noted."""
    await services.shown(granted, one)
    return answer({**_listed(services, one), "contact": one.contact}, status=status)
