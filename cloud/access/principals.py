"""What an account amounts to: who it is, and what it may, in its organisation as that stands."""

from collections.abc import Iterable

from cloud.model.account import Account, by_text
from cloud.model.organisation import Organisation
from cloud.model.permissions import Reach, load_roles, permissions
from cloud.model.principal import Principal

OWN_ACCOUNT = "account.use"
"""The one call of somebody who has yet to set up the second factor that the role asks for."""


def principal_of(
    account: Account, organisation: Organisation | None, *, second_factor: bool
) -> Principal | None:
    """Return whom an account stands for, None when it may not come in.

    `second_factor`: whether it was shown; without it, an account whose role asks for one may do
    nothing but set it up.
    """
    if organisation is None or organisation.state != "active" or account.state != "active":
        return None
    reach = Reach(
        organisation=organisation.id,
        districts=_narrowed(organisation.districts, account.districts),
        categories=_narrowed(organisation.categories, account.categories),
        account=account.id,
    )
    held = [role for role in account.roles if role in allowed_roles(organisation.kind)]
    principal = Principal(
        kind="account",
        id=f"account:{account.id}",
        by=by_text(account.name, account.username),
        organisation=organisation.id,
        account=account.id,
        may=permissions(held, reach),
    )
    if needs_second_factor(account.roles) and not second_factor:
        return principal.only([OWN_ACCOUNT])
    return principal


def allowed_roles(kind: str) -> frozenset[str]:
    """Return the roles that may be held in a kind of organisation."""
    return frozenset(role.id for role in load_roles().values() if kind in role.held_in)


def needs_second_factor(roles: Iterable[str]) -> bool:
    """Tell whether one of these roles asks for a second factor."""
    known = load_roles()
    return any(known[role].second_factor for role in roles if role in known)


def _narrowed(wide: tuple[str, ...], narrow: tuple[str, ...] | None) -> frozenset[str] | None:
    """Intersect; an empty list of an organisation, like a missing one of an account, is all."""
    bounds = [frozenset(one) for one in (wide or None, narrow) if one is not None]
    return frozenset.intersection(*bounds) if bounds else None
