"""Events made of plain bodies, without the reader: for tests of what is behind it.

Identifiers in these bodies are canonical already, and words bare.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from protocols.epcis.event import Action, ErrorDeclaration, Event, Role, Use

CBV = "https://ref.gs1.org/cbv/"
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
NAMESPACES = {"ex": "https://ns.example.com/epcis/", "cbvmda": "urn:epcglobal:cbv:mda:"}
CONTEXTS: list[str | Mapping[str, Any]] = [CONTEXT, {"ex": NAMESPACES["ex"]}]
_LISTS: tuple[tuple[str, Role], ...] = (
    ("epcList", "epc"),
    ("childEPCs", "child"),
    ("inputEPCList", "input"),
    ("outputEPCList", "output"),
)
_QUANTITIES: tuple[tuple[str, Role], ...] = (
    ("quantityList", "epc"),
    ("childQuantityList", "child"),
    ("inputQuantityList", "input"),
    ("outputQuantityList", "output"),
)
_NOT_HASHED = ("eventID", "errorDeclaration", "recordTime")


def us_of(text: str) -> int:
    """Return a date and time with zone as us since 1970 UTC."""
    moment = datetime.fromisoformat(text)
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return int((moment - epoch).total_seconds() * 1000) * 1000


def event_of(body: Mapping[str, Any], *, action: Action | None = None) -> Event:
    """Return the event of a body."""
    hashed = {key: value for key, value in body.items() if key not in _NOT_HASHED}
    digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()
    declared = body.get("errorDeclaration")
    return Event(
        body=body,
        contexts=CONTEXTS,
        namespaces=NAMESPACES,
        type=body["type"],
        action=body.get("action", action),
        event_time_us=us_of(body["eventTime"]),
        time_zone_offset=body["eventTimeZoneOffset"],
        event_id=body.get("eventID"),
        hash=f"ni:///sha-256;{digest}?ver=CBV2.0",
        uses=_uses(body),
        biz_step=_word("BizStep-", body.get("bizStep")),
        disposition=_word("Disp-", body.get("disposition")),
        read_point=body.get("readPoint", {}).get("id"),
        biz_location=body.get("bizLocation", {}).get("id"),
        transformation_id=body.get("transformationID"),
        declaration=_declaration(declared) if declared is not None else None,
    )


def _declaration(body: Mapping[str, Any]) -> ErrorDeclaration:
    return ErrorDeclaration(
        declared_at_us=us_of(body["declarationTime"]),
        reason=_word("ER-", body.get("reason")),
        corrective_event_ids=tuple(body.get("correctiveEventIDs", ())),
    )


def _word(prefix: str, word: str | None) -> str | None:
    return CBV + prefix + word if word is not None and ":" not in word else word


def _uses(body: Mapping[str, Any]) -> tuple[Use, ...]:
    uses = [Use(role="parent", id=body["parentID"])] if "parentID" in body else []
    for key, role in _LISTS:
        uses += [Use(role=role, id=one) for one in body.get(key, ())]
    for key, role in _QUANTITIES:
        uses += [
            Use(
                role=role,
                id=one["epcClass"],
                by_class=True,
                quantity=one.get("quantity"),
                uom=one.get("uom"),
            )
            for one in body.get(key, ())
        ]
    return tuple(uses)
