"""Accounts as their managers change them: who may give what to whom."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from cloud.access.base import Noting
from cloud.access.book import AccessBook
from cloud.access.codes import Purpose, keep_code, look_at_code, new_code, use_code
from cloud.access.keys import DAYS_MAX
from cloud.access.principals import OWN_ACCOUNT, allowed_roles
from cloud.model.account import Account, AccountChange, ApiKey, NewAccount
from cloud.model.database import Database, Work, take_turn
from cloud.model.organisation import Organisation
from cloud.model.people_tables import account as account_table
from cloud.model.permissions import load_calls
from cloud.model.principal import Granted, Scope
from cloud.organisations.base import Organisations
from protocols.clock import Clock
from protocols.errors import RefuseInput

KEEPERS = ("administrator", "enterprise_manager")
"""Who holds one of these looks after the others' accounts; the last one stays."""


class AccountDesk:
    """What managers do about accounts and keys.

    All of it is durable on return. RefuseInput `not_found` for what is outside the scope.
    """

    def __init__(
        self, database: Database, clock: Clock, access: AccessBook, organisations: Organisations
    ) -> None:
        self._database, self._clock = database, clock
        self._access, self._organisations = access, organisations

    def find(self, scope: Scope) -> list[Account]:
        """Return the accounts that a scope admits, by id; those that are gone are not."""
        return [one for one in self._access.accounts.of() if admits(scope, one)]

    def get(self, account_id: int, scope: Scope) -> Account:
        """Return one."""
        account = self._access.accounts.get(account_id)
        if account is None or not admits(scope, account):
            raise RefuseInput("not_found", f"no account {account_id}")
        return account

    async def open(self, new: NewAccount, granted: Granted, note: Noting) -> tuple[Account, str]:
        """Let somebody in; returns the one-time code by which they choose a password, too.

        Raises:
            RefuseInput: `username_taken`, `quota_reached`, `forbidden`: roles or places that are
                not the caller's to give.

        """
        own = granted.principal.organisation or ""
        organisation = self._organisation(new.organisation or own, granted.scope)
        self._check_gift(organisation, new.roles, new.districts, new.categories, granted.scope)
        now_ms = self._clock.wall_ms()
        account = Account(
            id=0,
            username=new.username,
            name=" ".join(new.name.split()),
            organisation=organisation.id,
            roles=new.roles,
            districts=new.districts,
            categories=new.categories,
            state="invited",
            created_at=now_ms,
            updated_at=now_ms,
        )
        room = self._organisations.room(organisation.id, "accounts_max")
        added = await self._access.accounts.add(
            account, room, note=lambda account_id: note(f"account:{account_id}")
        )
        return added, await self._hand_out(added, "invite", ())

    async def change(
        self, account_id: int, asked: AccountChange, granted: Granted, note: Noting
    ) -> Account:
        """Change an account; who is shut out is signed out at once. Errors as of `open`."""
        account = self.get(account_id, granted.scope)
        organisation = self._organisation(account.organisation, granted.scope)
        fields = asked.given()
        after = msgspec.structs.replace(account, **fields)
        if asked.state == "active" and account.password is None:
            raise RefuseInput("bad_request", "state: expected that the invitation is taken first")
        self._check_gift(
            organisation, after.roles, after.districts, after.categories, granted.scope
        )
        lost = [role for role in KEEPERS if _holds(account, role) and not _holds(after, role)]
        also = [_kept_up(account.organisation, role) for role in lost]
        also.append(note(f"account:{account_id}"))
        if after.state == "disabled":
            also.append(self._access.sessions.ending(account=account_id))
        return await self._access.accounts.change(account_id, *also, **fields)

    async def reset(self, account_id: int, granted: Granted, note: Noting) -> str:
        """Take password and second factor away; returns a one-time code for new ones."""
        account = self.get(account_id, granted.scope)
        if account.state not in ("active", "invited"):
            raise RefuseInput("finished", f"the account is {account.state}")
        also = [note(f"account:{account_id}"), self._access.sessions.ending(account=account_id)]
        purpose: Purpose = "invite" if account.state == "invited" else "reset"
        return await self._hand_out(account, purpose, also)

    async def hand_over(self, from_id: int, to_id: int, granted: Granted, note: Noting) -> None:
        """Hand what `from_id` looks after to `to_id` of the same organisation, in one step."""
        giver, taker = self.get(from_id, granted.scope), self.get(to_id, granted.scope)
        handed = tuple(role for role in giver.roles if role in KEEPERS)
        same = giver.organisation == taker.organisation and from_id != to_id
        if not same or taker.state != "active" or not handed:
            detail = "expected a keeper, and an active account of the same organisation"
            raise RefuseInput("bad_request", detail)
        kept = tuple(role for role in giver.roles if role not in KEEPERS) or ("enterprise_clerk",)
        if "administrator" in handed:
            raise RefuseInput("bad_request", "an administrator is made, then the other one closed")
        taken = tuple(dict.fromkeys((*taker.roles, *handed)))
        also = [_kept_up(giver.organisation, role) for role in handed]
        also += [note(f"account:{from_id}"), note(f"account:{to_id}")]
        accounts = self._access.accounts
        await accounts.change_all({to_id: {"roles": taken}, from_id: {"roles": kept}}, *also)

    async def redeem(self, code: str, password: str, note: Noting) -> Account:
        """Set a password by a one-time code; every session ends.

        Raises:
            RefuseInput: `bad_code`, `weak_password` (the code stays good).
            RetryLater: too many passwords are looked at.

        """
        now_ms = self._clock.wall_ms()
        account_id = await self._database.read(
            lambda c: look_at_code(c, code, ("invite", "reset"), now_ms)
        )
        account = self._access.accounts.get(account_id)
        if account is None or account.state not in ("invited", "active"):
            raise RefuseInput("bad_code", "the code is not good, or no longer")
        hashed = await self._access.verifier.hash(password, own=self._access.names(account))
        return await self._access.accounts.change(
            account_id,
            lambda c: use_code(c, code, ("invite", "reset"), now_ms),
            self._access.sessions.ending(account=account_id),
            note(f"account:{account_id}"),
            password=hashed,
            second_factor=None,
            second_factor_step=None,
            recovery=(),
            state="active",
            failures=0,
            locked_until=None,
        )

    def keys(self, scope: Scope) -> list[ApiKey]:
        """Return the keys that a scope admits."""
        return [
            one
            for one in self._access.keys.of(None)
            if scope.everything or one.organisation in scope.organisations
        ]

    async def make_key(
        self, name: str, calls: Collection[str], days: int, granted: Granted, note: Noting
    ) -> tuple[str, ApiKey]:
        """Make a key of the caller's own; returns its token, which is shown once.

        Raises:
            RefuseInput: `bad_request`, `quota_reached`, `forbidden`: calls that he may not make.

        """
        principal = granted.principal
        if principal.account is None or principal.kind != "account":
            raise RefuseInput("forbidden", "a key belongs to an account: sign in by one")
        if not 1 <= days <= DAYS_MAX:
            raise RefuseInput("bad_request", f"days: expected 1 to {DAYS_MAX}, found {days}")
        for call in calls:
            known = call in load_calls() and call != OWN_ACCOUNT
            if not known or not principal.scope(call):
                raise RefuseInput("forbidden", f"calls: {call[:48]!r} is not yours to give")
        organisation = principal.organisation or ""
        room = self._organisations.room(organisation, "keys_max")
        return await self._access.keys.make(
            name=name,
            account=principal.account,
            organisation=organisation,
            calls=sorted(set(calls)),
            days=days,
            room=room,
            note=lambda key_id: note(f"key:{key_id}"),
        )

    async def revoke_key(self, key_id: int, granted: Granted, note: Noting) -> ApiKey:
        """Revoke a key, at once."""
        if key_id not in {one.id for one in self.keys(granted.scope)}:
            raise RefuseInput("not_found", f"no key {key_id}")
        return await self._access.keys.revoke(key_id, also=[note(f"key:{key_id}")])

    async def _hand_out(self, account: Account, purpose: Purpose, also: Sequence[Work]) -> str:
        code, now_ms = new_code(), self._clock.wall_ms()
        emptied: dict[str, Any] = {"password": None, "second_factor": None, "recovery": ()}
        await self._access.accounts.change(
            account.id,
            lambda c: keep_code(c, code, purpose, account.id, now_ms),
            *also,
            **emptied,
        )
        return code

    def _organisation(self, organisation_id: str, scope: Scope) -> Organisation:
        found = self._organisations.peek(organisation_id)
        admitted = scope.everything or organisation_id in scope.organisations
        if found is None or not admitted:
            raise RefuseInput("not_found", f"no organisation {organisation_id[:40]!r}")
        return found

    def _check_gift(
        self,
        organisation: Organisation,
        roles: Sequence[str],
        districts: Sequence[str] | None,
        categories: Sequence[str] | None,
        scope: Scope,
    ) -> None:
        """Refuse roles and places that the organisation has not, or the caller may not give."""
        allowed = allowed_roles(organisation.kind)
        for role in roles:
            if role not in allowed or (role == "administrator" and not scope.everything):
                raise RefuseInput("forbidden", f"roles: {role[:40]!r} is not held there")
        for what, asked, wide in (
            ("districts", districts, organisation.districts),
            ("categories", categories, organisation.categories),
        ):
            if asked is not None and (not asked or (wide and not set(asked) <= set(wide))):
                raise RefuseInput("forbidden", f"{what}: expected some of the organisation's own")


def _kept_up(organisation_id: str, role: str) -> Work:
    """Return what refuses a change after which nobody active holds a role.

    It looks at what the transaction has written, and two such changes take turns: else two who
    shut each other out at the same moment would leave nobody.
    """

    def check(connection: Connection) -> None:
        take_turn(connection, f"keepers {organisation_id}")
        here = account_table.c.organisation == organisation_id, account_table.c.state == "active"
        held = connection.execute(select(account_table.c.roles).where(*here)).scalars()
        if not any(role in msgspec.json.decode(roles) for roles in held):
            raise RefuseInput("last_keeper", f"nobody else is {role} there: hand over first")

    return check


def _holds(account: Account, role: str) -> bool:
    return account.state == "active" and role in account.roles


def admits(scope: Scope, account: Account) -> bool:
    """Tell whether an account is within a scope."""
    own = account.organisation in scope.organisations or account.id == scope.account
    return scope.everything or own
