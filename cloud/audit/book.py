"""Writes the audit and reads it."""

from collections.abc import Collection, Mapping

from cloud.audit.find import find
from cloud.model.audit import Entry, append, entry_of
from cloud.model.audited import AuditPage, AuditQuery
from cloud.model.database import Database, Work
from cloud.model.principal import Granted
from protocols.clock import Clock

HOUR_MS = 3_600_000
LOOKS_MAX = 100_000
"""Remembered of one hour; beyond it all are forgotten, and looks are noted once more."""


class AuditBook:
    """The audit of a state database. Not thread-safe: it lives on the event loop."""

    def __init__(self, database: Database, clock: Clock, key: bytes) -> None:
        self._database, self._clock, self._key = database, clock, key
        self._hour = 0
        self._looks: set[tuple[str, str, str]] = set()
        """What was noted in this hour: principal, call, subject."""

    def noted(self, *entries: Entry) -> Work:
        """Return what writes entries, for the transaction that does what they tell of."""
        return lambda connection: append(connection, self._key, *entries)

    async def note(self, *entries: Entry) -> None:
        """Write entries in a transaction of their own; durable on return.

        Raises:
            RetryLater: the database is away.

        """
        await self._database.write(self.noted(*entries))

    async def look(self, granted: Granted, shown: Mapping[str, Collection[str]]) -> None:
        """Note that somebody is shown personal data, before they are.

        One entry for a principal, call and subject in an hour is enough: who follows an alarm asks
        every few seconds.

        Args:
            granted: the call that shows them.
            shown: names of fields, by subject.

        Raises:
            RetryLater: the database is away.

        """
        now_ms, who, call = self._clock.wall_ms(), granted.principal.id, granted.call
        hour = now_ms // HOUR_MS
        if hour != self._hour or len(self._looks) > LOOKS_MAX:
            self._hour = hour
            self._looks.clear()
        new = [subject for subject in shown if (who, call, subject) not in self._looks]
        if new:
            await self.note(
                *(
                    entry_of(granted, now_ms, subject, shown=sorted(shown[subject]))
                    for subject in new
                )
            )
            self._looks.update((who, call, subject) for subject in new)

    async def find(self, query: AuditQuery) -> AuditPage:
        """Return entries that the scope of the query admits, the newest first."""
        return await self._database.read(lambda connection: find(connection, query))
