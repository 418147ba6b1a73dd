"""An event, valid, and what the rest of the service reads of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

Role = Literal["epc", "parent", "child", "input", "output"]
"""How an event names an object: `epcList` or `quantityList`, `parentID`, `childEPCs` or
`childQuantityList`, `inputEPCList` or `inputQuantityList`, `outputEPCList` or
`outputQuantityList`."""
Action = Literal["ADD", "OBSERVE", "DELETE"]
STANDARD_TYPES = (
    "ObjectEvent",
    "AggregationEvent",
    "AssociationEvent",
    "TransformationEvent",
    "TransactionEvent",
)


class Use(Struct, frozen=True, kw_only=True):
    """One object, or one class or lot of objects, that an event names."""

    role: Role
    id: str
    """Canonical: a GS1 key as Digital Link at id.gs1.org, any other identifier as it stands."""
    by_class: bool = False
    """Named in a quantity list: not one object but some of a class or a lot."""
    quantity: float | None = None
    """How much; None where the event does not say."""
    uom: str | None = None
    """UN/ECE unit code; None where `quantity` counts pieces."""


class ErrorDeclaration(Struct, frozen=True, kw_only=True):
    """That an earlier event, equal to this one but for the declaration, was wrong."""

    declared_at_us: int
    reason: str | None = None
    """Full web address of the reason, canonical."""
    corrective_event_ids: tuple[str, ...] = ()


class Event(Struct, frozen=True, kw_only=True):
    """One valid event; it never changes.

    Vocabulary values and identifiers outside `body` are canonical: CBV values as full web
    addresses (`https://ref.gs1.org/cbv/BizStep-shipping`), GS1 keys as Digital Links at
    id.gs1.org, all else as it stands.
    """

    body: Mapping[str, Any]
    """The event in the shape of the JSON binding, as captured, without `@context` and
    `recordTime`. Names of extensions are compact (`prefix:name`)."""
    contexts: Sequence[str | Mapping[str, Any]]
    """The `@context` that held for it, of document and event together, in order."""
    namespaces: Mapping[str, str]
    """Prefix to namespace, of those contexts."""
    type: str
    """One of `STANDARD_TYPES`, or the full name of an extension type."""
    action: Action | None
    """None for a TransformationEvent."""
    event_time_us: int
    """us since 1970 UTC."""
    time_zone_offset: str
    """As written, such as `+08:00`."""
    event_id: str | None
    """None: nobody gave it one yet."""
    hash: str
    """`ni:///sha-256;…?ver=CBV2.0`, of CBV 2.0 section 8.9: equal for an event and its error
    declaration."""
    uses: tuple[Use, ...]
    biz_step: str | None = None
    disposition: str | None = None
    read_point: str | None = None
    biz_location: str | None = None
    transformation_id: str | None = None
    declaration: ErrorDeclaration | None = None
