"""The page of one's own account, and what all that is done there has in common."""

from typing import Any

from fastapi import Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.account import Account, ApiKey, Handheld
from cloud.model.permissions import Call, load_calls, load_roles
from cloud.model.principal import Principal
from cloud.model.session import Session
from cloud.oidc.base import Linked
from cloud.web.refused import refused_text
from cloud.web.visit import OWN_ACCOUNT, Visit
from protocols.errors import RefuseInput, RetryLater

KEY_DAYS = (30, 90, 365)
DONE = ("password", "session", "dropped", "revoked", "handheld", "linked", "unlinked")
"""What the page may say was done."""
STATUS_OF = {"not_found": 404, "quota_reached": 409, "last_way": 409, "too_many_attempts": 429}


async def account_page(
    services: Services, visit: Visit, error: RefuseInput | RetryLater | None = None
) -> Response:
    """Show the account, with what was wrong."""
    status, words = told(visit, error)
    principal, roles = visit.granted.principal, load_roles()
    account = services.own.get(principal.account)
    handhelds = _handhelds(services, visit)
    await services.shown(visit.granted, account, *handhelds)
    held = [roles[role] for role in account.roles if role in roles]
    done = visit.request.query_params.get("done", "")
    response = visit.render(
        "account.html",
        status=status,
        account=account,
        organisation=services.organisations.peek(account.organisation),
        roles=held,
        needs_factor=any(role.second_factor for role in held),
        sessions=services.own.sessions(session_of(visit)),
        ways=services.sign_on.ways() if services.sign_on else (),
        links=await _links(services, account),
        handhelds=handhelds,
        keys=_keys(services, visit, account),
        calls=_calls(principal),
        key_days=KEY_DAYS,
        done=done if done in DONE else "",
        error=words,
    )
    return with_wait(response, error)


def told(visit: Visit, error: RefuseInput | RetryLater | None) -> tuple[int, str]:
    """Return status and words of what was wrong."""
    if error is None:
        return 200, ""
    if isinstance(error, RetryLater):
        return 503, visit.t("login.busy")
    return STATUS_OF.get(error.reason, 400), refused_text(error, visit.t, about="wrong_account")


def with_wait(response: Response, error: RefuseInput | RetryLater | None) -> Response:
    """Say when to come again, where it was too often or too many came at once."""
    if response.status_code == 429:
        response.headers["Retry-After"] = getattr(error, "detail", "1")
    elif response.status_code == 503:
        response.headers["Retry-After"] = "1"
    return response


def done_page(what: str) -> Response:
    """Lead back to the page, which says what was done."""
    return RedirectResponse(f"/account?done={what}", status_code=303)


def session_of(visit: Visit) -> Session:
    """Return the visitor's session."""
    assert visit.session is not None  # noqa: S101  # else nobody is signed in
    return visit.session


def own_noted(services: Services, visit: Visit, **detail: object) -> Any:
    """Return what writes into the audit that somebody changed the own account."""
    return services.noted(visit.granted, visit.granted.principal.id, **detail)


def number_in(text: str) -> int:
    """Read a number of an address; RefuseInput `not_found`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RefuseInput("not_found", f"expected a number, found {text[:40]!r}")
    return int(text)


async def _links(services: Services, account: Account) -> dict[str, Linked]:
    """Return by which sign-ons the account comes in, by their ids."""
    if services.sign_on is None:
        return {}
    return {one.way: one for one in await services.sign_on.links(account.id)}


def _handhelds(services: Services, visit: Visit) -> list[Handheld]:
    """Return one's own, whatever the visitor looks after besides."""
    found = services.devices.find(visit.scope_of(OWN_ACCOUNT))
    return [one for one in found if one.revoked_at is None]


def _keys(services: Services, visit: Visit, account: Account) -> list[ApiKey]:
    return [
        key
        for key in services.accounts.keys(visit.scope_of("keys.write"))
        if key.organisation == account.organisation and key.revoked_at is None
    ]


def _calls(principal: Principal) -> list[Call]:
    """Return what a key of the visitor may do: all but what is a person's own."""
    known = load_calls().values()
    return [call for call in known if principal.scope(call.id) and call.id != OWN_ACCOUNT]
