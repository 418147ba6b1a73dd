"""Documents and events of the JSON binding, from outside to valid events (EPCIS 2.0, 9.5)."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from protocols.epcis.contexts import read_contexts
from protocols.epcis.document import Document, MasterElement, Reading
from protocols.epcis.identifiers import Read, uri
from protocols.epcis.inspection import Inspection
from protocols.epcis.masters import header, vocabularies
from protocols.epcis.properties import properties
from protocols.epcis.read_events import Contexts, read_one
from protocols.epcis.scalars import ignored, text, time
from protocols.epcis.standard import Standard
from protocols.epcis.tolerances import STANDARD, Tolerances

_VERSION = re.compile(r"2(?:\.[0-9]+)*")
_Type = Literal["EPCISDocument", "EPCISQueryDocument"]
_TYPES: tuple[_Type, ...] = ("EPCISDocument", "EPCISQueryDocument")


def read_document(
    data: bytes | Mapping[str, Any],
    standard: Standard,
    *,
    now_us: int,
    tolerances: Tolerances = STANDARD,
) -> Document:
    """Read an EPCISDocument or an EPCISQueryDocument.

    Nothing is raised for what a sender can do wrong, and no address is ever opened.

    Args:
        data: UTF-8 JSON, or what another binding became in the shape of the JSON binding.
        standard: vocabulary, contexts, units and rules.
        now_us: the receiver's clock, us since 1970 UTC.
        tolerances: of the sending partner.

    """
    see = Inspection(standard, tolerances, now_us=now_us)
    value = _decode(see, data)
    if value is None:
        return Document(faults=tuple(see.faults))
    return _document(see, value)


def read_event(
    data: bytes | Mapping[str, Any],
    standard: Standard,
    *,
    now_us: int,
    contexts: Contexts = (),
    tolerances: Tolerances = STANDARD,
) -> Reading:
    """Read one event, as POST /events brings it.

    Args:
        data: as of `read_document`; its own `@context` comes behind `contexts`.
        standard: as of `read_document`.
        now_us: as of `read_document`.
        contexts: that hold for it besides its own, as the call says.
        tolerances: as of `read_document`.

    """
    see = Inspection(standard, tolerances, now_us=now_us)
    value = _decode(see, data)
    if value is None:
        return Reading(event=None, faults=tuple(see.faults))
    entries, namespaces = read_contexts(see, "/@context", list(contexts), {})
    if not _has_epcis(see, [*entries, *_listed(value.get("@context"))]):
        entries = [next(iter(standard.contexts)), *entries]
        namespaces = {**standard.prefixes, **namespaces}
    return read_one(see, "", value, contexts=entries, namespaces=namespaces)


def _decode(see: Inspection, data: bytes | Mapping[str, Any]) -> dict[str, Any] | None:
    """Decode JSON to an object; None: it is none, which was noted."""
    try:
        value = msgspec.json.decode(data) if isinstance(data, bytes) else data
    except RecursionError:
        see.note("", "too_deep", "objects and lists within a depth of 900", "more")
        return None
    except ValueError as error:  # msgspec's own, and bytes that are no UTF-8
        see.note("", "bad_json", "a JSON document in UTF-8", str(error))
        return None
    if type(value) is not dict:
        see.wrong_type("", "an object", value)
        return None
    return value


def _document(see: Inspection, value: dict[str, Any]) -> Document:
    contexts, see.namespaces = _contexts(see, value)
    type_ = _document_type(see, value)
    if type_ is None:
        return Document(contexts=contexts, namespaces=see.namespaces, faults=tuple(see.faults))
    query = type_ == "EPCISQueryDocument"
    got = properties(see, "", value, _QUERY_DOCUMENT if query else _DOCUMENT)
    for name in ("epcisBody",) if query else ("schemaVersion", "creationDate", "epcisBody"):
        if name not in value:
            see.missing("", name)
    if query and "epcisHeader" in value:
        see.note("/epcisHeader", "header_in_query_document", "no header", value["epcisHeader"])
    at, found = _event_list(see, value, query=query)
    faults, refused, namespaces = tuple(see.faults), see.refused, see.namespaces
    events = (
        ()
        if refused
        else tuple(
            read_one(see, f"{at}/{index}", one, contexts=contexts, namespaces=namespaces)
            for index, one in enumerate(found.get("eventList") or ())
        )
    )
    master: list[MasterElement] = [
        *(got.get("epcisHeader") or ()),
        *(found.get("vocabularyList") or ()),
    ]
    return Document(
        type=type_,
        contexts=contexts,
        namespaces=namespaces,
        master=tuple(master),
        query_name=found.get("queryName"),
        subscription_id=found.get("subscriptionID"),
        events=events,
        faults=faults,
    )


def _contexts(see: Inspection, value: Mapping[str, Any]) -> tuple[Contexts, Mapping[str, str]]:
    if "@context" not in value:
        see.missing("", "@context")
        return (), {}
    contexts, namespaces = read_contexts(see, "/@context", value["@context"], {})
    if not _has_epcis(see, contexts):
        expected = f"among them {next(iter(see.standard.contexts))}"
        see.note("/@context", "missing_epcis_context", expected, value["@context"])
        namespaces = {**see.standard.prefixes, **namespaces}
    return contexts, namespaces


def _has_epcis(see: Inspection, contexts: Contexts) -> bool:
    known = see.standard.contexts
    return any(type(one) is str and one in known and known[one].epcis for one in contexts)


def _listed(value: Any) -> list[Any]:
    return value if type(value) is list else [value]


def _document_type(see: Inspection, value: Mapping[str, Any]) -> _Type | None:
    for type_ in _TYPES:
        if value.get("type") == type_:
            return type_
    if "type" not in value:
        see.missing("", "type")
    else:
        rule = "wrong_value" if type(value["type"]) is str else "wrong_type"
        see.note("/type", rule, " or ".join(_TYPES), value["type"])
    return None


def _event_list(
    see: Inspection, document: Mapping[str, Any], *, query: bool
) -> tuple[str, dict[str, Any]]:
    """Return where the events stand, and what stands beside them."""
    at, found = "", {name: one for name, one in document.items() if name == "epcisBody"}
    for name, table, required in _QUERY_LEVELS if query else _LEVELS:
        if name not in found:
            break
        at = f"{at}/{name}"
        found |= _object(see, at, found[name], table, *required)
    return f"{at}/eventList", found


def _object(
    see: Inspection, at: str, value: object, table: Mapping[str, Read], *required: str
) -> dict[str, Any]:
    if type(value) is not dict:
        see.wrong_type(at, f"an object with {' and '.join(required)}", value)
        return {}
    for name in required:
        if name not in value:
            see.missing(at, name)
    return properties(see, at, value, table)


def _version(see: Inspection, at: str, value: object) -> None:
    if type(value) is not str or not _VERSION.fullmatch(value):
        see.note(at, "schema_version", "a text, 2.0", value)


def _events(see: Inspection, at: str, value: object) -> list[Any] | None:
    if type(value) is not list:
        see.wrong_type(at, "a list of events", value)
        return None
    return value


def _as_it_stands(_see: Inspection, _at: str, value: object) -> object:
    return value


_QUERY_DOCUMENT: Mapping[str, Read] = {
    "@context": ignored,
    "type": ignored,
    "id": uri,
    "schemaVersion": _version,
    "creationDate": time,
    "epcisHeader": header,
    "epcisBody": ignored,
}
_DOCUMENT: Mapping[str, Read] = {
    **_QUERY_DOCUMENT,
    "instanceIdentifier": text,
    "sender": text,
    "receiver": text,
}
_BODY: Mapping[str, Read] = {"eventList": _events}
_QUERY_BODY: Mapping[str, Read] = {"queryResults": _as_it_stands}
_RESULTS: Mapping[str, Read] = {
    "queryName": text,
    "subscriptionID": text,
    "resultsBody": _as_it_stands,
}
_RESULTS_BODY: Mapping[str, Read] = {**_BODY, "vocabularyList": vocabularies}
_Level = tuple[str, Mapping[str, Read], tuple[str, ...]]
"""A property, how what stands in it is read, and what must stand in it."""
_LEVELS: tuple[_Level, ...] = (("epcisBody", _BODY, ("eventList",)),)
_QUERY_LEVELS: tuple[_Level, ...] = (
    ("epcisBody", _QUERY_BODY, ("queryResults",)),
    ("queryResults", _RESULTS, ("resultsBody", "queryName")),
    ("resultsBody", _RESULTS_BODY, ("eventList",)),
)
