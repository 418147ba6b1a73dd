"""Sending: our events in the order of record become capture jobs of theirs, one at a time.

The cursor moves when the job has ended. What is refused alone is written into a receipt and
passed; a document that is refused whole is sent again in halves until what is bad stands alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from cloud.model.database import Database, Work
from cloud.model.principal import Scope
from cloud.trace.base import Position, StoredEvent, TraceStore
from cloud.trace.exchange.base import BATCH_EVENTS, Course, Outcome, Partner, Pushing
from cloud.trace.exchange.remote import Failed, Repository, TheirJob
from cloud.trace.exchange.rows import Hand, came_from, end_pushed, faults_text, insert_receipt
from cloud.trace.query.base import EventQuery, Order, QueryFault
from protocols.clock import Clock
from protocols.errors import RefuseInput

DOCUMENT_BYTES_MAX = 1024 * 1024
"""Of what is sent; one event alone may be larger."""
ROUNDS_MAX = 20
"""Of a document each, then others have their turn."""
JOB_LOOKS, JOB_POLL_S = 6, 0.1
"""So often their job is looked at, with pauses that double, before others have their turn."""
AGAIN_S = 5.0
REFUSED_MAX = 20
"""Single events refused, one after the other; then it is the partner's fault, and goes slowly."""


class Write(Protocol):
    """Writes what is sent; blocking."""

    def __call__(self, events: Sequence[StoredEvent], created_us: int) -> bytes:
        """Return an EPCISDocument in JSON."""
        ...


class Sent(Struct, frozen=True, kw_only=True):
    """A document that was sent."""

    events: int
    last_no: int


