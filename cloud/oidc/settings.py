"""A department's own sign-on, as the settings file says it."""

from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
Title = Annotated[str, Meta(min_length=1, max_length=60)]
Role = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sign-on. Register BASE_URL/login/with/ID/back with it as the only redirect URI."""

    id: Id
    title: Title
    title_zh: Title
    issuer: Annotated[str, Meta(max_length=200)]
    """Exactly as its discovery document says; https, but for trials on the loopback."""
    client_id: Annotated[str, Meta(min_length=1, max_length=200)]
    client_secret_file: str
    organisation: Id
    """Whose people it knows."""
    create_accounts: bool = False
    """Whether somebody whose claim gives them a role comes in without an account made before.
    Their roles then follow the claim each time they come in."""
    role_claim: Annotated[str, Meta(max_length=100)] = ""
    """Claim of the ID token, a text or a list of them, such as `groups`."""
    roles: dict[str, tuple[Role, ...]] = {}
    """Roles by value of the claim."""
    scopes: tuple[Annotated[str, Meta(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+\Z")], ...] = (
        "openid",
        "profile",
    )

    def __post_init__(self) -> None:
        """Refuse what would not be safe, or would let nobody in."""
        parts = urlsplit(self.issuer)
        safe = parts.scheme == "https" or (parts.scheme, parts.hostname in LOOPBACK) == (
            "http",
            True,
        )
        if not safe or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"issuer: an https URL; found {self.issuer!r}")
        if self.create_accounts and not (self.role_claim and self.roles):
            raise ValueError("role_claim and roles, for create_accounts; found none")
        if "openid" not in self.scopes:
            raise ValueError(f"openid among the scopes; found {self.scopes!r}")


def check_providers(providers: tuple[Provider, ...], known_roles: frozenset[str]) -> None:
    """Refuse the same id or issuer twice, and roles that there are not; ValueError."""
    for names in ([one.id for one in providers], [one.issuer for one in providers]):
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"each sign-on once; found {sorted(twice)}")
    asked = {role for one in providers for roles in one.roles.values() for role in roles}
    if asked - known_roles:
        raise ValueError(f"roles of roles.toml; found {sorted(asked - known_roles)}")
