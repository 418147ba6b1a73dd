"""What a captured document says: its header, its contexts, and its events in order."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from protocols.epcis.event import Event
from protocols.epcis.faults import CaptureFault


class MasterElement(Struct, frozen=True, kw_only=True):
    """What a document's header says about one vocabulary element."""

    type: str
    """Of the vocabulary, such as `urn:epcglobal:epcis:vtype:ReadPoint`."""
    id: str
    """Canonical, as the identifiers of `Event`."""
    attributes: Sequence[tuple[str, str]] = ()
    """Full name of the attribute and its value; a structured value as JSON."""
    children: Sequence[str] = ()
    """Canonical ids of its direct descendants."""


class Reading(Struct, frozen=True, kw_only=True):
    """What became of one event of a document."""

    event: Event | None
    """None: one of `faults` is an error."""
    faults: tuple[CaptureFault, ...] = ()


class Document(Struct, frozen=True, kw_only=True):
    """An EPCISDocument or an EPCISQueryDocument, read."""

    type: Literal["EPCISDocument", "EPCISQueryDocument"] = "EPCISDocument"
    contexts: Sequence[str | Mapping[str, Any]] = ()
    namespaces: Mapping[str, str] = {}
    master: tuple[MasterElement, ...] = ()
    query_name: str | None = None
    """Of an EPCISQueryDocument alone, as `subscription_id`."""
    subscription_id: str | None = None
    events: tuple[Reading, ...] = ()
    """In the order of the document; none where one of `faults` is an error."""
    faults: tuple[CaptureFault, ...] = ()
    """Of the document itself; those of its events are with the events."""
