"""What of a subscription is to be sent now, and how far it has come when that was taken.

The same for both ways of sending: to an address, and over an open connection.
"""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any, Protocol

import msgspec

from cloud.model.principal import Scope
from cloud.trace.base import Formats, Position, StoredEvent, TraceStore
from cloud.trace.query.base import EventQuery, Order, Time
from cloud.trace.schedule import read_schedule
from cloud.trace.subscription_rows import Standing
from cloud.trace.subscriptions import first_run
from protocols.clock import Clock

Changed = Mapping[str, Any]
"""Columns of a subscription and their new values."""


class Write(Protocol):
    """Writes what is sent; blocking."""

    def __call__(self, events: list[StoredEvent], standing: Standing, *, created_us: int) -> bytes:
        """Return an EPCISQueryDocument in JSON."""
        ...


class Page(msgspec.Struct, frozen=True):
    """The next events of a subscription."""

    events: list[StoredEvent]
    passed: int
    """Number of the event up to which all is settled when these were taken."""
    more: bool
    """Others follow at once."""
    told: bool
    """They are sent; False: there are none, and nobody asked to hear of that."""


class Reader:
    """Reads pages of subscriptions."""

    def __init__(
        self,
        store: TraceStore,
        *,
        clock: Clock,
        zone: tzinfo,
        read_query: Callable[[Any], EventQuery],
    ) -> None:
        """Build it.

        Args:
            store: the events.
            clock: for runs.
            zone: whose clock schedules go by.
            read_query: reads a named query; QueryFault.

        """
        self._store, self._clock, self._zone = store, clock, zone
        self._read_query = read_query

    def begun(self, standing: Standing, head_no: int) -> Changed:
        """Return what changes when one begins; of a run, up to where it goes.

        So what is tried again is the same.
        """
        fields = standing.subscription.schedule
        if not fields or standing.due_no is not None:
            return {}
        next_at_ms = first_run(read_schedule(fields), self._clock.wall_ms(), self._zone)
        return {"due_no": head_no, "next_at_ms": next_at_ms}

    async def page(self, standing: Standing, head_no: int, scope: Scope) -> Page:
        """Return the next events.

        Args:
            standing: a subscription that has begun.
            head_no: number of the newest event.
            scope: how far the subscriber's reading reaches.

        Raises:
            RefuseInput: `not_found`: the query is gone.
            QueryFault: it can no more be carried out.

        """
        bound = standing.due_no if standing.due_no is not None else head_no
        query = await self._query(standing)
        after = Position(bound, (standing.passed_no,))
        page = await self._store.find(query, scope=scope, after=after, limit=standing.batch)
        asked = standing.due_no is not None and standing.subscription.report_if_empty
        more = page.next is not None
        passed = page.events[-1].event_no if more else bound
        return Page(page.events, passed, more, bool(page.events) or asked)

    def taken(self, page: Page) -> Changed:
        """Return what changes when a page was taken."""
        changed: dict[str, Any] = {"passed_no": page.passed}
        if page.events:
            changed["min_record_us"] = page.events[-1].record_time_us
            changed["notified_at_ms"] = self._clock.wall_ms()
        if not page.more:
            changed["due_no"] = None
        return changed

    async def _query(self, standing: Standing) -> EventQuery:
        one = standing.subscription
        kept = await self._store.get_query(one.organisation, one.query_name)
        conditions = self._read_query(kept.query).conditions
        if one.initial_us is not None:
            conditions += (Time("record_time", "GE", one.initial_us),)
        return EventQuery(conditions=conditions, order=Order())


def is_due(standing: Standing, head_no: int, now_ms: int) -> bool:
    """Tell whether something may have to be sent now."""
    if standing.retry_at_ms is not None and standing.retry_at_ms > now_ms:
        return False
    if not standing.subscription.schedule:
        return standing.passed_no < head_no
    waiting = standing.next_at_ms is not None and standing.next_at_ms <= now_ms
    return standing.due_no is not None or waiting


def halved(page: Page) -> Changed:
    """Return what changes when a page was too large to be sent."""
    return {"batch": max(1, len(page.events) // 2)}


def moved(standing: Standing, changed: Changed) -> Standing:
    """Return a subscription with what changed of how far it has come."""
    known = {name: value for name, value in changed.items() if hasattr(standing, name)}
    return msgspec.structs.replace(standing, **known)


def formats_of(standing: Standing) -> Formats:
    """Return how a subscriber wants events written."""
    return Formats(standing.subscription.epc_format)
