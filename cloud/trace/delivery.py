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

from cloud.model.database import Database
from cloud.model.principal import Scope
from cloud.outbound.base import Answer, Outbound
from cloud.trace.base import StoredEvent, TraceStore
from cloud.trace.due import Changed, Reader, Write, halved, is_due, moved
from cloud.trace.query.base import QueryFault
from cloud.trace.subscription_rows import Standing, active, advance
from cloud.trace.subscriptions import Seal
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
        rights: Callable[[str, int | None], Scope],
        reader: Reader,
        write: Write,
    ) -> None:
        """Build it.

        Args:
            database: the state.
            store: the events.
            outbound: calls out.
            seal: opens secrets.
            clock: for retries.
            rights: how far a principal's reading reaches now.
            reader: reads what is to be sent.
            write: writes what is sent.

        """
        self._database, self._store, self._outbound = database, store, outbound
        self._seal, self._clock, self._rights = seal, clock, rights
        self._reader, self._write = reader, write
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
        changed = self._reader.begun(standing, head_no)
        return await self._moved(standing, changed) if changed else standing

    async def _send_page(self, standing: Standing, head_no: int) -> Standing | None:
        one = standing.subscription
        try:
            scope = self._rights(one.principal, one.account)
            page = await self._reader.page(standing, head_no, scope)
            if page.told:
                answer = await self._call(standing, page.events)
                if answer.status == 413 and len(page.events) > 1:
                    return await self._moved(standing, halved(page))
                if not 200 <= answer.status < 300:
                    raise Failed(f"answered with status {answer.status}")
        except (Failed, RefuseInput, QueryFault) as error:
            await self._failed(standing, str(error))
            return None
        well = {"failures": 0, "retry_at_ms": None, "error": ""}
        after = await self._moved(standing, {**self._reader.taken(page), **well})
        return after if page.more else None

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
        changed = {
            "failures": failures,
            "retry_at_ms": self._clock.wall_ms() + int(pause_s(failures) * 1000),
            "state": "given_up" if failures >= FAILURES_MAX else "active",
            "error": why[:ERROR_CHARS_MAX],
        }
        await self._moved(standing, changed)

    async def _moved(self, standing: Standing, changed: Changed) -> Standing | None:
        """Write how far one has come; None when it was ended meanwhile."""
        there = await self._database.write(lambda c: advance(c, standing, **changed))
        return moved(standing, changed) if there else None


def pause_s(failures: int) -> float:
    """Return how long to wait after so many failures, one after the other."""
    return float(min(PAUSE_S * 2 ** min(failures - 1, 20), PAUSE_MAX_S))


def signature(secret: str, body: bytes) -> str:
    """Return HMAC-SHA-256 of a body, in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
