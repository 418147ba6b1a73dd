"""Subscriptions over open connections: in memory alone, for as long as somebody reads them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import tzinfo

from cloud.model.principal import Scope
from cloud.trace.base import EpcFormat, NamedQuery, Subscription, TraceStore
from cloud.trace.due import Page, Reader, Write, halved, is_due, moved
from cloud.trace.subscription_rows import Standing
from cloud.trace.subscriptions import new_standing, new_subscription
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger(__name__)
LOOK_S = 0.5
"""Each looks so often for what is new, and whether its subscriber still may."""
QUERY_S = 10.0
"""At rest each looks so often whether its query is still there."""
AT_ONCE = 8
"""Pages read and written at the same time; others wait for their turn."""


class LiveDesk:
    """`LiveSubscriptions`."""

    def __init__(
        self,
        store: TraceStore,
        reader: Reader,
        write: Write,
        *,
        clock: Clock,
        zone: tzinfo,
    ) -> None:
        self._store, self._reader, self._write = store, reader, write
        self._clock, self._zone = clock, zone
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._looking = asyncio.Lock()
        self._head_no, self._stale_at = 0, 0.0

    async def begin(
        self,
        organisation: str,
        query_name: str,
        *,
        principal: str,
        account: int | None,
        schedule: Mapping[str, str],
        report_if_empty: bool,
        initial_us: int | None,
        epc_format: EpcFormat,
        document_bytes: int,
        rights: Callable[[], Scope],
    ) -> "LiveSubscription":
        """See `LiveSubscriptions`."""
        query = await self._store.get_query(organisation, query_name)
        head_no = await self._newest(at_once=True)
        one = new_subscription(
            organisation,
            query_name,
            now_ms=self._clock.wall_ms(),
            principal=principal,
            account=account,
            dest="",
            schedule=schedule,
            report_if_empty=report_if_empty,
            initial_us=initial_us,
            epc_format=epc_format,
        )
        standing = new_standing(one, sealed="", head_no=head_no, zone=self._zone)
        return LiveSubscription(self, query, standing, rights, document_bytes)

    async def check(self, query: NamedQuery) -> None:
        """Refuse a query that was deleted, made anew or not; RefuseInput `not_found`."""
        if await self._store.get_query(query.organisation, query.name) != query:
            raise RefuseInput("not_found", query.name)

    async def due(self, standing: Standing) -> Standing | None:
        """Return a subscription begun, None as long as nothing may have to be sent."""
        head_no = await self._newest()
        if not is_due(standing, head_no, self._clock.wall_ms()):
            return None
        return moved(standing, self._reader.begun(standing, head_no))

    async def page(self, standing: Standing, scope: Scope) -> tuple[Page, bytes]:
        """Return the next events, and the document that tells them."""
        async with self._turns:
            page = await self._reader.page(standing, await self._newest(), scope)
            if not page.told:
                return page, b""
            now_us = self._clock.wall_ms() * 1000
            write, events = self._write, page.events
            return page, await asyncio.to_thread(write, events, standing, created_us=now_us)

    def taken(self, standing: Standing, page: Page) -> Standing:
        """Return a subscription whose reader took a page."""
        return moved(standing, self._reader.taken(page))

    async def _newest(self, *, at_once: bool = False) -> int:
        """Return the number of the newest event, looked up once for all who ask about now.

        `at_once`: it is the newest now. Nobody is told an older one afterwards, so that no run
        goes back behind where its subscription began.
        """
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if at_once or now >= self._stale_at:
                self._head_no, _ = await self._store.head()
                self._stale_at = now + LOOK_S / 2
            return self._head_no


class LiveSubscription:
    """`Live`."""

    def __init__(
        self,
        desk: LiveDesk,
        query: NamedQuery,
        standing: Standing,
        rights: Callable[[], Scope],
        document_bytes: int,
    ) -> None:
        self._desk, self._query, self._standing = desk, query, standing
        self._rights, self._document_bytes = rights, document_bytes
        self._looks = 0

    @property
    def subscription(self) -> Subscription:
        """See `Live`."""
        return self._standing.subscription

    async def documents(self) -> AsyncGenerator[bytes]:
        """See `Live`."""
        while True:
            self._rights()
            try:
                begun = await self._desk.due(self._standing)
                await self._look_at_query(begun is not None)
                if begun is not None:
                    self._standing, more = begun, True
                    while more:
                        document, more = await self._next()
                        if document:
                            yield document
            except RetryLater as error:  # nothing is lost: it goes on where it was
                logger.warning("subscription waits: %s", error)
            await asyncio.sleep(LOOK_S)

    async def _look_at_query(self, due: bool) -> None:
        self._looks += 1
        if due or self._looks >= QUERY_S / LOOK_S:
            self._looks = 0
            await self._desk.check(self._query)

    async def _next(self) -> tuple[bytes, bool]:
        """Return the next document, empty for none, and whether more follows at once."""
        page, document = await self._desk.page(self._standing, self._rights())
        if len(document) > self._document_bytes and len(page.events) > 1:
            self._standing = moved(self._standing, halved(page))
            return b"", True
        self._standing = self._desk.taken(self._standing, page)
        return document, page.more
