"""An organisation, and what is asked of it."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

OrganisationState = Literal["applied", "active", "refused", "suspended", "left"]
Step = Literal["confirm", "refuse", "suspend", "resume", "leave"]
Quota = Literal["assets_max", "accounts_max", "keys_max", "devices_max"]
Count = Annotated[int, Meta(ge=0, le=10_000_000)]

PLATFORM = "platform"
"""Of the administrators; always there."""
OPEN_STATES: tuple[OrganisationState, ...] = ("applied", "active", "suspended")
"""Only one organisation in these has a credit code."""


class Contact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to call: personal data."""

    name: str = ""
    phone: str = ""

    def __bool__(self) -> bool:
        """Tell whether there is anything in it."""
        return bool(self.name or self.phone)


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation's file says of it, besides how it came in."""

    kind: str
    """As in firmware_config/access/organisation_kinds.toml."""
    name: str
    credit_code: str | None = None
    """GB 32100."""
    department: str | None = None
    """As in departments.toml."""
    districts: tuple[str, ...] = ()
    """Empty: the whole city."""
    categories: tuple[str, ...] = ()
    """Empty: all of them."""
    contact: Contact = Contact()
    quotas: Mapping[Quota, Count] = {}
    """Where they differ from those of the kind."""
    tolerances: str = "standard"
    """What its trace documents are held to, as in firmware_config/epcis/tolerances."""


class Organisation(Details, frozen=True, kw_only=True):
    """An organisation as it stands."""

    id: str
    state: OrganisationState
    applied_at: int
    """ms since 1970, as all times."""
    decided_at: int | None = None
    decided_by: str | None = None
    """Id of a principal."""
    reason: str = ""
    """Why it was refused or suspended."""
    repeated: int = 0
    """So often somebody asked again to be let in with its credit code."""
    repeated_at: int | None = None
    left_at: int | None = None
    updated_at: int = 0


class Application(Details, frozen=True, kw_only=True):
    """A firm that asks to be let in, and its first manager."""

    username: str
    """As wished; the credit code in lower case where it is taken."""
    password: str
