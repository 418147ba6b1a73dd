"""Partners of the exchange of trace events, their receipts, and what their subscriptions bring."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta, Struct

from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.epcis.arrivals import Arrivals
from cloud.api.epcis.negotiate import JSON_OR_XML, given_media
from cloud.api.guard import Guard, open_to_all
from cloud.api.limits import PARTNER_EVENTS
from cloud.api.parameters import check_names, whole
from cloud.api.render import answer, page
from cloud.model.principal import Granted
from cloud.trace.exchange.base import Course, Partner, Pull, Push, Receipt, State, Wanted
from protocols.clock import iso, parse_time
from protocols.errors import RefuseInput

LIMIT, LIMIT_MAX = 100, 1_000
Text = Annotated[str, Meta(max_length=2_000)]
Name = Annotated[str, Meta(max_length=128)]
_KEPT = {
    *("host", "connection", "upgrade", "te", "trailer", "expect", "accept", "accept-encoding"),
    *("content-length", "content-type", "transfer-encoding", "content-encoding"),
}
"""Headers that are not a partner's to set."""
VERBS: dict[str, State] = {"pause": "paused", "resume": "active"}


class CredentialBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lets us in."""

    header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}\Z")] = "Authorization"
    value: Annotated[str, Meta(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?\Z")] | None = None
    """`Bearer …`; missing in a change: as it was."""

    def __post_init__(self) -> None:
        """Refuse what belongs to the call itself."""
        if self.header.lower() in _KEPT or self.header.lower().startswith("gs1-"):
            raise ValueError(f"header: expected one that carries a credential, not {self.header}")
        if self.value is not None and len(self.value) > 4_000:
            raise ValueError("value: expected at most 4000 characters")


class PullBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is fetched; see `cloud.trace.exchange.base.Pull`."""

    query_name: Name = ""
    parameters: Annotated[dict[Name, Text], Meta(max_length=100)] = {}
    extensions: Annotated[str, Meta(max_length=2_000, pattern=r"^[\x20-\x7e]*\Z")] = ""
    cursor: Literal["recordTime", "eventTime"] = "recordTime"
    overlap_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 300
    interval_s: Annotated[int, Meta(ge=10, le=86_400)] = 60
    since: Annotated[str, Meta(max_length=64)] | None = None
    subscribe: bool = False


class PushBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent; see `cloud.trace.exchange.base.Push`."""

    query_name: Name = ""
    whole: bool = False


class PartnerBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partner."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    base: Text
    credential: CredentialBody | None = None
    tolerances: Name = ""
    """Empty: as of the organisation."""
    pull: PullBody | None = None
    push: PushBody | None = None


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the calls /api/v1/partners, and the address that partners call."""
    routes = APIRouter(prefix="/api/v1")
    _add_partners(routes, services, guard)
    _add_one(routes, services, guard)
    _add_heard(routes, services)
    return routes


def _add_partners(routes: APIRouter, services: Services, guard: Guard) -> None:
    caller, partners = Depends(guard("trace.exchange")), services.trace.partners

    @routes.get("/partners")
    async def list_partners(granted: Annotated[Granted, caller]) -> Response:
        return answer([_fields(one) for one in await partners.find(_owner(granted))])

    @routes.post("/partners")
    async def make_partner(request: Request, granted: Annotated[Granted, caller]) -> Response:
        wanted = _wanted(read_body(await request.body(), PartnerBody))
        made = await partners.make(
            _owner(granted),
            wanted,
            principal=granted.principal.id,
            account=granted.principal.account,
            also=[services.noted(granted, "partner", base=wanted.base)],
        )
        return answer(_fields(made), status=201)

    @routes.put("/partners/{partner_id}")
    async def change_partner(
        partner_id: str, request: Request, granted: Annotated[Granted, caller]
    ) -> Response:
        wanted = _wanted(read_body(await request.body(), PartnerBody))
        noted = services.noted(granted, _subject(partner_id), base=wanted.base)
        changed = await partners.change(
            _owner(granted),
            partner_id,
            wanted,
            principal=granted.principal.id,
            account=granted.principal.account,
            also=[noted],
        )
        return answer(_fields(changed))


