"""Whose account it is that a sign-on speaks of; made here when the settings let it."""

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from cloud.audit.base import Audit
from cloud.model.account import Account
from cloud.model.audit import Entry
from cloud.model.database import Database, Work, take_turn
from cloud.model.people_tables import account, identity
from cloud.model.permissions import load_roles
from cloud.oidc.base import Accounts, Organisations
from cloud.oidc.settings import Provider
from protocols.clock import Clock
from protocols.errors import RefuseInput

CALL = "account.sign_in"
"""Under which the audit keeps who came in."""
NAME_CHARS_MAX = 40
TURN = "sign_on"
"""The same person may come in twice at once, in two processes."""
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,30}\Z")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom a sign-on has proven."""

    issuer: str
    subject: str
    name: str
    username: str
    """As the sign-on calls them; empty when it does not say."""
    roles: tuple[str, ...]
    """By their claim."""


def person_of(provider: Provider, claims: Mapping[str, Any]) -> Person:
    """Read the claims of an ID token that was verified."""
    said = claims.get(provider.role_claim) if provider.role_claim else None
    values = said if isinstance(said, list) else [said]
    texts = [value for value in values if isinstance(value, str)]
    roles = {role for value in texts for role in provider.roles.get(value, ())}
    username, name = claims.get("preferred_username"), claims.get("name")
    return Person(
        issuer=provider.issuer,
        subject=claims["sub"],
        name=" ".join(name.split())[:NAME_CHARS_MAX] if isinstance(name, str) else "",
        username=username.lower() if isinstance(username, str) else "",
        roles=tuple(sorted(roles)),
    )


class People:
    """Accounts by what sign-ons say of them. RefuseInput `not_linked` when there is none."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        organisations: Organisations,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._database, self._accounts, self._clock = database, accounts, clock
        self._organisations, self._audit = organisations, audit

    async def admit(self, provider: Provider, person: Person) -> int:
        """Return the account of a person, made or brought up to date if the settings say so."""
        account_id = await self._linked(person)
        if account_id is None:
            return await self._make(provider, person)
        found = self._accounts.get(account_id)
        if found is None or not _follows_claim(provider, found):
            return account_id
        roles = self._allowed(provider, person)
        if tuple(sorted(found.roles)) != roles:
            note = self._note(provider, f"account:{account_id}", "roles changed", roles=roles)
            await self._accounts.change(account_id, note, roles=roles)
        return account_id

    async def link(self, provider: Provider, person: Person, account_id: int) -> int:
        """Let an account, signed in already, come in by this identity from now on."""
        row = {**_key(person), "account": account_id, "created_at": self._clock.wall_ms()}
        note = self._note(provider, f"account:{account_id}", "linked")

        def work(connection: Connection) -> int | None:
            take_turn(connection, TURN)
            found = _linked(connection, person)
            if found is None:
                connection.execute(insert(identity).values(**row))
                note(connection)
            return found

        if await self._database.write(work) not in (None, account_id):
            raise RefuseInput("linked_elsewhere", "that identity belongs to another account")
        return account_id

    async def links(self, account_id: int) -> dict[str, int]:
        """Return since when an account comes in by identities of which issuers."""
        query = select(identity.c.issuer, func.min(identity.c.created_at))
        mine = query.where(identity.c.account == account_id).group_by(identity.c.issuer)
        found = await self._database.read(lambda c: c.execute(mine).all())
        return {str(issuer): int(since) for issuer, since in found}

    async def unlink(
        self, issuer: str, account_id: int, *, others: Collection[str], also: Work
    ) -> None:
        """Forget an account's identities of an issuer; `others`: issuers that are known, too."""
        mine = identity.c.account == account_id

        def work(connection: Connection) -> None:
            take_turn(connection, TURN)
            gone = delete(identity).where(mine, identity.c.issuer == issuer)
            if not connection.execute(gone).rowcount:
                raise RefuseInput("not_found", "the account is not linked with that")
            left = select(func.count()).where(mine, identity.c.issuer.in_(others))
            password = select(account.c.password).where(account.c.id == account_id)
            if not (connection.scalar(left) or connection.scalar(password)):
                raise RefuseInput("last_way", "the account has no password: nothing would be left")

        await self._database.write(work, also)

    async def _linked(self, person: Person) -> int | None:
        return await self._database.read(lambda c: _linked(c, person))

    async def _make(self, provider: Provider, person: Person) -> int:
        if not provider.create_accounts:
            raise RefuseInput("not_linked", "no account is linked with that")
        now_ms = self._clock.wall_ms()
        new = Account(
            id=0,
            username=_username(self._accounts, provider, person),
            name=person.name or person.username[:NAME_CHARS_MAX] or provider.title,
            organisation=provider.organisation,
            roles=self._allowed(provider, person),
            state="active",
            created_at=now_ms,
            updated_at=now_ms,
        )

        def linked(account_id: int) -> Work:
            note = self._note(provider, f"account:{account_id}", "made", roles=new.roles)
            row = {**_key(person), "account": account_id, "created_at": now_ms}

            def work(connection: Connection) -> None:
                take_turn(connection, TURN)
                if _linked(connection, person) is not None:  # in another process, just now
                    raise RefuseInput("not_linked", "made just now: come in once more")
                connection.execute(insert(identity).values(**row))
                note(connection)

            return work

        room = self._organisations.room(provider.organisation, "accounts_max")
        return (await self._accounts.add(new, room, note=linked)).id

    def _allowed(self, provider: Provider, person: Person) -> tuple[str, ...]:
        """Return the roles that may be held in the organisation; `not_linked` if none is left."""
        found, known = self._organisations.peek(provider.organisation), load_roles()
        kind = found.kind if found is not None and found.state == "active" else ""
        roles = tuple(one for one in person.roles if kind in known[one].held_in)
        if not roles:
            raise RefuseInput("not_linked", "the sign-on gives no role here")
        return roles

    def _note(self, provider: Provider, subject: str, what: str, **detail: Any) -> Work:
        entry = Entry(
            recorded_at=self._clock.wall_ms(),
            by=f"sign-on:{provider.id}",
            organisation=provider.organisation,
            call=CALL,
            subject=subject,
            detail={"what": what, **detail},
        )
        return self._audit.noted(entry)


def _linked(connection: Connection, person: Person) -> int | None:
    where = [identity.c[name] == value for name, value in _key(person).items()]
    found = connection.execute(select(identity.c.account).where(*where)).scalar()
    return None if found is None else int(found)


def _key(person: Person) -> dict[str, str]:
    return {"issuer": person.issuer, "subject": person.subject}


def _follows_claim(provider: Provider, one: Account) -> bool:
    """Tell whether an account's roles are the sign-on's to say: of one that it made they are."""
    own = one.organisation == provider.organisation and one.password is None
    return provider.create_accounts and own and one.username.endswith(f"@{provider.id}")


def _username(accounts: Accounts, provider: Provider, person: Person) -> str:
    """Return a name of its own: one of a sign-on holds an @, which no name chosen here does."""
    if _USERNAME.match(person.username):
        wanted = f"{person.username}@{provider.id}"
        if accounts.named(wanted) is None:
            return wanted
    digest = hashlib.sha256(f"{person.issuer}\n{person.subject}".encode()).hexdigest()
    return f"{digest[:16]}@{provider.id}"
