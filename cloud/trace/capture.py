"""Capture jobs: documents are taken durably and at once, and captured beside the call.

What a job stores and how far it has come are one transaction, so after any end of the process it
goes on where it was: a `rollback` job is one transaction as a whole.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from cloud.model.database import Database, Work
from cloud.model.principal import Scope
from cloud.trace.base import Behaviour, Captured, Job, TraceStore
from cloud.trace.jobs import (
    Progress,
    Superseded,
    Waiting,
    advance,
    count_waiting,
    find_job,
    first_waiting,
    insert_job,
    list_jobs,
    note_restart,
    progress_of,
)
from protocols.clock import Clock
from protocols.epcis.document import Document
from protocols.epcis.event import Event
from protocols.epcis.faults import CaptureFault
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger(__name__)
Read = Callable[[bytes, int, str], Document]
"""Reads a document, captured at an instant (us since 1970 UTC), of an organisation or a partner."""


class CaptureLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of captures."""

    bytes_max: int = 32 * 1024 * 1024
    events_max: int = 10_000
    """Of one document."""
    waiting_max: int = 100
    """Jobs of one organisation that have not ended; a document beyond them is refused."""
    restarts_max: int = 3
    """A job that was under way at so many ends of the process is not tried again."""
    chunk: int = 500
    """Events that `proceed` stores in one transaction."""
    poll_s: float = 1.0
    """How long a job waits that another process has taken."""


