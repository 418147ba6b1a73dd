"""One's own account: password, second factor, sessions."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import segno
from fastapi import APIRouter, Depends, Request, Response
from markupsafe import Markup

from cloud.api.base import Services
from cloud.model.session import SESSION_COOKIE
from cloud.web import once, own_ways
from cloud.web.own_page import account_page, done_page, own_noted, session_of, told, with_wait
from cloud.web.visit import OWN_ACCOUNT, SignedIn, Visit
from protocols.errors import RefuseInput, RetryLater

FACTOR = "/account/second-factor"
RECOVERY = f"{FACTOR}/recovery-codes"


def router(
    services: Services, anyone: Callable[[Request], Visit], signed_in: SignedIn
) -> APIRouter:
    """Build /account and what is done there."""
    routes = APIRouter()
    person, visitor = Depends(signed_in(OWN_ACCOUNT)), Depends(anyone)

    @routes.get("/account")
    async def show(visit: Annotated[Visit, person]) -> Response:
        return await account_page(services, visit)

    @routes.post("/account/password")
    async def change_password(visit: Annotated[Visit, person]) -> Response:
        form = await visit.checked_form()
        noted = own_noted(services, visit, changed=["password"])
        try:
            if form.get("password") != form.get("again"):
                raise RefuseInput("passwords_differ")
            await services.own.change_password(
                session_of(visit),
                form.get("old", ""),
                form.get("password", ""),
                browser=visit.browser,
                also=noted,
            )
        except (RefuseInput, RetryLater) as error:
            return await account_page(services, visit, error)
        return done_page("password")

    @routes.post("/account/sessions/{session_id}/end")
    async def end(visit: Annotated[Visit, person], session_id: str) -> Response:
        await visit.checked_form()
        try:
            await services.end_own_session(visit.granted, session_of(visit), session_id)
        except RefuseInput as error:
            return await account_page(services, visit, error)
        return done_page("session")

    @routes.get(RECOVERY)
    async def show_recovery(visit: Annotated[Visit, visitor]) -> Response:
        shown = once.content_of(Visit(visit.request, services, None))  # every session ended
        if shown is None:
            return once.shown_already(visit, "/account")
        return once.show(visit, "recovery_codes.html", codes=shown["codes"].split())

    _add_second_factor(routes, services, person)
    own_ways.add(routes, services, signed_in)
    return routes


def _add_second_factor(routes: APIRouter, services: Services, person: Any) -> None:
    @routes.post(FACTOR)
    async def begin(visit: Annotated[Visit, person]) -> Response:
        await visit.checked_form()
        try:
            made = services.own.begin_factor(session_of(visit))
        except RefuseInput as error:
            return await account_page(services, visit, error)
        return once.lead_to(visit, FACTOR, msgspec.structs.asdict(made))

    @routes.get(FACTOR)
    async def show_secret(visit: Annotated[Visit, person]) -> Response:
        made = once.content_of(visit)
        if made is None:
            return once.shown_already(visit, "/account")
        secret, qr = in_fours(made["secret"]), qr_code(made["address"])
        return once.show(
            visit, "second_factor.html", secret=secret, qr=qr, sealed=made["sealed"], error=""
        )

    @routes.post(f"{FACTOR}/confirm")
    async def confirm(visit: Annotated[Visit, person]) -> Response:
        form = await visit.checked_form()
        sealed, code = form.get("sealed", ""), form.get("code", "")
        noted = own_noted(services, visit, changed=["second_factor"])
        try:
            codes = await services.own.confirm_factor(
                session_of(visit),
                sealed,
                code,
                password=form.get("password", ""),
                browser=visit.browser,
                also=noted,
            )
        except (RefuseInput, RetryLater) as error:
            return _once_more(visit, sealed, error)
        response = once.lead_to(visit, RECOVERY, {"codes": " ".join(codes)}, signed_out=True)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
        return response

    @routes.post(f"{FACTOR}/drop")
    async def drop(visit: Annotated[Visit, person]) -> Response:
        form = await visit.checked_form()
        noted = own_noted(services, visit, changed=["second_factor"])
        try:
            await services.own.drop_factor(
                session_of(visit), form.get("password", ""), browser=visit.browser, also=noted
            )
        except (RefuseInput, RetryLater) as error:
            return await account_page(services, visit, error)
        return done_page("dropped")


def _once_more(visit: Visit, sealed: str, error: RefuseInput | RetryLater) -> Response:
    """Ask again for the code of a secret, which is not shown again."""
    status, words = told(visit, error)
    again = {"secret": "", "qr": "", "sealed": sealed}
    response = visit.render("second_factor.html", status=status, error=words, **again)
    return with_wait(response, error)


def in_fours(text: str) -> str:
    """Write a secret so that it is read and typed without losing one's place."""
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def qr_code(text: str) -> Markup:
    """Draw a text as SVG, dark on light with its margin whatever the page's colours are."""
    drawn = segno.make_qr(text, error="m").svg_inline(
        border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True
    )
    return Markup(drawn)  # noqa: S704  # made of numbers, without the text
