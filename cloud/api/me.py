"""One's own account: password, second factor, sessions."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta

from cloud.api.accounts import account_fields
from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard
from cloud.api.parameters import check_names
from cloud.api.render import answer, page, timed_fields
from cloud.model.principal import Granted
from cloud.model.session import SESSION_COOKIE, Browser, Session, browser_of
from protocols.errors import RefuseInput

Secret = Annotated[str, Meta(max_length=400)]


class PasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The present password and the one that follows it."""

    old: Secret
    new: Secret


class ConfirmBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A secret as it was handed out, its first code, and the present password."""

    sealed: Annotated[str, Meta(max_length=1_000)]
    code: Annotated[str, Meta(max_length=64)]
    password: Secret


class DropBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The present password."""

    password: Secret


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/me."""
    routes = APIRouter(prefix="/api/v1/me")
    person = Depends(guard("account.use"))

    @routes.get("")
    async def show(granted: Annotated[Granted, person]) -> Response:
        found = services.own.get(granted.principal.account)
        await services.shown(granted, found)
        return answer(account_fields(found))

    @routes.post("/password")
    async def change_password(request: Request, granted: Annotated[Granted, person]) -> Response:
        session = _session(services, request)
        body = read_body(await request.body(), PasswordBody)
        noted = services.noted(granted, granted.principal.id, changed=["password"])
        await services.own.change_password(
            session, body.old, body.new, browser=_browser(request), also=noted
        )
        return Response(status_code=204)

    _add_second_factor(routes, services, guard)
    _add_sessions(routes, services, guard)
    return routes


def _add_second_factor(routes: APIRouter, services: Services, guard: Guard) -> None:
    person = Depends(guard("account.use"))

    @routes.post("/second-factor")
    async def begin(request: Request, _granted: Annotated[Granted, person]) -> Response:
        made = services.own.begin_factor(_session(services, request))
        return answer(msgspec.structs.asdict(made), status=201)

    @routes.post("/second-factor/confirm")
    async def confirm(request: Request, granted: Annotated[Granted, person]) -> Response:
        session = _session(services, request)
        body = read_body(await request.body(), ConfirmBody)
        codes = await services.own.confirm_factor(
            session,
            body.sealed,
            body.code,
            password=body.password,
            browser=_browser(request),
            also=services.noted(granted, granted.principal.id, changed=["second_factor"]),
        )
        return answer({"recovery_codes": codes})

    @routes.delete("/second-factor")
    async def give_up(request: Request, granted: Annotated[Granted, person]) -> Response:
        session = _session(services, request)
        body = read_body(await request.body(), DropBody)
        noted = services.noted(granted, granted.principal.id, changed=["second_factor"])
        await services.own.drop_factor(
            session, body.password, browser=_browser(request), also=noted
        )
        return Response(status_code=204)


def _add_sessions(routes: APIRouter, services: Services, guard: Guard) -> None:
    person = Depends(guard("account.use"))

    @routes.get("/sessions")
    async def list_sessions(request: Request, _granted: Annotated[Granted, person]) -> Response:
        check_names(request.query_params, ())
        found = services.own.sessions(_session(services, request))
        return page([timed_fields(one) for one in found], request=request, next_page={})

    @routes.delete("/sessions/{session_id}")
    async def end(
        session_id: str, request: Request, granted: Annotated[Granted, person]
    ) -> Response:
        await services.end_own_session(granted, _session(services, request), session_id)
        return Response(status_code=204)


def _session(services: Services, request: Request) -> Session:
    """Return the session that asks: a program acts for a person, and is not that person.

    Raises:
        RefuseInput: `forbidden`.

    """
    if "authorization" not in request.headers:
        session = services.access.session(request.cookies.get(SESSION_COOKIE, ""))
        if session is not None:
            return session
    raise RefuseInput("forbidden", "expected the session of a person who signed in, not a token")


def _browser(request: Request) -> Browser:
    return browser_of(request.client.host if request.client else None, request.cookies)