class Pusher:
    """Sends for one partner at a time."""

    def __init__(
        self,
        database: Database,
        store: TraceStore,
        *,
        clock: Clock,
        read_query: Callable[[Any], EventQuery],
        write: Write,
    ) -> None:
        self._database, self._store, self._clock = database, store, clock
        self._read_query, self._write = read_query, write

    async def run(self, hand: Hand, repository: Repository, head_no: int, scope: Scope) -> None:
        """Send what is new, up to a bound.

        Raises:
            Failed: the other side's fault.
            Overtaken: stop.

        """
        for _ in range(ROUNDS_MAX):
            state = hand.partner.pushing
            if state.job_url:
                if not await self._settle(hand, repository):
                    await hand.move(push_at_ms=self._clock.wall_ms() + int(AGAIN_S * 1000))
                    return
            elif state.passed_no < head_no:
                await self._send(hand, repository, head_no, scope)
            else:
                break
            check(state, hand.partner.pushing)
        await hand.move(push_at_ms=self._clock.wall_ms())

    async def _send(self, hand: Hand, repository: Repository, head_no: int, scope: Scope) -> None:
        state = hand.partner.pushing
        after = Position(head_no, (state.passed_no,))
        query = await self._query(hand.partner)
        page = await self._store.find(query, scope=scope, after=after, limit=state.batch)
        passed = page.events[-1].event_no if page.next is not None else head_no
        events = await self._not_theirs(hand.partner, page.events)
        if not events:
            await hand.move(pushing=msgspec.structs.replace(state, passed_no=passed))
            return
        body = await asyncio.to_thread(self._write, events, self._clock.wall_ms() * 1000)
        if len(body) > DOCUMENT_BYTES_MAX and len(events) > 1:
            await hand.move(pushing=_halved(state, len(events)))
            return
        sent = Sent(events=len(events), last_no=passed)
        try:
            url = await repository.capture(body)
        except Failed as failed:
            if failed.kind not in ("refused", "too_large"):
                raise
            await self._refused(hand, sent, str(failed))
            return
        await self._sent(hand, sent, url)

    async def _query(self, partner: Partner) -> EventQuery:
        name = partner.push.query_name if partner.push is not None else ""
        if not name:
            return EventQuery(order=Order())
        try:
            kept = await self._store.get_query(partner.organisation, name)
            conditions = self._read_query(kept.query).conditions
        except (RefuseInput, QueryFault) as error:
            raise Failed("no_query", f"our query {name}: {error}"[:300]) from error
        return EventQuery(conditions=conditions, order=Order())

    async def _not_theirs(
        self, partner: Partner, events: Sequence[StoredEvent]
    ) -> list[StoredEvent]:
        numbers = [one.event_no for one in events]
        theirs = await self._database.read(lambda c: came_from(c, partner.partner_id, numbers))
        return [one for one in events if one.event_no not in theirs]

    async def _sent(self, hand: Hand, sent: Sent, url: str) -> None:
        """Note a document that was taken; without a job it is captured."""
        if not url:
            pushing = self._gone_well(sent.last_no, hand.partner.pushing)
            await hand.move(self._noting(hand.partner, sent, "done"), pushing=pushing)
            return
        under_way = msgspec.structs.replace(
            hand.partner.pushing, job_url=url, sent_no=sent.last_no, sent=sent.events
        )
        noting = self._noting(hand.partner, sent, "running", url=url)
        await hand.move(noting, pushing=under_way)

    async def _refused(self, hand: Hand, sent: Sent, why: str) -> None:
        """Note a document that was not even taken."""
        faults = faults_text([{"detail": why}])
        if sent.events > 1:
            pushing = _halved(hand.partner.pushing, sent.events)
            noting = self._noting(hand.partner, sent, "split", faults=faults)
        else:
            pushing = _passed_bad(sent.last_no, hand.partner.pushing)
            noting = self._noting(hand.partner, sent, "refused", faults=faults, refused=1)
        await hand.move(noting, pushing=pushing)

    def _noting(self, partner: Partner, sent: Sent, state: Outcome, **more: Any) -> Work:
        now_ms = self._clock.wall_ms()
        row = {"url": "", "ended_at_ms": None if state == "running" else now_ms, **more}

        def note(connection: Connection) -> None:
            insert_receipt(
                connection,
                partner,
                "pushed",
                at_ms=now_ms,
                state=state,
                events=sent.events,
                last_no=sent.last_no,
                **row,
            )

        return note

    async def _settle(self, hand: Hand, repository: Repository) -> bool:
        """Look at their job; False: it runs."""
        state, seen = hand.partner.pushing, hand.partner
        try:
            job = await self._look(repository, state.job_url)
        except Failed as failed:
            if failed.kind == "gone":  # nobody knows what became of it, so it is sent again
                faults = faults_text([{"detail": "its job is gone: sent again"}])
                await hand.move(
                    self._ending(seen, "split", faults=faults),
                    pushing=msgspec.structs.replace(state, job_url=""),
                )
            raise
        if job.running:
            return False
        outcome = outcome_of(job, state.sent)
        if outcome == "done" or job.proceeds:
            pushing = self._gone_well(state.sent_no, state)
        elif outcome == "refused":
            pushing = _passed_bad(state.sent_no, state)
        else:
            pushing = _halved(state, state.sent)
        refused = refused_of(job, state.sent) if outcome == "refused" else 0
        faults = faults_text(job.errors)
        await hand.move(
            self._ending(seen, outcome, faults=faults, refused=refused), pushing=pushing
        )
        return True

    def _ending(self, partner: Partner, outcome: Outcome, **more: Any) -> Work:
        at_ms = self._clock.wall_ms()
        return lambda c: end_pushed(c, partner, outcome, at_ms=at_ms, **more)

    async def _look(self, repository: Repository, url: str) -> TheirJob:
        for look in range(JOB_LOOKS):
            job = await repository.job(url)
            if not job.running:
                break
            await asyncio.sleep(JOB_POLL_S * 2**look)
        return job

    def _gone_well(self, passed_no: int, state: Pushing) -> Pushing:
        batch = min(state.batch * 2, BATCH_EVENTS)
        course = Course(success_at_ms=self._clock.wall_ms())
        return Pushing(passed_no=passed_no, batch=batch, course=course)


def check(before: Pushing, after: Pushing) -> None:
    """Slow down where nothing is taken, each time one event further: Failed."""
    if after.refused > max(before.refused, REFUSED_MAX - 1):
        raise Failed("refused", f"{after.refused} events one by one, see the receipts")


def outcome_of(job: TheirJob, sent: int) -> Outcome:
    """Tell what their job makes of a document of so many events."""
    if job.success:
        return "done"
    return "refused" if job.proceeds or sent == 1 else "split"


def refused_of(job: TheirJob, sent: int) -> int:
    """Return how many events were refused, as far as the errors tell."""
    pointers = [one.get("pointer", "") for one in job.errors]
    places = {
        text.split("/eventList/")[1].split("/")[0] for text in pointers if "/eventList/" in text
    }
    return min(max(len(places), 1), sent)


def _passed_bad(passed_no: int, state: Pushing) -> Pushing:
    """Go past one event that was refused; the next are tried alone at first."""
    refused = state.refused + 1
    return Pushing(passed_no=passed_no, batch=1, refused=refused, course=state.course)


def _halved(state: Pushing, sent: int) -> Pushing:
    return msgspec.structs.replace(state, batch=max(sent // 2, 1), job_url="")
