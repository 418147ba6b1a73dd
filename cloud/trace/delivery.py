"""Sending what subscriptions ask for: at least once, in the order of record.

The repository itself is the outbox: a subscription keeps the number up to which all was answered
with success, so after any end of the process it goes on there. An address that fails is tried
again ever more rarely, and given up in the end; nobody else waits for it.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable
from datetime import tzinfo
from typing import Any, Protocol

import msgspec

from cloud.model.database import Database
from cloud.model.principal import Scope
from cloud.outbound.base import Answer, Outbound
from cloud.trace.base import Formats, Position, StoredEvent, TraceStore
from cloud.trace.query.base import EventQuery, Order, QueryFault, Time
from cloud.trace.schedule import read_schedule
from cloud.trace.subscription_rows import Standing, active, advance
from cloud.trace.subscriptions import Seal, first_run
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger(__name__)
POLL_S = 1.0
AT_ONCE = 8
"""Addresses called at the same time."""
FAILURES_MAX = 36
"""One after the other; with the pauses between them about a day."""
PAUSE_S, PAUSE_MAX_S = 2.0, 3600.0
ERROR_CHARS_MAX = 200


class Write(Protocol):
    """Writes what is sent; blocking."""

    def __call__(self, events: list[StoredEvent], standing: Standing, *, created_us: int) -> bytes:
        """Return an EPCISQueryDocument in JSON."""
        ...


class Failed(Exception):
    """The address did not take it."""


class Deliveries:
    """Sends until cancelled; one process at a time may."""

    def __init__(
        self,
        database: Database,
        store: TraceStore,
        *,
        outbound: Outbound,
        seal: Seal,
        clock: Clock,
        zone: tzinfo,
        rights: Callable[[str, int | None], Scope],
        read_query: Callable[[Any], EventQuery],
        write: Write,
    ) -> None:
        """Build it.

        Args:
            database: the state.
            store: the events.
            outbound: calls out.
            seal: opens secrets.
            clock: for runs and retries.
            zone: whose clock schedules go by.
            rights: how far a principal's reading reaches now.
            read_query: reads a named query; QueryFault.
            write: writes what is sent.

        """
        self._database, self._store, self._outbound = database, store, outbound
        self._seal, self._clock, self._zone, self._rights = seal, clock, zone, rights
        self._read_query, self._write = read_query, write
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Look for what is due, until cancelled."""
        while True:
            try:
                await self.look()
            except RetryLater as error:
                logger.warning("subscriptions wait: %s", error)
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Send whatever is due now."""
        head_no, _ = await self._store.head()
        now_ms = self._clock.wall_ms()
        standing = await self._database.read(active)
        due = [one for one in standing if is_due(one, head_no, now_ms)]
        async with asyncio.TaskGroup() as group:
            for one in due:
                group.create_task(self._serve(one, head_no))

    async def _serve(self, standing: Standing, head_no: int) -> None:
        async with self._turns:
            try:
                await self._send_all(standing, head_no)
            except RetryLater as error:  # ours: the database is away
                logger.warning("subscription waits: %s", error)

    async def _send_all(self, standing: Standing, head_no: int) -> None:
        begun = await self._begun(standing, head_no)
        while begun is not None:
            begun = await self._send_page(begun, head_no)

    async def _begun(self, standing: Standing, head_no: int) -> Standing | None:
        """Fix up to where a scheduled run goes, so that a retry sends the same."""
        fields = standing.subscription.schedule
        if not fields or standing.due_no is not None:
            return standing
        now_ms = self._clock.wall_ms()
        next_at_ms = first_run(read_schedule(fields), now_ms, self._zone)
        return await self._moved(standing, due_no=head_no, next_at_ms=next_at_ms)

    async def _send_page(self, standing: Standing, head_no: int) -> Standing | None:
        one = standing.subscription
        bound = standing.due_no if standing.due_no is not None else head_no
        try:
            query = await self._query(standing)
            scope = self._rights(one.principal, one.account)
            after = Position(bound, (standing.passed_no,))
            limit = standing.batch
            page = await self._store.find(query, scope=scope, after=after, limit=limit)
            if page.events or (standing.due_no is not None and one.report_if_empty):
                answer = await self._call(standing, page.events)
                if answer.status == 413 and len(page.events) > 1:
                    return await self._moved(standing, batch=max(1, len(page.events) // 2))
                if not 200 <= answer.status < 300:
                    raise Failed(f"answered with status {answer.status}")
        except (Failed, RefuseInput, QueryFault) as error:
            await self._failed(standing, str(error))
            return None
        more = page.next is not None
        passed = page.events[-1].event_no if more else bound
        return await self._passed(standing, passed, page.events, more=more)

    async def _passed(
        self, standing: Standing, passed: int, events: list[StoredEvent], *, more: bool
    ) -> Standing | None:
        changed: dict[str, Any] = {
            "passed_no": passed,
            "failures": 0,
            "retry_at_ms": None,
            "error": "",
        }
        if events:
            changed["min_record_us"] = events[-1].record_time_us
            changed["notified_at_ms"] = self._clock.wall_ms()
        if not more:
            changed["due_no"] = None
        moved = await self._moved(standing, **changed)
        return moved if more else None

    async def _query(self, standing: Standing) -> EventQuery:
        one = standing.subscription
        kept = await self._store.get_query(one.organisation, one.query_name)
        query = self._read_query(kept.query)
        conditions = query.conditions
        if one.initial_us is not None:
            conditions += (Time("record_time", "GE", one.initial_us),)
        return EventQuery(conditions=conditions, order=Order())

    async def _call(self, standing: Standing, events: list[StoredEvent]) -> Answer:
        now_us = self._clock.wall_ms() * 1000
        body = await asyncio.to_thread(self._write, events, standing, created_us=now_us)
        headers = {"Content-Type": "application/json"}
        if standing.sealed:
            headers["GS1-Signature"] = signature(self._seal.open(standing.sealed), body)
        try:
            return await self._outbound.fetch(
                standing.subscription.dest, method="POST", headers=headers, content=body
            )
        except RetryLater as error:
            raise Failed(str(error)) from error

    async def _failed(self, standing: Standing, why: str) -> None:
        failures = standing.failures + 1
        await self._moved(
            standing,
            failures=failures,
            retry_at_ms=self._clock.wall_ms() + int(pause_s(failures) * 1000),
            state="given_up" if failures >= FAILURES_MAX else "active",
            error=why[:ERROR_CHARS_MAX],
        )

    async def _moved(self, standing: Standing, **changed: Any) -> Standing | None:
        """Write how far one has come; None when it was ended meanwhile."""
        there = await self._database.write(lambda c: advance(c, standing, **changed))
        known = {name: value for name, value in changed.items() if hasattr(standing, name)}
        return msgspec.structs.replace(standing, **known) if there else None


def is_due(standing: Standing, head_no: int, now_ms: int) -> bool:
    """Tell whether something may have to be sent now."""
    if standing.retry_at_ms is not None and standing.retry_at_ms > now_ms:
        return False
    if not standing.subscription.schedule:
        return standing.passed_no < head_no
    waiting = standing.next_at_ms is not None and standing.next_at_ms <= now_ms
    return standing.due_no is not None or waiting


def pause_s(failures: int) -> float:
    """Return how long to wait after so many failures, one after the other."""
    return float(min(PAUSE_S * 2 ** min(failures - 1, 20), PAUSE_MAX_S))


def signature(secret: str, body: bytes) -> str:
    """Return HMAC-SHA-256 of a body, in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def formats_of(standing: Standing) -> Formats:
    """Return how a subscriber wants events written."""
    return Formats(standing.subscription.epc_format)
