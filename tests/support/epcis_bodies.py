"""Documents and events of the JSON binding, valid ones."""

from collections.abc import Mapping
from typing import Any

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
ITEM = "https://id.gs1.org/01/06901234567892/21/"


def event(serial: int = 1, **more: Any) -> dict[str, Any]:
    """Return an event about one item."""
    body = {
        "type": "ObjectEvent",
        "eventTime": "2026-11-26T08:00:00.000+08:00",
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "epcList": [f"{ITEM}{serial}"],
        "bizStep": "shipping",
        **more,
    }
    return {key: value for key, value in body.items() if value is not None}


def document(*events: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return an EPCISDocument."""
    return {
        "@context": [CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-11-26T08:00:00.000+08:00",
        "epcisBody": {"eventList": list(events)},
        **more,
    }
