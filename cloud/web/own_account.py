"""One's own account: password, second factor, sessions, and keys of one's programs."""

from typing import Annotated, Any

import segno
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from cloud.api.base import Services
from cloud.model.permissions import load_calls, load_roles
from cloud.model.session import SESSION_COOKIE, Session
from cloud.web.refused import refused_text
from cloud.web.visit import OWN_ACCOUNT, SignedIn, Visit
from protocols.errors import RefuseInput

KEY_DAYS = (30, 90, 365)
DONE = ("password", "session", "dropped", "revoked")
"""What the page may say was done."""
STATUS_OF = {"not_found": 404, "quota_reached": 409}


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /account and what is done there."""
    routes = APIRouter()
    person = Depends(signed_in(OWN_ACCOUNT))

    @routes.get("/account")
    async def show(visit: Annotated[Visit, person]) -> Response:
        return await _page(services, visit)

    @routes.post("/account/password")
    async def change_password(visit: Annotated[Visit, person]) -> Response:
        form = await visit.checked_form()
        noted = _noted(services, visit, changed=["password"])
        try:
            if form.get("password") != form.get("again"):
                raise RefuseInput("passwords_differ")
            await services.own.change_password(
                _session(visit), form.get("old", ""), form.get("password", ""), also=noted
            )
        except RefuseInput as error:
            return await _page(services, visit, error)
        return _done("password")

    @routes.post("/account/sessions/{session_id}/end")
    async def end(visit: Annotated[Visit, person], session_id: str) -> Response:
        await visit.checked_form()
        try:
            await services.end_own_session(visit.granted, _session(visit), session_id)
        except RefuseInput as error:
            return await _page(services, visit, error)
        return _done("session")

    _add_second_factor(routes, services, person)
    _add_keys(routes, services, Depends(signed_in("keys.write")))
    return routes


def _add_second_factor(routes: APIRouter, services: Services, person: Any) -> None:
    @routes.post("/account/second-factor")
    async def begin(visit: Annotated[Visit, person]) -> Response:
        await visit.checked_form()
        try:
            made = services.own.begin_factor(_session(visit))
        except RefuseInput as error:
            return await _page(services, visit, error)
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
        noted = _noted(services, visit, changed=["second_factor"])
        try:
            codes = await services.own.confirm_factor(
                _session(visit), sealed, code, password=form.get("password", ""), also=noted
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
        noted = _noted(services, visit, changed=["second_factor"])
        try:
            await services.own.drop_factor(_session(visit), form.get("password", ""), also=noted)
        except RefuseInput as error:
            return await _page(services, visit, error)
        return _done("dropped")


def _add_keys(routes: APIRouter, services: Services, keeper: Any) -> None:
    @routes.post("/account/keys")
    async def make_key(visit: Annotated[Visit, keeper]) -> Response:
        form, calls = await visit.checked_form(), await visit.ticked("call")
        granted, name = visit.granted, " ".join(form.get("name", "").split())
        try:
            _check_key(name, calls, form.get("days", ""))
            token, key = await services.accounts.make_key(
                name,
                calls,
                int(form["days"]),
                granted,
                lambda subject: services.noted(
                    granted, subject, what="made", calls=sorted(set(calls))
                ),
            )
        except RefuseInput as error:
            return await _page(services, visit, error)
        return visit.render("key_made.html", token=token, key=key)

    @routes.post("/account/keys/{key_id}/revoke")
    async def revoke(visit: Annotated[Visit, keeper], key_id: str) -> Response:
        await visit.checked_form()
        granted = visit.granted
        try:
            await services.accounts.revoke_key(
                number_in(key_id),
                granted,
                lambda subject: services.noted(granted, subject, what="revoked"),
            )
        except RefuseInput as error:
            return await _page(services, visit, error)
        return _done("revoked")


def number_in(text: str) -> int:
    """Read a number of an address; RefuseInput `not_found`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RefuseInput("not_found", f"expected a number, found {text[:40]!r}")
    return int(text)


def qr_code(text: str) -> Markup:
    """Draw a text as SVG, dark on light with its margin whatever the page's colours are."""
    drawn = segno.make_qr(text, error="m").svg_inline(
        border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True
    )
    return Markup(drawn)  # noqa: S704  # made of numbers, without the text


def _check_key(name: str, calls: tuple[str, ...], days: str) -> None:
    if not 1 <= len(name) <= 40 or not name.isprintable():
        raise RefuseInput("bad_request", "key_name: expected 1 to 40 characters")
    if not calls:
        raise RefuseInput("bad_request", "calls: expected at least one")
    if days not in map(str, KEY_DAYS):
        raise RefuseInput("bad_request", f"days: expected one of {KEY_DAYS}")


def _session(visit: Visit) -> Session:
    assert visit.session is not None  # noqa: S101  # else nobody is signed in
    return visit.session


def _noted(services: Services, visit: Visit, **detail: object) -> Any:
    return services.noted(visit.granted, visit.granted.principal.id, **detail)


def _done(what: str) -> Response:
    return RedirectResponse(f"/account?done={what}", status_code=303)


async def _page(services: Services, visit: Visit, error: RefuseInput | None = None) -> Response:
    principal, roles = visit.granted.principal, load_roles()
    account = services.own.get(principal.account)
    await services.shown(visit.granted, account)
    held = [roles[role] for role in account.roles if role in roles]
    done = visit.request.query_params.get("done", "")
    keys = services.accounts.keys(visit.scope_of("keys.write"))
    return visit.render(
        "account.html",
        status=STATUS_OF.get(error.reason, 400) if error else 200,
        account=account,
        organisation=services.organisations.peek(account.organisation),
        roles=held,
        needs_factor=any(role.second_factor for role in held),
        sessions=services.own.sessions(_session(visit)),
        keys=[
            key
            for key in keys
            if key.organisation == account.organisation and key.revoked_at is None
        ],
        calls=[
            call
            for call in load_calls().values()
            if principal.scope(call.id) and call.id != OWN_ACCOUNT  # is a person's own
        ],
        key_days=KEY_DAYS,
        done=done if done in DONE else "",
        error=refused_text(error, visit.t, about="wrong_account") if error else "",
    )
