"""Whose turn it is: each partner by itself, ever more rarely while it fails, and never given up.

One process at a time runs them. One that was replaced while it slept does no harm: every write
looks at the partner's turn (`rows.move`), and stops where another has written since.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from cloud.model.database import Database
from cloud.model.principal import NOTHING, Scope
from cloud.outbound.base import Outbound
from cloud.trace.base import Captures, TraceStore
from cloud.trace.exchange.base import Course, Partner
from cloud.trace.exchange.pull import Puller
from cloud.trace.exchange.push import Pusher, Write
from cloud.trace.exchange.remote import Failed, Repository
from cloud.trace.exchange.rows import Hand, Overtaken, any_unsettled, at_work, drop, settle
from cloud.trace.exchange.subscribe import Subscriber
from cloud.trace.query.base import EventQuery
from cloud.trace.subscriptions import Seal
from protocols.clock import Clock
from protocols.errors import RetryLater

logger = logging.getLogger(__name__)
POLL_S = 1.0
LOST_S = 10.0
"""A turn that was not brought to its end is taken again after so long."""
AT_ONCE = 8
"""Partners called at the same time."""
PAUSE_S, PAUSE_MAX_S = 2.0, 3600.0
PARTING_FAILURES_MAX = 10
"""A partner that was deleted is told so often to end our subscription; then it is forgotten."""
FAULT_CHARS_MAX = 500


class Exchange:
    """Fetches and sends until cancelled."""

    def __init__(
        self,
        database: Database,
        store: TraceStore,
        captures: Captures,
        *,
        outbound: Outbound,
        seal: Seal,
        clock: Clock,
        rng: random.Random,
        rights: Callable[[str, int | None], Scope],
        read_query: Callable[[Any], EventQuery],
        write: Write,
        base_url: str,
        guarded: Callable[[Awaitable[None]], Awaitable[None]],
    ) -> None:
        """Build it.

        Args:
            database: the state.
            store: the events.
            captures: takes what is fetched; its jobs may run in another process.
            outbound: calls out.
            seal: opens credentials.
            clock: for intervals and pauses.
            rng: spreads retries.
            rights: how far the reading of who registered a partner reaches now.
            read_query: reads a named query; QueryFault.
            write: writes what is sent.
            base_url: where partners reach us; empty: nowhere.
            guarded: carries a turn out, and decides what a defect of ours in it ends.

        """
        self._database, self._store, self._outbound = database, store, outbound
        self._seal, self._clock, self._rng, self._rights = seal, clock, rng, rights
        self._puller = Puller(database, captures, clock)
        self._pusher = Pusher(database, store, clock=clock, read_query=read_query, write=write)
        self._subscriber = Subscriber(seal, base_url)
        self._guarded = guarded
        self._turns, self._running = asyncio.Semaphore(AT_ONCE), set[str]()

    async def run(self) -> None:
        """Look for what is due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._look(group)
                except RetryLater as error:
                    logger.warning("exchange waits: %s", error)
                await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Do whatever is due now."""
        async with asyncio.TaskGroup() as group:
            await self._look(group)

    async def _look(self, group: asyncio.TaskGroup) -> None:
        now_ms = self._clock.wall_ms()
        if await self._database.read(any_unsettled):
            await self._database.write(lambda c: settle(c, now_ms))
        head_no, _ = await self._store.head()
        for partner in await self._database.read(at_work):
            if partner.partner_id not in self._running and any(due(partner, head_no, now_ms)):
                self._running.add(partner.partner_id)
                group.create_task(self._serve(partner, head_no))

    async def _serve(self, partner: Partner, head_no: int) -> None:
        try:
            async with self._turns:
                await self._guarded(self._take_turn(Hand(self._database, partner), head_no))
        except Overtaken:
            logger.info("partner %s was changed meanwhile", partner.partner_id)
        except RetryLater as error:  # ours: the database or the key is away
            logger.warning("partner %s waits: %s", partner.partner_id, error)
        finally:
            self._running.discard(partner.partner_id)

    async def _take_turn(self, hand: Hand, head_no: int) -> None:
        now_ms = self._clock.wall_ms()
        pulls, pushes = due(hand.partner, head_no, now_ms)
        later_ms = now_ms + int(LOST_S * 1000)
        at = {"pull_at_ms": later_ms} if pulls else {}
        await hand.move(**at, **({"push_at_ms": later_ms} if pushes else {}))
        partner = hand.partner
        repository = self._repository(partner)
        if partner.state == "ending":
            await self._part(hand, repository)
            return
        scope = self._rights(partner.principal, partner.account)
        if pulls:
            await self._pull(hand, repository, scope)
        if pushes:
            await self._push(hand, repository, scope, head_no)

    async def _pull(self, hand: Hand, repository: Repository, scope: Scope) -> None:
        try:
            _check_rights(scope)
            await self._subscriber.keep(hand, repository)
            await self._puller.run(hand, repository)
        except Failed as failed:
            state = hand.partner.pulling
            course = self._failed(hand.partner, "pull", state.course, failed)
            # an answer too large to be taken is asked for in smaller pages
            size = max(state.size // 2, 1) if failed.kind == "bad_answer" else state.size
            after = msgspec.structs.replace(state, course=course, size=size)
            await hand.move(pulling=after, pull_at_ms=self._again_ms(course, failed))

    async def _push(self, hand: Hand, repository: Repository, scope: Scope, head_no: int) -> None:
        try:
            _check_rights(scope)
            await self._pusher.run(hand, repository, head_no, scope)
        except Failed as failed:
            state = hand.partner.pushing
            course = self._failed(hand.partner, "push", state.course, failed)
            after = msgspec.structs.replace(state, course=course)
            await hand.move(pushing=after, push_at_ms=self._again_ms(course, failed))

    async def _part(self, hand: Hand, repository: Repository) -> None:
        """End our subscription there, and forget the partner."""
        partner = hand.partner
        course = partner.pulling.course
        try:
            if partner.subscribed.url and course.failures < PARTING_FAILURES_MAX:
                await repository.unsubscribe(partner.subscribed.url)
        except Failed as failed:
            course = self._failed(partner, "end", course, failed)
            pulling = msgspec.structs.replace(partner.pulling, course=course)
            await hand.move(pulling=pulling, pull_at_ms=self._again_ms(course, failed))
            return
        await self._database.write(lambda c: drop(c, partner))

    def _repository(self, partner: Partner) -> Repository:
        credential = {}
        if partner.header:
            credential = {partner.header: self._seal.open(partner.credential)}
        return Repository(self._outbound, partner.base, credential)

    def _failed(self, partner: Partner, what: str, course: Course, failed: Failed) -> Course:
        now_ms = self._clock.wall_ms()
        if course.failures == 0:
            logger.warning("partner %s: %s fails: %s", partner.partner_id, what, failed)
        return Course(
            success_at_ms=course.success_at_ms,
            failing_since_ms=course.failing_since_ms or now_ms,
            failures=course.failures + 1,
            fault=str(failed)[:FAULT_CHARS_MAX],
        )

    def _again_ms(self, course: Course, failed: Failed) -> int:
        wait_s = max(pause_s(course.failures, self._rng), failed.retry_after_s)
        return self._clock.wall_ms() + int(wait_s * 1000)


def due(partner: Partner, head_no: int, now_ms: int) -> tuple[bool, bool]:
    """Tell whether it is time to fetch, and to send."""
    pulls = partner.pull_at_ms <= now_ms
    if partner.state == "ending":
        return pulls, False
    waits = partner.pushing.passed_no < head_no or bool(partner.pushing.job_url)
    pushes = partner.push is not None and waits and partner.push_at_ms <= now_ms
    return pulls and (partner.pull is not None or bool(partner.subscribed.url)), pushes


def pause_s(failures: int, rng: random.Random) -> float:
    """Return how long to wait after so many failures, one after the other."""
    longest = min(PAUSE_S * float(2 ** min(failures - 1, 20)), PAUSE_MAX_S)
    return longest * rng.uniform(0.5, 1.0)


def _check_rights(scope: Scope) -> None:
    if scope == NOTHING:
        raise Failed("no_rights", "who registered it may not read any more: save it anew")
