"""The trace repository behind the HTTP side: real but for capture jobs, which end at once."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec

from cloud.api.epcis.base import Trace, Written
from cloud.api.epcis.negotiate import JSON, EpcFormat, Media
from cloud.api.epcis.tokens import PageTokens
from cloud.model.database import Database, Work
from cloud.trace.base import Behaviour, Job, Listing, StoredEvent
from cloud.trace.capture import CaptureLimits, SqlCaptures
from cloud.trace.query.parse import read_extensions, read_query, read_url
from cloud.trace.spent import SpentTokens
from cloud.trace.store import SqlTraceStore
from protocols.catalog.files import data_root
from protocols.clock import Clock, iso
from protocols.epcis.document import Document
from protocols.epcis.event import Event
from protocols.epcis.faults import CaptureFault
from protocols.epcis.read import read_document, read_event
from protocols.epcis.standard import Standard, load_standard

PAGE_KEY = bytes(32)
LIMITS = CaptureLimits()


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


class PromptCaptures(SqlCaptures):
    """Jobs that have ended when they are told of."""

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
        """Take a document and capture it."""
        job = await super().take(
            document,
            media_type=media_type,
            behaviour=behaviour,
            by=by,
            organisation=organisation,
            also=also,
        )
        await self.run_waiting()
        return job


def read_one(
    data: bytes, media: Media, *, now_us: int, organisation: str
) -> tuple[Event | None, Sequence[CaptureFault]]:
    """Read an event of the JSON binding."""
    del organisation
    assert media in ("application/json", "application/ld+json")
    found = read_event(data, standard(), now_us=now_us)
    return found.event, found.faults


def _read(data: bytes, now_us: int, organisation: str) -> Document:
    del organisation
    return read_document(data, standard(), now_us=now_us)


def open_trace(database: Database, clock: Clock) -> Trace:
    """Build it over a state database."""
    store = SqlTraceStore(database, standard=standard())
    return Trace(
        store=store,
        captures=PromptCaptures(
            database, store, readers=dict.fromkeys(JSON, _read), clock=clock, limits=LIMITS
        ),
        capture_events_max=LIMITS.events_max,
        pages=PageTokens(PAGE_KEY, clock, SpentTokens(database)),
        render=PlainRender(),
        read_event=read_one,
        read_query=partial(read_query, standard=standard()),
        read_url=partial(read_url, standard=standard()),
        read_extensions=read_extensions,
    )
