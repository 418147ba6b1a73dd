"""An account of a person, and what is asked of it."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cloud.model.principal import BY_CHARS_MAX

AccountState = Literal["invited", "active", "disabled", "gone"]
Username = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{2,63}\Z")]
PersonName = Annotated[str, Meta(min_length=1, max_length=40)]
Places = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=64)
]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it stands; what proves a person is in it only hashed or sealed."""

    id: int
    username: str
    name: str
    organisation: str
    roles: tuple[str, ...]
    districts: tuple[str, ...] | None = None
    """Narrower than the organisation's; None: as wide."""
    categories: tuple[str, ...] | None = None
    """The same."""
    password: str | None = None
    second_factor: str | None = None
    second_factor_step: int | None = None
    """The last step whose code was used: none counts twice."""
    recovery: tuple[str, ...] = ()
    """SHA-256 of the recovery codes that are left."""
    state: AccountState
    failures: int = 0
    """Wrong passwords and codes since it last came in."""
    locked_until: int | None = None
    """ms since 1970, as all times."""
    created_at: int
    updated_at: int
    last_in_at: int | None = None


def by_text(person: str, id_: str) -> str:
    """Write both: what the person is called, and what proves it; at most 64 characters."""
    person = " ".join(person.split())[: max(0, BY_CHARS_MAX - len(id_) - 3)]
    return f"{person} ({id_})" if person else id_[:BY_CHARS_MAX]


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a manager or an administrator lets in."""

    username: Username
    name: PersonName
    roles: Annotated[tuple[str, ...], Meta(min_length=1, max_length=8)]
    organisation: str | None = None
    """None: the caller's own."""
    districts: Places | None = None
    categories: Places | None = None


class AccountChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a manager changes of an account; what is left out stays."""

    name: PersonName | None = None
    roles: Annotated[tuple[str, ...], Meta(min_length=1, max_length=8)] | None = None
    districts: Places | UnsetType | None = UNSET
    categories: Places | UnsetType | None = UNSET
    state: Literal["active", "disabled"] | None = None

    def given(self) -> dict[str, Any]:
        """Return the fields that change."""
        fields = msgspec.structs.asdict(self)
        stays = {name: UNSET if name in ("districts", "categories") else None for name in fields}
        return {name: value for name, value in fields.items() if value is not stays[name]}


def what_changes(earlier: Account, asked: AccountChange) -> dict[str, list[str]]:
    """Return for the audit which fields a change is about, and the roles when they are others."""
    given = asked.given()
    fields = [name for name, value in given.items() if not _same(value, getattr(earlier, name))]
    return {"fields": fields} | ({"roles": list(given["roles"])} if "roles" in fields else {})


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values say the same; roles and places have no order."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return set(one) == set(other)
    return bool(one == other)


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as its owner sees it in a list."""

    id: str
    """Beginning of what it is kept by; it opens nothing."""
    opened_at: int
    seen_at: int
    here: bool = False
    """The one that asks."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a program."""

    id: int
    name: str
    account: int
    organisation: str
    calls: tuple[str, ...]
    created_at: int
    expires_at: int
    revoked_at: int | None = None
    last_used_at: int | None = None


class Handheld(msgspec.Struct, frozen=True, kw_only=True):
    """A handheld that was issued to an account."""

    id: str
    name: str
    account: int
    organisation: str
    issued_at: int
    renewed_at: int
    expires_at: int
    seen_at: int | None = None
    revoked_at: int | None = None
    revoked_by: str | None = None


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """What a handheld is told when it is issued, and when its token is renewed."""

    id: str
    token: str
    """A secret, told once; the one before it holds until this one was used."""
    expires_at: int
    renew_at: int
    """From then on it should renew its token."""
    offline_grace_s: int
    """So long it may go on working without reaching the service."""


class NewFactor(msgspec.Struct, frozen=True):
    """A second factor that waits for its first code."""

    secret: str
    """Base32, for the person's authenticator."""
    address: str
    """The same for a QR code."""
    sealed: str
    """Comes back with the first code."""
