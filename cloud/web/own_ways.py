"""By what else one's account is used: keys of programs, handhelds, a department's sign-on."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.oidc.base import SignOn
from cloud.web import once
from cloud.web.own_page import KEY_DAYS, account_page, done_page, number_in, own_noted
from cloud.web.visit import OWN_ACCOUNT, SignedIn, Visit
from protocols.errors import RefuseInput


def add(routes: APIRouter, services: Services, signed_in: SignedIn) -> None:
    """Add what is done about them on /account."""
    person = Depends(signed_in(OWN_ACCOUNT))
    _add_keys(routes, services, Depends(signed_in("keys.write")))
    _add_handhelds(routes, services, person)
    if services.sign_on is not None:
        _add_links(routes, services, services.sign_on, person)


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
            return await account_page(services, visit, error)
        return once.lead_to(visit, f"/account/keys/{key.id}", {"token": token})

    @routes.get("/account/keys/{key_id}")
    async def show_key(visit: Annotated[Visit, keeper], key_id: str) -> Response:
        shown, keys = once.content_of(visit), services.accounts.keys(visit.scope)
        made = [key for key in keys if str(key.id) == key_id]
        if shown is None or not made:
            return once.shown_already(visit, "/account#keys")
        return once.show(visit, "key_made.html", token=shown["token"], key=made[0])

    @routes.post("/account/keys/{key_id}/revoke")
    async def revoke_key(visit: Annotated[Visit, keeper], key_id: str) -> Response:
        await visit.checked_form()
        granted = visit.granted
        try:
            await services.accounts.revoke_key(
                number_in(key_id),
                granted,
                lambda subject: services.noted(granted, subject, what="revoked"),
            )
        except RefuseInput as error:
            return await account_page(services, visit, error)
        return done_page("revoked")


def _add_handhelds(routes: APIRouter, services: Services, person: Any) -> None:
    @routes.post("/account/handhelds/{device_id}/revoke")
    async def revoke_handheld(visit: Annotated[Visit, person], device_id: str) -> Response:
        await visit.checked_form()
        granted = visit.granted
        try:
            await services.devices.revoke(
                device_id,
                granted,
                lambda subject: services.noted(granted, subject, what="revoked"),
            )
        except RefuseInput as error:
            return await account_page(services, visit, error)
        return done_page("handheld")


def _add_links(routes: APIRouter, services: Services, sign_on: SignOn, person: Any) -> None:
    @routes.post("/account/sign-on/{way}/unlink")
    async def unlink(visit: Annotated[Visit, person], way: str) -> Response:
        await visit.checked_form()
        noted = own_noted(services, visit, what="unlinked", way=way)
        account = services.own.get(visit.granted.principal.account)
        try:
            await sign_on.unlink(way, account.id, also=noted)
        except RefuseInput as error:
            return await account_page(services, visit, error)
        return done_page("unlinked")


def _check_key(name: str, calls: tuple[str, ...], days: str) -> None:
    if not 1 <= len(name) <= 40 or not name.isprintable():
        raise RefuseInput("bad_request", "key_name: expected 1 to 40 characters")
    if not calls:
        raise RefuseInput("bad_request", "calls: expected at least one")
    if days not in map(str, KEY_DAYS):
        raise RefuseInput("bad_request", f"days: expected one of {KEY_DAYS}")
