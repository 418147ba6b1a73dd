"""XML documents, EPCIS 1.2 and 2.0, in the shape of the JSON binding.

What is read is not judged here: what no EPCIS element is comes out as a property that the JSON
binding does not know, and is told as such where the document is read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree
from msgspec import Struct

from cloud.trace.xml.names import (
    EVENT_NAMESPACES,
    HEADER_NAMESPACE,
    QUERY_NAMESPACES,
    XSI,
    Prefixes,
    json_name,
)
from protocols.epcis.standard import Standard
from protocols.errors import RefuseInput

_ROOTS = {
    **{f"{{{namespace}}}EPCISDocument": "EPCISDocument" for namespace in EVENT_NAMESPACES},
    **{
        f"{{{namespace}}}EPCISQueryDocument": "EPCISQueryDocument" for namespace in QUERY_NAMESPACES
    },
}
_WRAPPERS = frozenset({"extension", "baseExtension"})
"""Elements of EPCIS 1.x around what later versions added."""
_INTEGER = re.compile("[+-]?[0-9]{1,30}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_NUMBERS = frozenset(
    ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue", "quantity")
)
_QUANTITY_LISTS = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")
_EPC_LISTS = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_TYPED_LISTS = {
    "bizTransactionList": ("bizTransaction", "bizTransactionType"),
    "sourceList": ("source", "sourceDestinationType"),
    "destinationList": ("destination", "sourceDestinationType"),
}
_WORDS = {"bizStep": "bizStep", "disposition": "disposition", "reason": "errorReason"}
_REPORT_WORDS = {"type": "measurementType", "exception": "exception", "component": "component"}
_COMPACT = ("cbv:", "gs1:")
"""Prefixes by which XML documents name standard values, whether they declare them or not."""


class XmlDocument(Struct, frozen=True):
    """A document that was XML."""

    document: dict[str, Any]
    """In the shape of the JSON binding, whose first schema version is 2.0."""
    namespaces: Mapping[str, str]
    """By prefix of the names in `document`, each as the XML has it; for master data attributes of
    the CBV it is written otherwise in the context of `document`."""


def read_xml(data: bytes, standard: Standard, *, bytes_max: int) -> XmlDocument:
    """Read an EPCISDocument or an EPCISQueryDocument.

    No entity is resolved, no DTD is read, nothing is fetched; more than 256 levels of elements and
    more than 10 million characters in one text are refused by the parser.

    Args:
        data: the document.
        standard: whose vocabulary becomes bare words, and whose context comes first.
        bytes_max: of a document.

    Raises:
        RefuseInput: `too_large`; `bad_xml`, with line and column where there is one.

    """
    if len(data) > bytes_max:
        raise RefuseInput("too_large", f"expected at most {bytes_max} bytes, found {len(data)}")
    root = _parse(data)
    type_ = _ROOTS.get(root.tag)
    if type_ is None:
        expected = "EPCISDocument or EPCISQueryDocument in a namespace of EPCIS 1.x or 2.x"
        raise _refused(root.sourceline or 1, 1, f"expected {expected}, found {root.tag[:200]}")
    reader = _Reader(standard)
    reader.prefixes.declare_all(root.nsmap)
    document = {"type": type_, **reader.document(root)}
    contexts = [next(iter(standard.contexts)), *_declarations(reader.prefixes)]
    return XmlDocument(
        {"@context": contexts, **document}, {**standard.prefixes, **reader.prefixes.as_written}
    )


def _declarations(prefixes: Prefixes) -> list[dict[str, str]]:
    return [prefixes.declared] if prefixes.declared else []


def _parse(data: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise _refused(line, column, error.msg or "no XML") from None
    except ValueError as error:  # an encoding that is none
        raise _refused(1, 1, str(error)) from None
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and (dtd.system_url or dtd.external_id or any(dtd.iterentities())):
        raise _refused(1, 1, "expected no document type with entities or an address, found one")
    return root


def _refused(line: int, column: int, detail: str) -> RefuseInput:
    return RefuseInput("bad_xml", f"line {line}, column {column}: {detail[:300]}")


class _Reader:
    """Turns elements of one document into the shape of the JSON binding."""

    def __init__(self, standard: Standard) -> None:
        self._standard = standard
        self.prefixes = Prefixes(standard.prefixes)
        self._namespaces = standard.prefixes

    def document(self, root: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if (version := root.get("schemaVersion")) is not None:
            found["schemaVersion"] = "2.0" if version.startswith("1") else version
        if (created := root.get("creationDate")) is not None:
            found["creationDate"] = created
        for child in _children(root):
            name = self._name(child)
            if name == "EPCISHeader":
                found.update(self._header(child))
            elif name == "EPCISBody":
                found["epcisBody"] = self._body(child)
            else:
                found[name] = self._free(child)
        return found

    def _body(self, element: etree._Element) -> dict[str, Any]:
        """Read a body, query results, or what is in them."""
        found: dict[str, Any] = {}
        for child in _children(element):
            name = self._name(child)
            if name == "EventList":
                found["eventList"] = [self.event(one) for one in _children(child)]
            elif name == "VocabularyList":
                found["vocabularyList"] = [self._vocabulary(one) for one in _children(child)]
            elif name == "QueryResults":
                found["queryResults"] = self._body(child)
            elif name == "resultsBody":
                found[name] = self._body(child)
            else:
                found[name] = self._free(child)
        return found

    def event(self, element: etree._Element) -> dict[str, Any]:
        self.prefixes.declare_all(element.nsmap)
        found: dict[str, Any] = {"type": self._name(element)}
        for child in _children(element):
            self._property(found, self._name(child), child)
        if found["type"] == "QuantityEvent":
            return _as_object_event(found)
        return found

    def _property(self, into: dict[str, Any], name: str, child: etree._Element) -> None:
        """Read one property of an event; an empty list, which 1.2 demands, says nothing."""
        if name in _EPC_LISTS:
            _set(into, name, [_text(one) for one in _children(child)])
        elif name in _QUANTITY_LISTS:
            _set(into, name, [self._record(one) for one in _children(child)])
        elif name in _TYPED_LISTS:
            of, words = _TYPED_LISTS[name]
            _set(into, name, [self._typed(one, of, words) for one in _children(child)])
        elif name == "sensorElementList":
            into[name] = [self._sensor_element(one) for one in _children(child)]
        elif name == "persistentDisposition":
            into[name] = self._dispositions(child)
        elif name == "errorDeclaration":
            into[name] = self._declaration(child)
        elif name in {"readPoint", "bizLocation", "ilmd"}:
            into[name] = self._record(child)
        elif name in _WORDS:
            into[name] = self._word(_WORDS[name], _text(child))
        else:
            _add(into, name, self._simple(name, child))

    def _record(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in _children(element):
            name = self._name(child)
            _add(found, name, self._simple(name, child))
        return found

    def _simple(self, name: str, element: etree._Element) -> Any:
        value = self._free(element)
        return _number(value) if name in _NUMBERS and isinstance(value, str) else value

    def _typed(self, element: etree._Element, name: str, words: str) -> dict[str, Any]:
        type_ = element.get("type")
        found = {} if type_ is None else {"type": self._word(words, type_)}
        return {**found, name: _text(element)}

    def _dispositions(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in _children(element):
            words = found.setdefault(self._name(child), [])
            words.append(self._word("disposition", _text(child)))
        return found

    def _declaration(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in _children(element):
            name = self._name(child)
            if name == "correctiveEventIDs":
                _set(found, name, [_text(one) for one in _children(child)])
            elif name in _WORDS:
                found[name] = self._word(_WORDS[name], _text(child))
            else:
                _add(found, name, self._free(child))
        return found

    def _sensor_element(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in _children(element):
            name = self._name(child)
            if name == "sensorReport":
                found.setdefault(name, []).append(self._measured(child))
            elif name == "sensorMetadata":
                found[name] = self._measured(child)
            else:
                _add(found, name, self._free(child))
        return found

    def _measured(self, element: etree._Element) -> dict[str, Any]:
        """Read what says all in attributes; an extension may also be an element."""
        found: dict[str, Any] = {}
        for name, text in self._attributes(element):
            if name in _NUMBERS:
                found[name] = _number(text)
            elif name in _REPORT_WORDS:
                found[name] = self._word(_REPORT_WORDS[name], text)
            elif name == "booleanValue":
                found[name] = {"true": True, "1": True, "false": False, "0": False}.get(text, text)
            else:
                found[name] = text
        for child in _children(element):
            _add(found, self._name(child), self._free(child))
        return found

    def _free(self, element: etree._Element) -> Any:
        """Read an element without a schema: its text, or an object of what it holds."""
        found: dict[str, Any] = dict(self._attributes(element))
        for child in element:
            _add(found, self._name(child), self._free(child))
        text = _text(element)
        if not found:
            return _of_type(element, text)
        if text:
            found["#text"] = text
        return found

    def _header(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in _children(element):
            if child.tag == f"{{{HEADER_NAMESPACE}}}StandardBusinessDocumentHeader":
                found.update(_business_header(child))
            elif self._name(child) == "EPCISMasterData":
                lists = [one for one in _children(child) if self._name(one) == "VocabularyList"]
                vocabularies = [self._vocabulary(one) for each in lists for one in _children(each)]
                found["epcisHeader"] = {"epcisMasterData": {"vocabularyList": vocabularies}}
            else:
                found[self._name(child)] = self._free(child)
        return found

    def _vocabulary(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = dict(self._attributes(element))
        for child in _children(element):
            name = self._name(child)
            if name == "VocabularyElementList":
                found["vocabularyElementList"] = [self._element(one) for one in _children(child)]
            else:
                _add(found, name, self._free(child))
        return found

    def _element(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = dict(self._attributes(element))
        for child in _children(element):
            name = self._name(child)
            if name == "attribute":
                value = self._free(child)
                id_ = value.pop("id", "") if isinstance(value, dict) else ""
                if isinstance(value, dict) and value.keys() <= {"#text"}:
                    value = value.get("#text", "")
                found.setdefault("attributes", []).append({"id": id_, "attribute": value})
            elif name == "children":
                found[name] = [_text(one) for one in _children(child)]
            else:
                _add(found, name, self._free(child))
        return found

    def _word(self, list_id: str, text: str) -> str:
        """Return a standard value as bare word, any other as it stands."""
        values = self._standard.lists[list_id]
        full = text
        if text.startswith(_COMPACT):
            prefix, _, local = text.partition(":")
            full = self._namespaces[prefix] + local
        for start in (values.namespace, values.urn):
            if start and full.startswith(start) and full.removeprefix(start) in values.by_word:
                return full.removeprefix(start)
        return text

    def _name(self, element: etree._Element) -> str:
        return self._json_name(str(element.tag), element.prefix)

    def _attributes(self, element: etree._Element) -> Iterator[tuple[str, str]]:
        for tag, value in element.attrib.items():
            if tag.startswith("{"):
                namespace = tag[1:].partition("}")[0]
                if namespace != XSI:
                    prefix = next(
                        (p for p, n in element.nsmap.items() if n == namespace and p), None
                    )
                    yield self._json_name(tag, prefix), value
            else:
                yield json_name(tag), value

    def _json_name(self, tag: str, prefix: str | None) -> str:
        namespace, _, local = tag.rpartition("}")
        namespace = namespace[1:]
        if not namespace or namespace in EVENT_NAMESPACES or namespace in QUERY_NAMESPACES:
            return json_name(local)
        return f"{self.prefixes.declare(prefix, namespace)}:{json_name(local)}"


def _children(element: etree._Element) -> Iterator[etree._Element]:
    """Yield the elements in an element, and those in wrappers as if they stood there."""
    for child in element:
        if child.tag in _WRAPPERS:
            yield from _children(child)
        else:
            yield child


def _text(element: etree._Element) -> str:
    return (element.text or "").strip()


def _number(text: str) -> Any:
    if _INTEGER.fullmatch(text) is not None:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) is not None else text


def _of_type(element: etree._Element, text: str) -> Any:
    """Read text as the type that the element names, where that is one of JSON's."""
    type_ = element.get(f"{{{XSI}}}type")
    if type_ is None:
        return text
    local = type_.rpartition(":")[2]
    if local in {"integer", "double"}:
        return _number(text)
    return {"true": True, "false": False}.get(text, text) if local == "boolean" else text


def _set(into: dict[str, Any], name: str, values: list[Any]) -> None:
    if values:
        into[name] = values


def _add(into: dict[str, Any], name: str, value: Any) -> None:
    """Set a property; what is there twice becomes a list."""
    if name not in into:
        into[name] = value
    elif isinstance(into[name], list):
        into[name].append(value)
    else:
        into[name] = [into[name], value]


def _business_header(element: etree._Element) -> dict[str, str]:
    paths = {
        "sender": "Sender/Identifier",
        "receiver": "Receiver/Identifier",
        "instanceIdentifier": "DocumentIdentification/InstanceIdentifier",
    }
    found = {}
    for name, path in paths.items():
        steps = "/".join(f"{{{HEADER_NAMESPACE}}}{step}" for step in path.split("/"))
        if text := (element.findtext(steps) or "").strip():
            found[name] = text
    return found


def _as_object_event(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event that version 1.1 put in the place of a QuantityEvent (EPCIS 1.1, 7.4.4)."""
    of = {name: event.pop(name) for name in ("epcClass", "quantity") if name in event}
    return {**event, "type": "ObjectEvent", "action": "OBSERVE", "quantityList": [of]}
