"""Accounts of an organisation, as those who look after them see them."""

from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.access.base import Noting
from cloud.api.base import Services
from cloud.model.account import AccountChange, NewAccount, what_changes
from cloud.web import once
from cloud.web.own_page import number_in
from cloud.web.people_page import code_page, list_page, one_page
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

T = TypeVar("T")


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /accounts, one of them, and what is done there."""
    routes = APIRouter()
    _add_reading(routes, services, Depends(signed_in("accounts.read")))
    writer = Depends(signed_in("accounts.write"))
    _add_inviting(routes, services, writer)
    _add_changing(routes, services, writer)
    return routes


def _add_reading(routes: APIRouter, services: Services, reader: Any) -> None:
    @routes.get("/accounts")
    async def show_list(visit: Annotated[Visit, reader]) -> Response:
        if not (visit.scope.everything or visit.scope.organisations):
            return RedirectResponse("/account", status_code=303)
        return await list_page(services, visit, visit.request.query_params.get("organisation", ""))

    @routes.get("/accounts/{account_id}")
    async def show_one(visit: Annotated[Visit, reader], account_id: str) -> Response:
        return await one_page(services, visit, account_id)


def _add_inviting(routes: APIRouter, services: Services, writer: Any) -> None:
    @routes.post("/accounts")
    async def invite(visit: Annotated[Visit, writer]) -> Response:
        form = await visit.checked_form()
        organisation = form.get("organisation", "")
        try:
            new = await _new_account(visit, form, organisation)
            note = _note(services, visit, "opened")
            made, code = await services.accounts.open(new, visit.granted, note)
        except RefuseInput as error:
            return await list_page(services, visit, organisation, form, error)
        return once.lead_to(visit, f"/accounts/{made.id}/code", {"code": code})

    @routes.post("/accounts/{account_id}/reset")
    async def reset(visit: Annotated[Visit, writer], account_id: str) -> Response:
        await visit.checked_form()
        try:
            number = number_in(account_id)
            note = _note(services, visit, "reset")
            code = await services.accounts.reset(number, visit.granted, note)
        except RefuseInput as error:
            return await one_page(services, visit, account_id, error)
        return once.lead_to(visit, f"/accounts/{number}/code", {"code": code})

    @routes.get("/accounts/{account_id}/code")
    async def show_code(visit: Annotated[Visit, writer], account_id: str) -> Response:
        return await code_page(services, visit, account_id)


def _add_changing(routes: APIRouter, services: Services, writer: Any) -> None:
    def add(verb: str, change: AccountChange) -> None:
        @routes.post(f"/accounts/{{account_id}}/{verb}")
        async def set_state(visit: Annotated[Visit, writer], account_id: str) -> Response:
            await visit.checked_form()
            try:
                note = _note(services, visit, verb)
                number = number_in(account_id)
                await services.accounts.change(number, change, visit.granted, note)
            except RefuseInput as error:
                return await one_page(services, visit, account_id, error)
            return RedirectResponse(f"/accounts/{number}", status_code=303)

    add("enable", AccountChange(state="active"))
    add("disable", AccountChange(state="disabled"))

    @routes.post("/accounts/{account_id}/change")
    async def change_one(visit: Annotated[Visit, writer], account_id: str) -> Response:
        await visit.checked_form()
        try:
            number = number_in(account_id)
            one = services.accounts.get(number, visit.scope)
            asked = await _change(visit)
            note = _note(services, visit, "changed", **what_changes(one, asked))
            await services.accounts.change(number, asked, visit.granted, note)
        except RefuseInput as error:
            return await one_page(services, visit, account_id, error)
        return RedirectResponse(f"/accounts/{number}", status_code=303)

    @routes.post("/accounts/{account_id}/hand-over")
    async def hand_over(visit: Annotated[Visit, writer], account_id: str) -> Response:
        form = await visit.checked_form()
        try:
            to, note = number_in(form.get("to", "")), _note(services, visit, "handed over")
            number = number_in(account_id)
            await services.accounts.hand_over(number, to, visit.granted, note)
        except RefuseInput as error:
            return await one_page(services, visit, account_id, error)
        return RedirectResponse(f"/accounts/{to}", status_code=303)


async def _new_account(visit: Visit, form: dict[str, str], organisation: str) -> NewAccount:
    given = {
        **await _given(visit),
        "username": form.get("username", "").strip(),
        "organisation": organisation or None,
    }
    return _read(given, NewAccount)


async def _change(visit: Visit) -> AccountChange:
    return _read(await _given(visit), AccountChange)


async def _given(visit: Visit) -> dict[str, Any]:
    """Return what the forms for a new account and for a change have in common."""
    return {
        "name": " ".join((await visit.form()).get("name", "").split()),
        "roles": await visit.ticked("role"),
        "districts": await visit.ticked("district") or None,
        "categories": await visit.ticked("category") or None,
    }


def _read(given: dict[str, Any], type_: type[T]) -> T:
    try:
        return msgspec.convert(given, type_)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("`$.")[2].partition("[")[0].strip("`")
        raise RefuseInput("bad_request", f"{field}: {error}") from None


def _note(services: Services, visit: Visit, what: str, **detail: Any) -> Noting:
    granted = visit.granted
    return lambda subject: services.noted(granted, subject, what=what, **detail)
