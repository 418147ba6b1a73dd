"""The repository's events in the state database."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

from cloud.model.database import Database, Work
from cloud.model.principal import Scope
from cloud.trace.base import (
    Behaviour,
    Captured,
    EventPage,
    Listing,
    NamedQuery,
    Position,
    StoredEvent,
    Then,
)
from cloud.trace.events import events_of_id
from cloud.trace.insert import Conflicted, Insertion, head_of, write_master
from cloud.trace.listings import list_values
from cloud.trace.named import delete_query, find_query, list_queries, put_query
from cloud.trace.numbers import Memory
from cloud.trace.parties import put_party
from cloud.trace.prepare import prepare
from cloud.trace.query.base import EventQuery
from cloud.trace.query.find import find_page
from protocols.epcis.document import MasterElement
from protocols.epcis.event import Event
from protocols.epcis.standard import Standard
from protocols.errors import RefuseInput


class SqlTraceStore:
    """A `TraceStore`."""

    def __init__(self, database: Database, *, standard: Standard) -> None:
        self._database, self._standard = database, standard
        self._memory = Memory()

    async def capture(
        self,
        events: Sequence[Event],
        *,
        organisation: str,
        recorded_at_us: int,
        behaviour: Behaviour = "rollback",
        job: int | None = None,
        master: Sequence[MasterElement] = (),
        then: Then | None = None,
        also: Sequence[Work] = (),
    ) -> list[Captured]:
        """See `TraceStore`."""
        ready = await asyncio.to_thread(prepare, events, self._standard)

        def work(connection: Connection) -> tuple[list[Captured], Insertion]:
            insertion = Insertion(connection, self._memory, organisation)
            outcomes = insertion.write(ready, at_us=recorded_at_us, behaviour=behaviour, job=job)
            write_master(connection, organisation, master)
            if then is not None:
                then(connection, outcomes)
            return outcomes, insertion

        try:
            outcomes, insertion = await self._database.write(work, *also)
        except Conflicted as conflicted:
            return conflicted.outcomes
        insertion.numbers.committed()
        return outcomes

    async def find(
        self, query: EventQuery, *, scope: Scope, after: Position | None = None, limit: int
    ) -> EventPage:
        """See `TraceStore`."""
        return await self._database.read(
            lambda connection: find_page(connection, query, self._standard, scope, after, limit)
        )

    async def event(self, event_id: str, *, scope: Scope) -> list[StoredEvent]:
        """See `TraceStore`."""
        return await self._database.read(lambda c: events_of_id(c, event_id, scope))

    async def listing(
        self, kind: Listing, *, scope: Scope, after: str = "", limit: int
    ) -> list[str]:
        """See `TraceStore`."""
        return await self._database.read(lambda c: list_values(c, kind, scope, after, limit))

    async def head(self) -> tuple[int, int]:
        """See `TraceStore`."""
        return await self._database.read(head_of)

    async def put_party(
        self, organisation: str, identifier: str, *, also: Sequence[Work] = ()
    ) -> None:
        """See `TraceStore`."""
        await self._database.write(lambda c: put_party(c, organisation, identifier), *also)

    async def put_query(self, query: NamedQuery, *, also: Sequence[Work] = ()) -> None:
        """See `TraceStore`."""
        await self._database.write(lambda c: put_query(c, query), *also)

    async def get_query(self, organisation: str, name: str) -> NamedQuery:
        """See `TraceStore`."""
        found = await self._database.read(lambda c: find_query(c, organisation, name))
        if found is None:
            raise RefuseInput("not_found", name)
        return found

    async def queries(self, organisation: str, *, after: str = "", limit: int) -> list[NamedQuery]:
        """See `TraceStore`."""
        return await self._database.read(lambda c: list_queries(c, organisation, after, limit))

    async def delete_query(
        self, organisation: str, name: str, *, also: Sequence[Work] = ()
    ) -> None:
        """See `TraceStore`."""
        await self._database.write(lambda c: delete_query(c, organisation, name), *also)
