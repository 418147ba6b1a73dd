"""One event: from the shape of the JSON binding to a valid `Event`, or its faults."""

from collections.abc import Mapping, Sequence
from typing import Any

from protocols.epcis.contexts import read_contexts
from protocols.epcis.document import Reading
from protocols.epcis.event import STANDARD_TYPES, Event
from protocols.epcis.hash_for_now import event_hash
from protocols.epcis.inspection import Inspection
from protocols.epcis.properties import properties
from protocols.epcis.shapes import CHECKS, EVERY, TABLES
from protocols.epcis.values import URI, is_scheme

Contexts = Sequence[str | Mapping[str, Any]]
_NOT_BODY = ("@context", "recordTime")
_STANDARD = "https://ref.gs1.org/epcis/"
_REQUIRED = ("eventTime", "eventTimeZoneOffset")


def read_one(
    see: Inspection,
    at: str,
    value: object,
    *,
    contexts: Contexts,
    namespaces: Mapping[str, str],
) -> Reading:
    """Read one event of a document.

    Args:
        see: of the document; what it held is forgotten.
        at: pointer of the event.
        value: it.
        contexts: that hold for it besides its own.
        namespaces: of these.

    """
    see.begin()
    see.namespaces = namespaces
    if type(value) is not dict:
        see.wrong_type(at, "an object, an event", value)
        return Reading(event=None, faults=tuple(see.faults))
    if "@context" in value:
        own, see.namespaces = read_contexts(see, f"{at}/@context", value["@context"], namespaces)
        contexts = [*contexts, *own]
    type_ = _type(see, at, value)
    got = _inspect(see, at, value, type_)
    event = None if see.refused or type_ is None else _event(see, value, type_, got, contexts)
    return Reading(event=event, faults=tuple(see.faults))


def _type(see: Inspection, at: str, value: Mapping[str, Any]) -> str | None:
    """Read the type: bare for one of the standard's, else its full name."""
    type_ = value.get("type")
    if type_ in TABLES:
        return str(type_)
    if "type" not in value:
        see.missing(at, "type")
        return None
    expected = f"one of {', '.join(STANDARD_TYPES)}, or the full name of an extension's type"
    at = f"{at}/type"
    if type(type_) is not str:
        see.wrong_type(at, expected, type_)
        return None
    return _full_type(see, at, type_, expected)


def _full_type(see: Inspection, at: str, type_: str, expected: str) -> str | None:
    prefix, colon, local = type_.partition(":")
    full = see.namespaces[prefix] + local if prefix in see.namespaces else type_
    if not colon:
        see.note(at, "unknown_word", expected, type_)
    elif not URI.fullmatch(full):
        see.note(at, "bad_uri", expected, type_)
    elif full == type_ and not is_scheme(prefix) and not local.startswith("//"):
        see.note(at, "undeclared_prefix", f"a context that declares {prefix}", type_)
    elif (word := full.removeprefix(_STANDARD)) in TABLES:
        see.note(at, "full_name", f"the bare word {word}", type_)
        return word
    else:
        see.note(at, "extension_type", expected, type_)
    return full


def _inspect(
    see: Inspection, at: str, value: Mapping[str, Any], type_: str | None
) -> dict[str, Any]:
    table = TABLES.get(type_ or "", EVERY)
    got = properties(see, at, value, table, elsewhere=EVERY.keys())
    for name in _REQUIRED:
        if name not in value:
            see.missing(at, name)
    check = CHECKS.get(type_ or "")
    if check is not None:
        if "action" in table and "action" not in value:
            see.missing(at, "action")
        check(see, at, value, got)
    event_us = got.get("eventTime")
    if "errorDeclaration" in value:
        _check_declaration(see, at, value, got)
    if event_us is not None:
        for place, us in see.instants:
            if us > event_us:
                see.note(place, "sensor_after_event", "no later than the event", "a later time")
    return got


def _check_declaration(
    see: Inspection, at: str, value: Mapping[str, Any], got: Mapping[str, Any]
) -> None:
    if "eventID" not in value:
        see.note(at, "declaration_without_id", "the eventID of the wrong event", "nothing")
    declaration, event_us = got.get("errorDeclaration"), got.get("eventTime")
    if declaration is None:
        return
    if event_us is not None and declaration.declared_at_us < event_us:
        place = f"{at}/errorDeclaration/declarationTime"
        see.note(place, "declared_before_event", "a time after the event", "an earlier time")
    event_id = got.get("eventID")
    if event_id is not None and event_id in declaration.corrective_event_ids:
        place = f"{at}/errorDeclaration/correctiveEventIDs"
        see.note(place, "corrects_itself", "ids of other events", event_id)


def _event(
    see: Inspection,
    value: Mapping[str, Any],
    type_: str,
    got: Mapping[str, Any],
    contexts: Contexts,
) -> Event:
    body: Mapping[str, Any] = value
    if see.repaired or "recordTime" in value or "@context" in value:
        body = {**value, **see.repaired}
        for name in _NOT_BODY:
            body.pop(name, None)
    if see.comments:
        body = _without_comments(body)
    return Event(
        body=body,
        contexts=contexts,
        namespaces=see.namespaces,
        type=type_,
        action=got.get("action"),
        event_time_us=got["eventTime"],
        time_zone_offset=got["eventTimeZoneOffset"],
        event_id=got.get("eventID"),
        hash=event_hash(body, see.namespaces),
        uses=tuple(see.uses),
        biz_step=got.get("bizStep"),
        disposition=got.get("disposition"),
        read_point=got.get("readPoint"),
        biz_location=got.get("bizLocation"),
        transformation_id=got.get("transformationID"),
        declaration=got.get("errorDeclaration"),
    )


def _without_comments(value: Any) -> Any:
    """Return a copy without comments; its depth was found to be within bounds."""
    if type(value) is dict:
        return {
            name: _without_comments(one)
            for name, one in value.items()
            if not name.startswith("_comment")
        }
    return [_without_comments(one) for one in value] if type(value) is list else value