def _add_one(routes: APIRouter, services: Services, guard: Guard) -> None:
    caller, partners = Depends(guard("trace.exchange")), services.trace.partners

    @routes.get("/partners/{partner_id}")
    async def get_partner(partner_id: str, granted: Annotated[Granted, caller]) -> Response:
        one = await partners.get(_owner(granted), partner_id)
        return answer({**_fields(one), "push_waiting": await partners.waiting(one)})

    @routes.delete("/partners/{partner_id}")
    async def end_partner(partner_id: str, granted: Annotated[Granted, caller]) -> Response:
        noted = services.noted(granted, _subject(partner_id), state="deleted")
        await partners.set_state(_owner(granted), partner_id, "ending", also=[noted])
        return Response(status_code=204)

    @routes.post("/partners/{partner_id}/{verb}")
    async def steer_partner(
        partner_id: str, verb: str, granted: Annotated[Granted, caller]
    ) -> Response:
        noted = services.noted(granted, _subject(partner_id), state=verb[:16])
        if verb == "run":
            one = await partners.run_now(_owner(granted), partner_id, also=[noted])
        elif verb in VERBS:
            owner = _owner(granted)
            one = await partners.set_state(owner, partner_id, VERBS[verb], also=[noted])
        else:
            raise RefuseInput("not_found", f"expected pause, resume or run, found {verb[:40]!r}")
        return answer(_fields(one))

    @routes.get("/partners/{partner_id}/receipts")
    async def list_receipts(
        partner_id: str, request: Request, granted: Annotated[Granted, caller]
    ) -> Response:
        check_names(request.query_params, ("before", "limit"))
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT_MAX)
        before = whole(request.query_params, "before", 0, low=0, high=10**15) or None
        find = partners.receipts
        found = await find(_owner(granted), partner_id, before=before, limit=limit + 1)
        shown = found[:limit]
        more = {"before": shown[-1].receipt} if len(found) > limit else {}
        return page([_receipt(one) for one in shown], request=request, next_page=more)


def _add_heard(routes: APIRouter, services: Services) -> None:
    arrivals, partners = Arrivals(), services.trace.partners
    everybody = open_to_all("What it brings is signed by the secret of our subscription.")

    @routes.post(
        PARTNER_EVENTS.removeprefix("/api/v1") + "{partner_id}", dependencies=[Depends(everybody)]
    )
    async def hear(partner_id: str, request: Request) -> Response:
        media = given_media(request.headers.get("content-type", ""), JSON_OR_XML)
        await partners.expects(partner_id)
        signed = request.headers.get("gs1-signature", "")
        async with arrivals.whole(request, partner_id) as body:
            await partners.hear(partner_id, body, media_type=media, signed=signed)
        return Response(status_code=204)


def _owner(granted: Granted) -> str:
    return granted.principal.organisation or ""


def _subject(partner_id: str) -> str:
    return f"partner:{partner_id[:32]}"


def _wanted(body: PartnerBody) -> Wanted:
    credential, pull, push = body.credential, body.pull, body.push
    return Wanted(
        name=body.name,
        base=body.base,
        header=credential.header if credential else "",
        credential=credential.value if credential else None,
        tolerances=body.tolerances,
        pull=_pull(pull) if pull else None,
        push=Push(query_name=push.query_name, whole=push.whole) if push else None,
    )


def _pull(body: PullBody) -> Pull:
    fields = msgspec.structs.asdict(body)
    since = fields.pop("since")
    return Pull(**fields, since_ms=None if since is None else parse_time(since))


def _fields(one: Partner) -> dict[str, Any]:
    """Return a partner; its credential is never told."""
    fields: dict[str, Any] = {
        "partner_id": one.partner_id,
        "name": one.name,
        "base": one.base,
        "credential_header": one.header,
        "tolerances": one.tolerances,
        "created_at": iso(one.created_at_ms),
        "state": one.state,
    }
    if one.pull is not None:
        pull = msgspec.structs.asdict(one.pull)
        fields["pull"] = {**pull, "since": _time(pull.pop("since_ms"))}
        fields["pulling"] = {
            **_course(one.pulling.course),
            "cursor": _time(one.pulling.cursor_ms),
            "more": bool(one.pulling.next_url),
            "next_at": _time(one.pull_at_ms),
            "subscribed": bool(one.subscribed.url),
            "subscription_fault": one.subscribed.fault,
            "heard_at": _time(one.heard_at_ms),
        }
    if one.push is not None:
        fields["push"] = msgspec.structs.asdict(one.push)
        fields["pushing"] = {
            **_course(one.pushing.course),
            "passed_no": one.pushing.passed_no,
            "job": one.pushing.job_url,
            "next_at": _time(one.push_at_ms),
        }
    return fields


def _course(course: Course) -> dict[str, Any]:
    return {
        "success_at": _time(course.success_at_ms),
        "failing_since": _time(course.failing_since_ms),
        "failures": course.failures,
        "fault": course.fault,
    }


def _receipt(one: Receipt) -> dict[str, Any]:
    fields = msgspec.structs.asdict(one)
    begun, ended = fields.pop("begun_at_ms"), fields.pop("ended_at_ms")
    for name in ("partner_id", "organisation", "job"):
        del fields[name]
    return {**fields, "begun_at": _time(begun), "ended_at": _time(ended)}


def _time(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)
