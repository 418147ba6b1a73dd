"""What others need of the audit."""

from collections.abc import Collection, Mapping
from typing import Protocol

from cloud.model.audit import Entry
from cloud.model.audited import AuditPage, AuditQuery
from cloud.model.database import Work
from cloud.model.principal import Granted


class Audit(Protocol):
    """What was done and looked at; an entry is durable before an answer tells of it."""

    def noted(self, *entries: Entry) -> Work:
        """Return what writes entries, for the transaction that does what they tell of."""
        ...

    async def note(self, *entries: Entry) -> None:
        """Write entries by themselves."""
        ...

    async def look(self, granted: Granted, shown: Mapping[str, Collection[str]]) -> None:
        """Note that these personal fields, by subject, are shown; once an hour."""
        ...

    async def find(self, query: AuditQuery) -> AuditPage:
        """Return entries that the scope of the query admits, the newest first."""
        ...
