"""One's own account: password, second factor, sessions."""

from typing import Annotated, Any

import segno
from fastapi import APIRouter, Depends, Response
from markupsafe import Markup

from cloud.api.base import Services
from cloud.model.session import SESSION_COOKIE
from cloud.web import own_ways
from cloud.web.own_page import account_page, done_page, own_noted, session_of
from cloud.web.refused import refused_text
from cloud.web.visit import OWN_ACCOUNT, SignedIn, Visit
from protocols.errors import RefuseInput


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /account and what is done there."""
    routes = APIRouter()
    person = Depends(signed_in(OWN_ACCOUNT))

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
                session_of(visit), form.get("old", ""), form.get("password", ""), also=noted
            )
        except RefuseInput as error:
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

    _add_second_factor(routes, services, person)
    own_ways.add(routes, services, signed_in)
    return routes


def _add_second_factor(routes: APIRouter, services: Services, person: Any) -> None:
    @routes.post("/account/second-factor")
    async def begin(visit: Annotated[Visit, person]) -> Response:
        await visit.checked_form()
        try:
            made = services.own.begin_factor(session_of(visit))
        except RefuseInput as error:
            return await account_page(services, visit, error)
        return visit.render(
            "second_factor.html",
            secret=" ".join(made.secret[at : at + 4] for at in range(0, len(made.secret), 4)),
            qr=qr_code(made.address),
            sealed=made.sealed,
            error="",
        )

    @routes.post("/account/second-factor/confirm")
    async def confirm(visit: Annotated[Visit, person]) -> Response:
        form = await visit.checked_form()
        sealed, code = form.get("sealed", ""), form.get("code", "")
        noted = own_noted(services, visit, changed=["second_factor"])
        try:
            codes = await services.own.confirm_factor(
                session_of(visit), sealed, code, password=form.get("password", ""), also=noted
            )
        except RefuseInput as error:
            return visit.render(
                "second_factor.html",
                status=400,
                secret="",
                qr="",
                sealed=sealed,
                error=refused_text(error, visit.t, about="wrong_account"),
            )
        out = Visit(visit.request, services, None)  # every session ended, this one, too
        response = out.render("recovery_codes.html", codes=codes)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
        return response

    @routes.post("/account/second-factor/drop")
    async def drop(visit: Annotated[Visit, person]) -> Response:
        form = await visit.checked_form()
        noted = own_noted(services, visit, changed=["second_factor"])
        try:
            await services.own.drop_factor(session_of(visit), form.get("password", ""), also=noted)
        except RefuseInput as error:
            return await account_page(services, visit, error)
        return done_page("dropped")


def qr_code(text: str) -> Markup:
    """Draw a text as SVG, dark on light with its margin whatever the page's colours are."""
    drawn = segno.make_qr(text, error="m").svg_inline(
        border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True
    )
    return Markup(drawn)  # noqa: S704  # made of numbers, without the text
