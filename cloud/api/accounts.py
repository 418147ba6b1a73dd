"""Accounts, one-time codes and API keys."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta

from cloud.access.base import Noting
from cloud.api.base import Services
from cloud.api.bodies import read_body
from cloud.api.guard import Guard, open_to_all
from cloud.api.parameters import check_names, number_in_path
from cloud.api.render import answer, page, timed_fields
from cloud.model.account import Account, AccountChange, ApiKey, NewAccount, what_changes
from cloud.model.principal import Granted

SECRET = ("password", "second_factor", "second_factor_step", "recovery")
"""Fields that never leave."""
KEY_DAYS = 90


class HandOverBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To whom."""

    to: int


class RedeemBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A one-time code, and the password that it brings."""

    code: Annotated[str, Meta(max_length=64)]
    password: Annotated[str, Meta(max_length=400)]


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key for a program."""

    name: Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
    calls: Annotated[list[str], Meta(min_length=1, max_length=64)]
    days: int = KEY_DAYS


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/accounts and /api/v1/redeem."""
    routes = APIRouter(prefix="/api/v1")
    reader, writer = Depends(guard("accounts.read")), Depends(guard("accounts.write"))
    accounts = services.accounts

    @routes.get("/accounts")
    async def list_accounts(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ())
        found = accounts.find(granted.scope)
        await services.shown(granted, *found)
        return page([account_fields(one) for one in found], request=request, next_page={})

    @routes.post("/accounts")
    async def open_account(request: Request, granted: Annotated[Granted, writer]) -> Response:
        body = read_body(await request.body(), NewAccount)
        made, code = await accounts.open(body, granted, _note(services, granted, "opened"))
        return answer(account_fields(made) | {"code": code}, status=201)

    @routes.get("/accounts/{account_id}")
    async def get_account(account_id: str, granted: Annotated[Granted, reader]) -> Response:
        found = accounts.get(number_in_path(account_id), granted.scope)
        await services.shown(granted, found)
        return answer(account_fields(found))

    @routes.patch("/accounts/{account_id}")
    async def change(
        account_id: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        body = read_body(await request.body(), AccountChange)
        number = number_in_path(account_id)
        fields = what_changes(accounts.get(number, granted.scope), body)
        note = _note(services, granted, "changed", **fields)
        changed = await accounts.change(number, body, granted, note)
        return answer(account_fields(changed))

    @routes.post("/accounts/{account_id}/reset")
    async def reset(account_id: str, granted: Annotated[Granted, writer]) -> Response:
        note = _note(services, granted, "reset")
        code = await accounts.reset(number_in_path(account_id), granted, note)
        return answer({"code": code}, status=201)

    @routes.post("/accounts/{account_id}/hand-over")
    async def hand_over(
        account_id: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        to, note = (
            read_body(await request.body(), HandOverBody).to,
            _note(services, granted, "handed over"),
        )
        await accounts.hand_over(number_in_path(account_id), to, granted, note)
        return answer(account_fields(accounts.get(to, granted.scope)))

    _add_redeem(routes, services)
    return routes


def _add_redeem(routes: APIRouter, services: Services) -> None:
    everybody = Depends(open_to_all("who has a one-time code has no password yet"))

    @routes.post("/redeem", dependencies=[everybody])
    async def redeem(request: Request) -> Response:
        body = read_body(await request.body(), RedeemBody)
        made = await services.accounts.redeem(body.code, body.password, services.redeem_noted)
        return answer({"username": made.username})


def keys_router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/keys."""
    routes = APIRouter(prefix="/api/v1/keys")
    keeper = Depends(guard("keys.write"))
    accounts = services.accounts

    @routes.get("")
    async def list_keys(request: Request, granted: Annotated[Granted, keeper]) -> Response:
        check_names(request.query_params, ())
        found = accounts.keys(granted.scope)
        return page([timed_fields(one) for one in found], request=request, next_page={})

    @routes.post("")
    async def make_key(request: Request, granted: Annotated[Granted, keeper]) -> Response:
        body = read_body(await request.body(), KeyBody)
        note = _note(services, granted, "made", calls=sorted(set(body.calls)))
        token, key = await accounts.make_key(body.name, body.calls, body.days, granted, note)
        return answer(key_fields(key) | {"token": token}, status=201)

    @routes.delete("/{key_id}")
    async def revoke(key_id: str, granted: Annotated[Granted, keeper]) -> Response:
        note = _note(services, granted, "revoked")
        return answer(key_fields(await accounts.revoke_key(number_in_path(key_id), granted, note)))

    return routes


def account_fields(account: Account) -> dict[str, Any]:
    """Return an account as JSON-ready fields, without what proves a person."""
    fields = timed_fields(account)
    shown = {name: value for name, value in fields.items() if name not in SECRET}
    return shown | {"has_second_factor": account.second_factor is not None}


def key_fields(key: ApiKey) -> dict[str, Any]:
    """Return a key as JSON-ready fields."""
    return timed_fields(key)


def _note(services: Services, granted: Granted, what: str, **detail: object) -> Noting:
    return lambda subject: services.noted(granted, subject, what=what, **detail)
