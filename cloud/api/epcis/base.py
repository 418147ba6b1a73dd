"""What the REST binding needs of the repository, as small Protocols."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from cloud.api.epcis.negotiate import CbvXmlFormat, EpcFormat, Media
from cloud.api.epcis.tokens import PageTokens
from cloud.trace.base import Captures, Listing, StoredEvent, TraceStore
from cloud.trace.query.base import EventQuery
from protocols.epcis.event import Event
from protocols.epcis.faults import CaptureFault


class Written(Struct, frozen=True, kw_only=True):
    """How a caller wants what he reads."""

    media: Media = "application/json"
    epc_format: EpcFormat = "Always_GS1_Digital_Link"
    cbv_xml_format: CbvXmlFormat = "No_Preference"


class Render(Protocol):
    """Writes events; blocking, so called in a thread."""

    def document(
        self,
        events: Sequence[StoredEvent],
        *,
        written: Written,
        created_at_us: int,
        query_name: str | None = None,
        subscription_id: str | None = None,
    ) -> bytes:
        """Write an EPCISQueryDocument.

        Args:
            events: its results, in order.
            written: how.
            created_at_us: now.
            query_name: of the named query whose results they are.
            subscription_id: of the subscription that they are sent for.

        """
        ...

    def value(self, kind: Listing, value: str, epc_format: EpcFormat) -> str:
        """Write a value of a top-level resource as events have it."""
        ...


class ReadEvent(Protocol):
    """Reads one event, as POST /events brings it; blocking, so called in a thread."""

    def __call__(
        self, data: bytes, media: Media, *, now_us: int, organisation: str
    ) -> tuple[Event | None, Sequence[CaptureFault]]:
        """Return it, None when one of the faults is an error."""
        ...


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The repository as the binding sees it."""

    store: TraceStore
    captures: Captures
    capture_events_max: int
    """Of one document."""
    pages: PageTokens
    render: Render
    read_event: ReadEvent
    read_query: Callable[..., EventQuery]
    """(query, namespaces=…); QueryFault."""
    read_url: Callable[..., EventQuery]
    """(parameters, namespaces=…); QueryFault."""
    read_extensions: Callable[[str], Mapping[str, str]]
    """The header GS1-Extensions; QueryFault."""
