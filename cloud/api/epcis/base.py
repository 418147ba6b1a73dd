"""What the REST binding needs of the repository, as small Protocols."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cloud.api.epcis.negotiate import Media
from cloud.api.epcis.tokens import PageTokens
from cloud.trace.base import (
    Captures,
    EpcFormat,
    Formats,
    Listing,
    LiveSubscriptions,
    StoredEvent,
    Subscriptions,
    TraceStore,
)
from cloud.trace.exchange.base import Partners
from cloud.trace.lineage.base import Lineages
from cloud.trace.query.base import EventQuery
from protocols.epcis.document import Reading

QUERY_NAME = "SimpleEventQuery"
"""Of a query that nobody gave a name (EPCIS 2.0, section 8.2.7.1)."""


class Render(Protocol):
    """Writes events; blocking, so called in a thread."""

    def document(
        self,
        events: Sequence[StoredEvent],
        *,
        media: Media,
        formats: Formats,
        created_us: int,
        query_name: str = QUERY_NAME,
        subscription_id: str | None = None,
    ) -> bytes:
        """Write an EPCISQueryDocument.

        Args:
            events: its results, in order.
            media: JSON or XML.
            formats: of identifiers and words in it.
            created_us: now, us since 1970 UTC.
            query_name: of the named query whose results they are.
            subscription_id: of the subscription that they are sent for.

        """
        ...

    def value(self, kind: Listing, value: str, epc_format: EpcFormat) -> str:
        """Write a value of a top-level resource as events have it."""
        ...


class ReadEvent(Protocol):
    """Reads one event of the JSON binding, as POST /events brings it; blocking."""

    def __call__(self, data: bytes, now_us: int, sender: str) -> Reading:
        """Return what became of it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The repository as the binding sees it."""

    store: TraceStore
    captures: Captures
    capture_events_max: int
    """Of one document."""
    subscriptions: Subscriptions
    live: LiveSubscriptions
    """Those over WebSockets."""
    check_address: Callable[[str], Awaitable[None]]
    """Refuses an address that events may not be sent to; see `cloud.outbound.base`."""
    pages: PageTokens
    render: Render
    read_event: ReadEvent
    read_query: Callable[..., EventQuery]
    """(query, namespaces=…); QueryFault."""
    read_url: Callable[..., EventQuery]
    """(parameters, namespaces=…); QueryFault."""
    read_extensions: Callable[[str], Mapping[str, str]]
    """The header GS1-Extensions; QueryFault."""
    partners: Partners
    """Other repositories; not of the binding, but of the same events."""
    lineages: Lineages
    """Where things come from and go to; not of the binding, but of the same events."""