class SqlCaptures:
    """`Captures` in the state database."""

    def __init__(
        self,
        database: Database,
        store: TraceStore,
        *,
        readers: Mapping[str, Read],
        clock: Clock,
        limits: CaptureLimits,
    ) -> None:
        """Build it.

        Args:
            database: the state.
            store: where events go.
            readers: by media type.
            clock: for times of jobs and events.
            limits: its bounds.

        """
        self._database, self._store, self._readers = database, store, readers
        self._clock, self._limits = clock, limits
        self._more = asyncio.Event()
        self._any_ended = False
        self._ahead: tuple[int, asyncio.Task[Document]] | None = None
        """Number of the next job, and its document, which is read meanwhile."""

    async def take(
        self,
        document: bytes,
        *,
        media_type: str,
        behaviour: Behaviour,
        by: str,
        organisation: str,
        capture_id: str | None = None,
        also: Sequence[Work] = (),
    ) -> Job:
        """See `Captures`."""
        if len(document) > self._limits.bytes_max:
            raise RefuseInput("too_large", f"more than {self._limits.bytes_max} bytes")
        if media_type not in self._readers:
            raise RefuseInput("unsupported_media_type", f"expected {', '.join(self._readers)}")
        job = Job(
            capture_id=capture_id or secrets.token_hex(16),
            by=by,
            organisation=organisation,
            behaviour=behaviour,
            created_at_ms=self._clock.wall_ms(),
            ended_at_ms=None,
            success=True,
            stored=0,
            duplicates=0,
            refused=0,
            faults=[],
        )

        def work(connection: Connection) -> None:
            if count_waiting(connection, organisation) >= self._limits.waiting_max:
                raise RefuseInput("too_many_jobs", f"{self._limits.waiting_max} wait already")
            insert_job(connection, job, media_type, document)

        await self._database.write(work, *also)
        self._more.set()
        return job

    async def job(self, capture_id: str, *, scope: Scope) -> Job:
        """See `Captures`."""
        found = await self._database.read(lambda c: find_job(c, capture_id, scope))
        if found is None:
            raise RefuseInput("not_found", capture_id)
        return found

    async def jobs(
        self, *, scope: Scope, before: int | None = None, limit: int
    ) -> list[tuple[int, Job]]:
        """See `Captures`."""
        return await self._database.read(lambda c: list_jobs(c, scope, before, limit))

    async def run(self) -> None:
        """Work through the jobs, the oldest first, until cancelled; those of earlier runs too."""
        noted = False
        while True:
            try:
                if not noted:
                    await self._database.write(note_restart)
                    noted = True
                await self.run_waiting()
            except RetryLater as error:
                logger.warning("captures wait: %s", error)
                await asyncio.sleep(self._limits.poll_s)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), self._limits.poll_s)
            self._more.clear()

    async def run_waiting(self) -> None:
        """Work through the jobs that wait now; while one is stored, the next is read."""
        while (job := await self._database.read(first_waiting)) is not None:
            try:
                await self._run(job)
                self._any_ended = True
            except Superseded:  # another process has it
                await asyncio.sleep(self._limits.poll_s)

    async def _document(self, job: Waiting) -> Document:
        """Return a job's document, and begin to read the next one's.

        Not beside the first job: where the next one's ends the process, it is the first of a later
        run, and no other job than that is given up for it.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == job.number:
            document = await ahead[1]
        else:
            document = await asyncio.to_thread(self._read, job)
        following = await self._database.read(lambda c: first_waiting(c, job.number))
        if following is not None and self._any_ended:
            reading = asyncio.create_task(asyncio.to_thread(self._read, following))
            self._ahead = (following.number, reading)
        return document

    async def _run(self, job: Waiting) -> None:
        progress = await self._database.read(lambda c: progress_of(c, job))
        document = await self._document(job)
        events = [reading.event for reading in document.events]
        faults = [*document.faults, *(f for one in document.events for f in one.faults)]
        if any(fault.severity == "error" for fault in document.faults):
            await self._fail(job, len(events), faults)
        elif job.behaviour == "proceed":
            await self._proceed(job, document, progress)
        elif None in events:
            await self._fail(job, sum(one is None for one in events), faults)
        else:
            await self._store_all(job, document, [one for one in events if one], faults)

    def _read(self, job: Waiting) -> Document:
        if job.restarts > self._limits.restarts_max:
            return _faulty("given_up", "a document that is read to its end", "the service ended")
        document = self._readers[job.media_type](job.document, job.created_at_ms * 1000, job.sender)
        if len(document.events) > self._limits.events_max:
            expected = f"at most {self._limits.events_max} events"
            return _faulty("too_many_events", expected, str(len(document.events)))
        return document

    async def _fail(self, job: Waiting, refused: int, faults: list[CaptureFault]) -> None:
        failed = Progress(done=job.done, refused=refused, success=False, faults=faults)
        await self._end(job, failed)

    async def _end(self, job: Waiting, progress: Progress) -> None:
        at_ms = self._clock.wall_ms()
        await self._database.write(lambda c: advance(c, job, job.done, progress, ended_at_ms=at_ms))

    async def _store_all(
        self,
        job: Waiting,
        document: Document,
        events: Sequence[Event],
        faults: list[CaptureFault],
    ) -> None:
        def end(connection: Connection, outcomes: Sequence[Captured]) -> None:
            progress = Progress(done=len(outcomes), faults=faults)
            _count(progress, outcomes, list(range(len(outcomes))))
            advance(connection, job, 0, progress, ended_at_ms=self._clock.wall_ms())

        outcomes = await self._store.capture(
            events,
            organisation=job.organisation,
            recorded_at_us=self._clock.wall_ms() * 1000,
            job=job.number,
            master=document.master,
            then=end,
        )
        taken = [at for at, one in enumerate(outcomes) if one.outcome == "conflict"]
        if taken:
            told = [_taken(at, outcomes[at]) for at in taken]
            await self._fail(job, len(taken), [*faults, *told])

    async def _proceed(self, job: Waiting, document: Document, progress: Progress) -> None:
        if progress.done == 0:
            progress.faults = list(document.faults)
        total, chunk = len(document.events), self._limits.chunk
        for start in range(progress.done, max(total, 1), chunk):
            part = document.events[start : start + chunk]
            places = [start + at for at, one in enumerate(part) if one.event is not None]
            progress.faults += [fault for one in part for fault in one.faults]
            progress.refused += len(part) - len(places)
            progress.done = start + len(part)
            await self._store_part(
                job,
                [one.event for one in part if one.event is not None],
                progress,
                then=_advancing(job, start, progress, places, self._ended(progress.done == total)),
                master=document.master if start == 0 else (),
            )

    def _ended(self, last: bool) -> int | None:
        return self._clock.wall_ms() if last else None

    async def _store_part(
        self, job: Waiting, events: Sequence[Event], progress: Progress, **more: Any
    ) -> None:
        progress.success = progress.success and progress.refused == 0
        await self._store.capture(
            events,
            organisation=job.organisation,
            recorded_at_us=self._clock.wall_ms() * 1000,
            behaviour="proceed",
            job=job.number,
            **more,
        )


def _advancing(
    job: Waiting, seen: int, progress: Progress, places: Sequence[int], ended_at_ms: int | None
) -> Callable[[Connection, Sequence[Captured]], None]:
    def then(connection: Connection, outcomes: Sequence[Captured]) -> None:
        _count(progress, outcomes, places)
        advance(connection, job, seen, progress, ended_at_ms=ended_at_ms)

    return then


def _count(progress: Progress, outcomes: Sequence[Captured], places: Sequence[int]) -> None:
    for at, one in zip(places, outcomes, strict=True):
        if one.outcome == "stored":
            progress.stored += 1
        elif one.outcome == "duplicate":
            progress.duplicates += 1
        else:
            progress.refused += 1
            progress.success = False
            progress.faults.append(_taken(at, one))


def _taken(at: int, one: Captured) -> CaptureFault:
    return CaptureFault(
        pointer=f"/epcisBody/eventList/{at}/eventID",
        rule="event_id_taken",
        expected="an event id of its own, or an error declaration of the event that has it",
        found=one.event_id[:200],
    )


def _faulty(rule: str, expected: str, found: str) -> Document:
    fault = CaptureFault(pointer="", rule=rule, expected=expected, found=found)
    return Document(faults=(fault,))
