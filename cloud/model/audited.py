"""Entries of the audit as they are read, and what is asked for."""

from collections.abc import Sequence

import msgspec

from cloud.model.audit import Entry
from cloud.model.principal import Scope


class AuditedEntry(Entry, frozen=True, kw_only=True):
    """An entry with its place in the chain."""

    seq: int
    hash: str
    who: str
    """Name of the account as it is now; the id of the principal when it has none, or is gone."""


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries, the newest first; None: any."""

    scope: Scope
    subject: str | None = None
    by: str | None = None
    """Id of a principal, such as `account:12`; or the user name of an account."""
    organisation: str | None = None
    call: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    """Earlier than that."""
    before_seq: int | None = None
    limit: int = 100


class AuditPage(msgspec.Struct, frozen=True):
    """Entries, and where further ones are looked for."""

    entries: Sequence[AuditedEntry]
    next_seq: int | None
    """The next page is of entries before this one; None: there are none."""
