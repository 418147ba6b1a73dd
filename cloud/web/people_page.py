"""The pages of an organisation's accounts: the list, one of them, a code that was handed out."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from fastapi import Response

from cloud.api.base import Services
from cloud.model.account import Account
from cloud.model.organisation import Organisation
from cloud.model.permissions import load_categories, load_roles
from cloud.organisations.base import Wanted
from cloud.web import once
from cloud.web.own_page import number_in
from cloud.web.refused import refused_text
from cloud.web.visit import Visit
from protocols.errors import RefuseInput

SHOWN = 50
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


async def list_page(
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
    found, more = _after(services, visit, found)
    await services.shown(visit.granted, *found)
    return visit.render(
        "accounts.html",
        status=STATUS_OF.get(error.reason, 400) if error else 200,
        groups=_groups(services, found),
        next_page=_next_page(one, found) if more else None,
        one=one,
        offices=await _offices(services, visit) if everything else [],
        roles=load_roles(),
        held=_held_in(one),
        districts=_districts(services, one),
        categories=_categories(one),
        kept={name: (form or {}).get(name, "") for name in KEPT},
        ticked=await _ticked(visit),
        error=refused_text(error, visit.t, about="wrong_account") if error else "",
    )


async def one_page(
    services: Services, visit: Visit, account_id: str, error: RefuseInput | None = None
) -> Response:
    """Show one account, and what the visitor may do about it."""
    try:
        one = services.accounts.get(number_in(account_id), visit.scope)
    except RefuseInput:
        return visit.render("not_found.html", status=404)
    others = [
        other
        for other in services.accounts.find(visit.scope)
        if other.organisation == one.organisation and other.id != one.id
    ]
    keeps = KEEPER in one.roles and one.state == "active"
    takers = [other for other in others if keeps and other.state == "active"]
    await services.shown(visit.granted, one, *takers)
    organisation = services.organisations.peek(one.organisation)
    return visit.render(
        "account_of.html",
        status=STATUS_OF.get(error.reason, 400) if error else 200,
        one=one,
        organisation=organisation,
        roles=load_roles(),
        categories=load_categories(),
        held=_held_in(organisation),
        places=_places_of(services, organisation, one),
        takers=takers,
        error=refused_text(error, visit.t, about="wrong_account") if error else "",
    )


async def code_page(services: Services, visit: Visit, account_id: str) -> Response:
    """Show a one-time code, this once."""
    try:
        one = services.accounts.get(number_in(account_id), visit.scope)
    except RefuseInput:
        return visit.render("not_found.html", status=404)
    shown = once.content_of(visit)
    if shown is None:
        return once.shown_already(visit, f"/accounts/{one.id}")
    await services.shown(visit.granted, one)
    base = services.base_url or str(visit.request.base_url)
    address = f"{base.rstrip('/')}/redeem"
    return once.show(visit, "account_code.html", one=one, code=shown["code"], address=address)


def _after(
    services: Services, visit: Visit, found: Iterable[Account]
) -> tuple[list[Account], bool]:
    """Return one page of accounts in their order, and whether there are more.

    The page begins after the account whose number the address says: a name has no place there.
    """

    def place(one: Account) -> tuple[str, str, str]:
        return _name_of(services, one.organisation), one.organisation, one.username

    listed = sorted(found, key=place)
    try:
        number = number_in(visit.request.query_params.get("after", ""))
        last = place(services.accounts.get(number, visit.scope))
        listed = [one for one in listed if place(one) > last]
    except RefuseInput:
        pass  # the first page
    return listed[:SHOWN], len(listed) > SHOWN


def _next_page(one: Organisation | None, shown: Sequence[Account]) -> str:
    chosen = {"organisation": one.id} if one else {}
    return "/accounts?" + urlencode({**chosen, "after": shown[-1].id})


async def _ticked(visit: Visit) -> list[str]:
    names = ("role", "district", "category")
    return [value for name in names for value in await visit.ticked(name)]


def _groups(
    services: Services, accounts: Iterable[Account]
) -> list[tuple[str, str, list[Account]]]:
    """Return (id, name, accounts) of each organisation, of accounts in their order."""
    by_organisation = groupby(accounts, key=lambda one: one.organisation)
    return [(id_, _name_of(services, id_), list(members)) for id_, members in by_organisation]


def _name_of(services: Services, organisation_id: str) -> str:
    one = services.organisations.peek(organisation_id)
    return one.name if one else organisation_id


def _places_of(
    services: Services, organisation: Organisation | None, one: Account
) -> list[tuple[str, list[tuple[str, str, str]], tuple[str, ...]]]:
    """Return (field, (value, title, title_zh) of each choice, what is ticked) that narrow it.

    A choice of one is none, unless the account is narrowed to it.
    """
    found = []
    districts = [(name, name, name) for name in _districts(services, organisation)]
    categories = [(known.id, known.title, known.title_zh) for known in _categories(organisation)]
    for field, choices, now in (
        ("district", districts, one.districts),
        ("category", categories, one.categories),
    ):
        known = {value for value, *_ in choices}
        choices += [(value, value, value) for value in now or () if value not in known]
        if len(choices) > 1 or now is not None:
            found.append((field, choices, now or ()))
    return found


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
