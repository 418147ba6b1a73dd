"""The trace repository behind the HTTP side: real but for capture jobs, which end at once."""

import secrets
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec

from cloud.api.epcis.base import Trace, Written
from cloud.api.epcis.negotiate import EpcFormat, Media
from cloud.api.epcis.tokens import PageTokens
from cloud.model.database import Database, Work
from cloud.model.principal import Scope
from cloud.trace.base import Behaviour, Job, Listing, StoredEvent, TraceStore
from cloud.trace.query.parse import read_extensions, read_query, read_url
from cloud.trace.spent import SpentTokens
from cloud.trace.store import SqlTraceStore
from protocols.catalog.files import data_root
from protocols.clock import Clock, iso
from protocols.epcis.event import Event
from protocols.epcis.faults import CaptureFault
from protocols.epcis.read import read_document, read_event
from protocols.epcis.standard import Standard, load_standard
from protocols.errors import RefuseInput

PAGE_KEY = bytes(32)


@lru_cache(maxsize=1)
def standard() -> Standard:
    """Return the shipped lists and rules."""
    return load_standard(data_root() / "epcis")


class PlainRender:
    """Writes events as they were captured, whatever the format."""

    def document(
        self,
        events: Sequence[StoredEvent],
        *,
        written: Written,
        created_at_us: int,
        query_name: str | None = None,
        subscription_id: str | None = None,
    ) -> bytes:
        """JSON."""
        results: dict[str, Any] = {
            "queryName": query_name,
            "subscriptionID": subscription_id,
            "resultsBody": {"eventList": [_whole(one) for one in events]},
        }
        return msgspec.json.encode(
            {
                "@context": [written.media],
                "type": "EPCISQueryDocument",
                "schemaVersion": "2.0",
                "creationDate": iso(created_at_us // 1000),
                "epcisBody": {"queryResults": results},
            }
        )

    def value(self, kind: Listing, value: str, epc_format: EpcFormat) -> str:
        """As it stands."""
        del kind, epc_format
        return value


def _whole(event: StoredEvent) -> dict[str, Any]:
    record_time = iso(event.record_time_us // 1000)
    return {**event.body, "eventID": event.event_id, "recordTime": record_time}


class PromptCaptures:
    """Jobs in a list; a document is stored before its job is told of."""

    def __init__(self, database: Database, store: TraceStore, clock: Clock) -> None:
        self._database, self._store, self._clock = database, store, clock
        self.kept: list[Job] = []

    async def take(
        self,
        document: bytes,
        *,
        media_type: str,
        behaviour: Behaviour,
        by: str,
        organisation: str,
        also: Sequence[Work] = (),
    ) -> Job:
        """Read and store."""
        now_ms = self._clock.wall_ms()
        assert media_type in ("application/json", "application/ld+json")
        read = read_document(document, standard(), now_us=now_ms * 1000)
        faults = [*read.faults, *(fault for one in read.events for fault in one.faults)]
        events = [one.event for one in read.events if one.event is not None]
        whole = not any(one.severity == "error" for one in faults)
        if whole or behaviour == "proceed":
            await self._store.capture(
                events, organisation=organisation, recorded_at_us=now_ms * 1000
            )
        await self._database.write(lambda _: None, *also)
        job = Job(
            capture_id=secrets.token_hex(16),
            by=by,
            organisation=organisation,
            behaviour=behaviour,
            created_at_ms=now_ms,
            ended_at_ms=now_ms,
            success=whole,
            stored=len(events) if whole else 0,
            duplicates=0,
            refused=len(faults),
            faults=[msgspec.structs.asdict(one) for one in faults],
        )
        self.kept.append(job)
        return job

    async def job(self, capture_id: str, *, scope: Scope) -> Job:
        """Return one."""
        for job in self.kept:
            if job.capture_id == capture_id and _sees(scope, job):
                return job
        raise RefuseInput("not_found", capture_id)

    async def jobs(
        self, *, scope: Scope, before: int | None = None, limit: int
    ) -> list[tuple[int, Job]]:
        """Return the newest first."""
        numbered = [(n, job) for n, job in enumerate(self.kept, 1) if _sees(scope, job)]
        found = [one for one in reversed(numbered) if before is None or one[0] < before]
        return found[:limit]


def _sees(scope: Scope, job: Job) -> bool:
    return scope.everything or job.organisation in scope.organisations


def read_one(
    data: bytes, media: Media, *, now_us: int, organisation: str
) -> tuple[Event | None, Sequence[CaptureFault]]:
    """Read an event of the JSON binding."""
    del organisation
    assert media in ("application/json", "application/ld+json")
    found = read_event(data, standard(), now_us=now_us)
    return found.event, found.faults


def open_trace(database: Database, clock: Clock) -> Trace:
    """Build it over a state database."""
    store = SqlTraceStore(database, standard=standard())
    return Trace(
        store=store,
        captures=PromptCaptures(database, store, clock),
        capture_events_max=10_000,
        pages=PageTokens(PAGE_KEY, clock, SpentTokens(database)),
        render=PlainRender(),
        read_event=read_one,
        read_query=partial(read_query, standard=standard()),
        read_url=partial(read_url, standard=standard()),
        read_extensions=read_extensions,
    )
