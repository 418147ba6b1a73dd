"""Accounts of an organisation, as those who look after them see them."""

from collections.abc import Iterable
from itertools import groupby
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.access.base import Noting
from cloud.api.base import Services
from cloud.model.account import Account, AccountChange, NewAccount
from cloud.model.organisation import Organisation
from cloud.model.permissions import load_categories, load_roles
from cloud.organisations.base import Wanted
from cloud.web.own_page import number_in
from cloud.web.refused import refused_text
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

KEEPER = "enterprise_manager"
"""What can be handed over."""
KEPT = ("username", "name")
"""Fields that are shown again when something was wrong."""
STATUS_OF = {
    "not_found": 404,
    "forbidden": 403,
    "username_taken": 409,
    "quota_reached": 409,
    "last_keeper": 409,
    "finished": 409,
}


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
        return await _list(services, visit, visit.request.query_params.get("organisation", ""))

    @routes.get("/accounts/{account_id}")
    async def show_one(visit: Annotated[Visit, reader], account_id: str) -> Response:
        return await _one(services, visit, account_id)


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
            return await _list(services, visit, organisation, form, error)
        return await _code(services, visit, made, code)

    @routes.post("/accounts/{account_id}/reset")
    async def reset(visit: Annotated[Visit, writer], account_id: str) -> Response:
        await visit.checked_form()
        try:
            number = number_in(account_id)
            note = _note(services, visit, "reset")
            code = await services.accounts.reset(number, visit.granted, note)
            one = services.accounts.get(number, visit.scope)
        except RefuseInput as error:
            return await _one(services, visit, account_id, error)
        return await _code(services, visit, one, code)


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
                return await _one(services, visit, account_id, error)
            return RedirectResponse(f"/accounts/{number}", status_code=303)

    add("enable", AccountChange(state="active"))
    add("disable", AccountChange(state="disabled"))

    @routes.post("/accounts/{account_id}/hand-over")
    async def hand_over(visit: Annotated[Visit, writer], account_id: str) -> Response:
        form = await visit.checked_form()
        try:
            to, note = number_in(form.get("to", "")), _note(services, visit, "handed over")
            number = number_in(account_id)
            await services.accounts.hand_over(number, to, visit.granted, note)
        except RefuseInput as error:
            return await _one(services, visit, account_id, error)
        return RedirectResponse(f"/accounts/{to}", status_code=303)


async def _new_account(visit: Visit, form: dict[str, str], organisation: str) -> NewAccount:
    given = {
        "username": form.get("username", "").strip(),
        "name": " ".join(form.get("name", "").split()),
        "roles": await visit.ticked("role"),
        "organisation": organisation or None,
        "districts": await visit.ticked("district") or None,
        "categories": await visit.ticked("category") or None,
    }
    try:
        return msgspec.convert(given, NewAccount)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("`$.")[2].partition("[")[0].strip("`")
        raise RefuseInput("bad_request", f"{field}: {error}") from None


async def _list(
    services: Services,
    visit: Visit,
    chosen: str,
    form: dict[str, str] | None = None,
    error: RefuseInput | None = None,
) -> Response:
    """Show the accounts that the visitor looks after, or those of one organisation."""
    everything = visit.scope.everything
    own = visit.granted.principal.organisation or ""
    one = services.organisations.peek(chosen if everything else own)
    found = services.accounts.find(visit.scope)
    if one is not None:
        found = [account for account in found if account.organisation == one.id]
    await services.shown(visit.granted, *found)
    return visit.render(
        "accounts.html",
        status=STATUS_OF.get(error.reason, 400) if error else 200,
        groups=_groups(services, found),
        one=one,
        offices=await _offices(services, visit) if everything else [],
        roles=load_roles(),
        held=_held_in(one),
        districts=_districts(services, one),
        categories=_categories(one),
        kept={name: (form or {}).get(name, "") for name in KEPT},
        ticked=[*await visit.ticked("role"), *await visit.ticked("district")],
        error=refused_text(error, visit.t, about="wrong_account") if error else "",
    )


async def _one(
    services: Services, visit: Visit, account_id: str, error: RefuseInput | None = None
) -> Response:
    try:
        one = services.accounts.get(number_in(account_id), visit.scope)
    except RefuseInput:
        return visit.render("not_found.html", status=404)
    await services.shown(visit.granted, one)
    others = [
        other
        for other in services.accounts.find(visit.scope)
        if other.organisation == one.organisation and other.id != one.id
    ]
    keeps = KEEPER in one.roles and one.state == "active"
    takers = [other for other in others if keeps and other.state == "active"]
    await services.shown(visit.granted, *takers)
    return visit.render(
        "account_of.html",
        status=STATUS_OF.get(error.reason, 400) if error else 200,
        one=one,
        organisation=services.organisations.peek(one.organisation),
        roles=load_roles(),
        categories=load_categories(),
        takers=takers,
        error=refused_text(error, visit.t, about="wrong_account") if error else "",
    )


async def _code(services: Services, visit: Visit, one: Account, code: str) -> Response:
    """Show a one-time code, this once."""
    await services.shown(visit.granted, one)
    base = services.base_url or str(visit.request.base_url)
    address = f"{base.rstrip('/')}/redeem"
    return visit.render("account_code.html", one=one, code=code, address=address)


def _groups(
    services: Services, accounts: Iterable[Account]
) -> list[tuple[str, str, list[Account]]]:
    """Return (id, name, accounts) of each organisation, by name."""
    by_organisation = groupby(
        sorted(accounts, key=lambda one: (one.organisation, one.username)),
        key=lambda one: one.organisation,
    )
    found = []
    for organisation_id, members in by_organisation:
        one = services.organisations.peek(organisation_id)
        found.append((organisation_id, one.name if one else organisation_id, list(members)))
    return sorted(found, key=lambda group: group[1])


async def _offices(services: Services, visit: Visit) -> list[Organisation]:
    """Return the organisations that nobody looks after but the administrators."""
    kinds = [kind.id for kind in services.organisations.kinds.values() if kind.authority]
    scope = visit.scope_of("organisations.read")
    found = [
        await services.organisations.find(scope, Wanted(kind=kind, states=["active"]))
        for kind in kinds
    ]
    return [one for offices in found for one in offices]


def _held_in(one: Organisation | None) -> list[Any]:
    kind = one.kind if one else ""
    return [role for role in load_roles().values() if kind in role.held_in]


def _districts(services: Services, one: Organisation | None) -> list[str]:
    """Return what an account may be narrowed to; of the whole city those that have an office."""
    return [] if one is None else list(one.districts) or sorted(services.sign_ups.districts())


def _categories(one: Organisation | None) -> list[Any]:
    named = () if one is None else one.categories
    return [known for known in load_categories().values() if not named or known.id in named]


def _note(services: Services, visit: Visit, what: str) -> Noting:
    granted = visit.granted
    return lambda subject: services.noted(granted, subject, what=what)
