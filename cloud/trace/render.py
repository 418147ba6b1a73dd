"""Events as answers: in JSON or XML, identifiers and standard values in the form asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from xml.sax.saxutils import escape, quoteattr

import msgspec

from cloud.trace.base import EpcFormat, Formats, Listing
from cloud.trace.xml.names import EVENT_NAMESPACES, QUERY_NAMESPACES, xml_text
from cloud.trace.xml.write import write_event
from protocols.codes.epc_uri import canonical_id, epc_urn
from protocols.epcis.contexts import read_contexts
from protocols.epcis.inspection import Inspection
from protocols.epcis.standard import Standard
from protocols.epcis.tolerances import STANDARD

Binding = Literal["json", "xml"]
CHUNK_BYTES = 65_536
"""At least, of all chunks of a document but the last."""
_RESOURCE_WORDS = {"bizSteps": "bizStep", "dispositions": "disposition"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDENTIFIERS = ("parentID", "transformationID")
_LISTS = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_OBJECTS = {
    "readPoint": "id",
    "bizLocation": "id",
    "sensorMetadata": "deviceID",
}
_WORD_LISTS: Mapping[Listing, str] = {"bizSteps": "bizStep", "dispositions": "disposition"}
_OBJECT_LISTS = {
    "quantityList": "epcClass",
    "childQuantityList": "epcClass",
    "inputQuantityList": "epcClass",
    "outputQuantityList": "epcClass",
    "bizTransactionList": "bizTransaction",
    "sourceList": "source",
    "destinationList": "destination",
    "sensorReport": "deviceID",
}


class Renderable(Protocol):
    """What is rendered of an event of the repository."""

    @property
    def body(self) -> Mapping[str, Any]:
        """As captured, in the shape of the JSON binding."""

    @property
    def contexts(self) -> Sequence[str | Mapping[str, Any]]:
        """That held for it."""

    @property
    def event_id(self) -> str:
        """As captured, or its hash."""

    @property
    def record_time_us(self) -> int:
        """When it was recorded, us since 1970 UTC."""


class Renderer:
    """Renders events for one answer."""

    def __init__(self, standard: Standard, formats: Formats) -> None:
        self._standard = standard
        self._translate = _TRANSLATIONS[formats.epc]
        self._words: Literal["web", "urn"] = "urn" if formats.cbv_xml == "Always_URN" else "web"
        self._namespaces: dict[bytes, Mapping[str, str]] = {}

    def document(
        self, binding: Binding, events: Iterable[Renderable], *, created_us: int
    ) -> Iterator[bytes]:
        """Yield an EPCISDocument, UTF-8, in chunks."""
        write = self._xml_document if binding == "xml" else self._json_document
        return _in_chunks(write(events, created_us))

    def query_document(
        self,
        binding: Binding,
        events: Iterable[Renderable],
        *,
        created_us: int,
        query_name: str,
        subscription_id: str | None = None,
    ) -> Iterator[bytes]:
        """Yield an EPCISQueryDocument, UTF-8, in chunks."""
        names = {"queryName": query_name}
        if subscription_id is not None:
            names = {"subscriptionID": subscription_id, **names}
        write = self._xml_document if binding == "xml" else self._json_document
        return _in_chunks(write(events, created_us, names))

    def json_event(self, event: Renderable) -> bytes:
        """Return one event; contexts besides that of EPCIS are its own."""
        body = self._body(event)
        if own := [one for one in event.contexts if not self._is_epcis(one)]:
            body = {"@context": own, **body}
        return msgspec.json.encode(body)

    def xml_event(self, event: Renderable) -> bytes:
        """Return one event as an element."""
        namespaces = self._namespaces_of(event.contexts)
        return write_event(self._body(event), namespaces, self._standard, words=self._words)

    def value(self, kind: str, value: str) -> str:
        """Return a value of a top-level resource, such as `bizSteps`, as events have it."""
        if kind in _RESOURCE_WORDS:
            values = self._standard.lists[_RESOURCE_WORDS[kind]]
            word = value.removeprefix(values.namespace)
            return word if values.by_word.get(word) == value else value
        return self._translate(value) if self._translate and kind != "eventTypes" else value

    def _body(self, event: Renderable) -> dict[str, Any]:
        body = translated(event.body, self._translate) if self._translate else event.body
        added = {"eventID": event.event_id, "recordTime": _time(event.record_time_us)}
        return {**body, **added}

    def _json_document(
        self, events: Iterable[Renderable], created_us: int, query: Mapping[str, str] | None = None
    ) -> Iterator[bytes]:
        head = {
            "@context": [next(iter(self._standard.contexts))],
            "type": "EPCISDocument" if query is None else "EPCISQueryDocument",
            "schemaVersion": "2.0",
            "creationDate": _time(created_us),
        }
        start, end = b',"epcisBody":{"eventList":[', b"]}}"
        if query is not None:
            start = b',"epcisBody":{"queryResults":' + msgspec.json.encode(query)[:-1]
            start, end = start + b',"resultsBody":{"eventList":[', b"]}}}}"
        yield msgspec.json.encode(head)[:-1] + start
        comma = b""
        for event in events:
            yield comma + self.json_event(event)
            comma = b","
        yield end

    def _xml_document(
        self, events: Iterable[Renderable], created_us: int, query: Mapping[str, str] | None = None
    ) -> Iterator[bytes]:
        prefix, name, namespace = "epcis", "EPCISDocument", EVENT_NAMESPACES[0]
        inside, end = "", ""
        if query is not None:
            prefix, name, namespace = "epcisq", "EPCISQueryDocument", QUERY_NAMESPACES[0]
            texts = ((key, query[key]) for key in ("queryName", "subscriptionID") if key in query)
            inside = "".join(f"<{key}>{escape(xml_text(text))}</{key}>" for key, text in texts)
            inside = f"<epcisq:QueryResults>{inside}<resultsBody>"
            end = "</resultsBody></epcisq:QueryResults>"
        yield (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<{prefix}:{name} xmlns:{prefix}="{namespace}"'
            f' schemaVersion="2.0" creationDate={quoteattr(_time(created_us))}>'
            f"<EPCISBody>{inside}<EventList>"
        ).encode()
        for event in events:
            yield self.xml_event(event)
        yield f"</EventList>{end}</EPCISBody></{prefix}:{name}>".encode()

    def _is_epcis(self, context: str | Mapping[str, Any]) -> bool:
        known = self._standard.contexts.get(context) if isinstance(context, str) else None
        return known is not None and known.epcis

    def _namespaces_of(self, contexts: Sequence[str | Mapping[str, Any]]) -> Mapping[str, str]:
        key = msgspec.json.encode(contexts)
        if key not in self._namespaces:
            see = Inspection(self._standard, STANDARD, now_us=0)
            self._namespaces[key] = read_contexts(see, "", list(contexts), {})[1]
        return self._namespaces[key]


def listed_value(kind: Listing, value: str, epc_format: EpcFormat, standard: Standard) -> str:
    """Return a value of a top-level resource as events in JSON have it.

    Args:
        kind: the resource.
        value: canonical; what it was captured as is not known.
        epc_format: of identifiers.
        standard: whose words stand alone.

    """
    if kind == "eventTypes":
        return value
    if kind in _WORD_LISTS:
        values = standard.lists[_WORD_LISTS[kind]]
        word = value.removeprefix(values.namespace)
        return word if word in values.by_word else value
    translate = _TRANSLATIONS[epc_format]
    return translate(value) if translate else value


def translated(body: Mapping[str, Any], translate: Callable[[str], str]) -> dict[str, Any]:
    """Return an event, or a part of it, with what names things and places translated.

    Extensions, and addresses that are there to be opened, stay as they are.
    """
    found = dict(body)
    for name in _IDENTIFIERS:
        if name in body:
            found[name] = translate(body[name])
    for name in _LISTS:
        if name in body:
            found[name] = [translate(one) for one in body[name]]
    for name, of in _OBJECTS.items():
        if name in body:
            found[name] = _with_one(body[name], of, translate)
    for name, of in _OBJECT_LISTS.items():
        if name in body:
            found[name] = [_with_one(one, of, translate) for one in body[name]]
    if "sensorElementList" in body:
        found["sensorElementList"] = [translated(e, translate) for e in body["sensorElementList"]]
    return found


def _with_one(
    value: Mapping[str, Any], name: str, translate: Callable[[str], str]
) -> Mapping[str, Any]:
    return {**value, name: translate(value[name])} if name in value else value


def _to_link(text: str) -> str:
    return canonical_id(text) if text.startswith("urn:epc:") else text


def _to_urn(text: str) -> str:
    return text if text.startswith("urn:epc:") else epc_urn(canonical_id(text)) or text


_TRANSLATIONS: Mapping[EpcFormat, Callable[[str], str] | None] = {
    "Always_GS1_Digital_Link": _to_link,
    "Always_EPC_URN": _to_urn,
    "No_Preference": None,
    "Never_Translates": None,
}


def _time(moment_us: int) -> str:
    moment = _EPOCH + timedelta(microseconds=moment_us)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def _in_chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for part in parts:
        held += part
        if len(held) >= CHUNK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
