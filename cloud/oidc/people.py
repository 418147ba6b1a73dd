"""Whose account it is that a sign-on speaks of; made here when the settings let it."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from cloud.model import tables
from cloud.model.audit import Entry
from cloud.model.database import take_turn
from cloud.model.people_tables import account, identity, one_time_code, organisation
from cloud.model.permissions import load_roles
from cloud.oidc.settings import Provider
from protocols.errors import RefuseInput

PURPOSE = "sign_on_state"
SECRET_NAME = "sign_on"  # noqa: S105  # the name of the row, not what is in it
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,30}\Z")
NAME_CHARS_MAX = 100
CALL = "me.write"
"""Under which the audit keeps who came in."""


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
    roles = {role for value in values if isinstance(value, str) for role in _roles(provider, value)}
    username = claims.get("preferred_username")
    name = claims.get("name")
    return Person(
        issuer=provider.issuer,
        subject=claims["sub"],
        name=" ".join(name.split())[:NAME_CHARS_MAX] if isinstance(name, str) else "",
        username=username.lower() if isinstance(username, str) else "",
        roles=tuple(sorted(roles)),
    )


def use_state(connection: Connection, state: str, expires_at: int, now_ms: int) -> None:
    """Note that a state was brought back, to whatever process; RefuseInput `bad_state`: again."""
    digest = hashlib.sha256(state.encode()).hexdigest()
    take_turn(connection, PURPOSE)
    old = one_time_code.c.purpose == PURPOSE, one_time_code.c.expires_at < now_ms
    connection.execute(delete(one_time_code).where(*old))
    if connection.execute(select(one_time_code).where(one_time_code.c.sha256 == digest)).first():
        raise RefuseInput("bad_state", "that was used")
    row = {"sha256": digest, "purpose": PURPOSE, "account": 0, "detail": "{}"}
    times = {"created_at": now_ms, "used_at": now_ms, "expires_at": expires_at}
    connection.execute(insert(one_time_code).values(**row, **times))


def admit(
    connection: Connection, provider: Provider, person: Person, now_ms: int
) -> tuple[int, list[Entry]]:
    """Return the account of a person, made or brought up to date if the settings say so.

    The entries tell the audit what was changed.

    Raises:
        RefuseInput: `not_linked`.

    """
    found = connection.execute(
        select(account)
        .join(identity, identity.c.account == account.c.id)
        .where(identity.c.issuer == person.issuer, identity.c.subject == person.subject)
    ).first()
    if found is None:
        return _make(connection, provider, person, now_ms)
    account_id = int(found.id)
    if not _follows_claim(provider, found):
        return account_id, []
    roles = _allowed(connection, provider, person)
    if tuple(sorted(json.loads(found.roles))) == roles:
        return account_id, []
    changed = update(account).where(account.c.id == account_id)
    connection.execute(changed.values(roles=json.dumps(roles), updated_at=now_ms))
    return account_id, [entry(provider, account_id, now_ms, "changed", roles=roles)]


def link(
    connection: Connection,
    provider: Provider,
    person: Person,
    account_id: int,
    now_ms: int,
) -> tuple[int, list[Entry]]:
    """Let an account, signed in already, come in by this identity from now on.

    Raises:
        RefuseInput: `not_linked` when the identity is another account's.

    """
    where = identity.c.issuer == person.issuer, identity.c.subject == person.subject
    found = connection.execute(select(identity).where(*where)).first()
    if found is not None and found.account != account_id:
        raise RefuseInput("not_linked", "that identity belongs to another account")
    if found is not None:
        return account_id, []
    _insert_identity(connection, person, account_id, now_ms)
    return account_id, [entry(provider, account_id, now_ms, "linked")]


def entry(provider: Provider, account_id: int, now_ms: int, state: str, **detail: Any) -> Entry:
    """Return what tells the audit of something that an account did by its sign-on."""
    return Entry(
        recorded_at=now_ms,
        by=f"account:{account_id}",
        organisation=provider.organisation,
        call=CALL,
        subject=f"account:{account_id}",
        detail={"state": state, "sign_on": provider.id, **detail},
    )


def flow_secret(connection: Connection) -> bytes:
    """Return what signs the cookies of those under way, the same in every process."""
    take_turn(connection, SECRET_NAME)
    secret = tables.secret
    row = connection.execute(select(secret.c.value).where(secret.c.name == SECRET_NAME)).first()
    if row is not None:
        return bytes(row.value)
    value = secrets.token_bytes(32)
    connection.execute(insert(secret).values(name=SECRET_NAME, value=value))
    return value


def _roles(provider: Provider, value: str) -> tuple[str, ...]:
    return provider.roles.get(value, ())


def _follows_claim(provider: Provider, row: Any) -> bool:
    """Tell whether an account's roles are the sign-on's to say: one that was made by it is."""
    own = row.organisation == provider.organisation and row.password is None
    return provider.create_accounts and own and row.username.endswith(f"@{provider.id}")


def _allowed(connection: Connection, provider: Provider, person: Person) -> tuple[str, ...]:
    """Return the roles that may be held in the organisation; `not_linked` when none is left."""
    where = organisation.c.id == provider.organisation, organisation.c.state == "active"
    found = connection.execute(select(organisation.c.kind).where(*where)).first()
    known = load_roles()
    roles = tuple(one for one in person.roles if found and found.kind in known[one].held_in)
    if not roles:
        raise RefuseInput("not_linked", "the sign-on gives no role here")
    return roles


def _make(
    connection: Connection, provider: Provider, person: Person, now_ms: int
) -> tuple[int, list[Entry]]:
    if not provider.create_accounts:
        raise RefuseInput("not_linked", "no account is linked with that")
    roles = _allowed(connection, provider, person)
    row = {
        "username": _username(connection, provider, person),
        "name": person.name or person.username or provider.title,
        "organisation": provider.organisation,
        "roles": json.dumps(roles),
        "recovery": "[]",
        "state": "active",
        "failures": 0,
        "created_at": now_ms,
        "updated_at": now_ms,
    }
    made = connection.execute(insert(account).values(**row)).inserted_primary_key
    assert made is not None  # noqa: S101  # an insert of one row gives its key
    account_id = int(made[0])
    _insert_identity(connection, person, account_id, now_ms)
    return account_id, [entry(provider, account_id, now_ms, "made", roles=roles)]


def _username(connection: Connection, provider: Provider, person: Person) -> str:
    """Return a name of its own: one of a sign-on holds an @, which no name chosen here does."""
    if _USERNAME.match(person.username):
        wanted = f"{person.username}@{provider.id}"
        if not connection.execute(select(account.c.id).where(account.c.username == wanted)).first():
            return wanted
    digest = hashlib.sha256(f"{person.issuer}\n{person.subject}".encode()).hexdigest()
    return f"{digest[:16]}@{provider.id}"


def _insert_identity(connection: Connection, person: Person, account_id: int, now_ms: int) -> None:
    row = {"issuer": person.issuer, "subject": person.subject, "account": account_id}
    connection.execute(insert(identity).values(**row, created_at=now_ms))
