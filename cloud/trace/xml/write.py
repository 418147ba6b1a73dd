"""Events of the JSON binding in the XML binding 2.0."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lxml import etree

from cloud.trace.xml.lists import REPEATED, REPORT_WORDS, TYPES, WORDS
from cloud.trace.xml.names import XSD, XSI, split_name, xml_name, xml_namespace, xml_text
from protocols.epcis.standard import Standard

Words = Literal["web", "urn"]
"""How standard values are written: `https://ref.gs1.org/cbv/BizStep-shipping`, or, where there is
one, `urn:epcglobal:cbv:bizstep:shipping`."""
Namespaces = Mapping[str, str]
_WHEN = ("eventTime", "recordTime", "eventTimeZoneOffset", "eventID", "errorDeclaration")
_WHY = ("action", "transformationID", "bizStep", "disposition", "readPoint", "bizLocation")
_REST = ("sourceList", "destinationList", "sensorElementList", "persistentDisposition", "ilmd")
_ORDER = (
    *_WHEN,
    "certificationInfo",
    "parentID",
    "childEPCs",
    "childQuantityList",
    "epcList",
    "inputEPCList",
    "inputQuantityList",
    "outputEPCList",
    "outputQuantityList",
    *_WHY,
    "bizTransactionList",
    "quantityList",
    *_REST,
)
"""Of the properties of an event, as the schema of the XML binding has it."""
_ORDERS = {
    "TransactionEvent": (
        *_WHEN,
        "certificationInfo",
        "bizTransactionList",
        "parentID",
        "epcList",
        *_WHY,
        "quantityList",
        *_REST,
    ),
    "AggregationEvent": (
        *_WHEN,
        "certificationInfo",
        "parentID",
        "childEPCs",
        *_WHY,
        "bizTransactionList",
        "childQuantityList",
        *_REST,
    ),
}
_EMPTY_LISTS = {
    "ObjectEvent": "epcList",
    "AggregationEvent": "childEPCs",
    "TransactionEvent": "epcList",
}
"""Lists that the schema wants even where they say nothing."""
_QUANTITY = ("epcClass", "quantity", "uom")
_OBJECTS: Mapping[str, tuple[str, ...]] = {
    "errorDeclaration": ("declarationTime", "reason", "correctiveEventIDs"),
    "readPoint": ("id",),
    "bizLocation": ("id",),
    "ilmd": (),
}
_NOT_WRITTEN = frozenset({"type", "@context"})
_PREFIX = re.compile(r"(?!xml)[A-Za-z_][A-Za-z0-9_.-]*", re.IGNORECASE)


def write_event(
    body: Mapping[str, Any], namespaces: Namespaces, standard: Standard, *, words: Words
) -> bytes:
    """Write one event, as it stands in an `EventList`; it declares the namespaces that it uses.

    What XML cannot write is bent: of names, other characters than a name's become `_x0020_`; in
    text, control characters become U+FFFD.

    Args:
        body: A valid event in the shape of the JSON binding.
        namespaces: By prefix.
        standard: whose vocabulary is written in full.
        words: How.

    """
    return _Writer(namespaces, standard, words).event(body)


class _Writer:
    """Writes one event."""

    def __init__(self, namespaces: Namespaces, standard: Standard, words: Words) -> None:
        self._namespaces = namespaces
        self._standard = standard
        self._words = words

    def event(self, body: Mapping[str, Any]) -> bytes:
        type_ = str(body["type"])
        element = etree.Element(self._tag(type_), nsmap=self._nsmap(body))
        order = _ORDERS.get(type_, _ORDER)
        for name in order:
            if name in body:
                self._property(element, name, body[name])
            elif _EMPTY_LISTS.get(type_) == name:
                etree.SubElement(element, name)
        for name, value in body.items():
            if name not in order and name not in _NOT_WRITTEN:
                self._property(element, name, value)
        written: bytes = etree.tostring(element, encoding="utf-8")
        return written

    def _property(self, parent: etree._Element, name: str, value: Any) -> None:
        if name in REPEATED:
            element = etree.SubElement(parent, name)
            for one in value:
                self._repeated(element, name, one)
        elif name in _OBJECTS:
            self._object(etree.SubElement(parent, name), value, _OBJECTS[name])
        elif name == "persistentDisposition":
            self._dispositions(etree.SubElement(parent, name), value)
        elif name in WORDS:
            self._leaf(parent, name, self._word(WORDS[name], value))
        else:
            self._free(parent, name, value)

    def _repeated(self, parent: etree._Element, name: str, value: Any) -> None:
        """Write one of a list, under the name that it has in XML."""
        of = REPEATED[name]
        if name in TYPES:
            element = self._leaf(parent, of, value[of])
            if "type" in value:
                element.set("type", xml_text(self._word(TYPES[name], value["type"])))
        elif of == "sensorElement":
            self._sensor_element(etree.SubElement(parent, of), value)
        elif of == "quantityElement":
            self._object(etree.SubElement(parent, of), value, _QUANTITY)
        else:
            self._leaf(parent, of, value)

    def _object(
        self, element: etree._Element, value: Mapping[str, Any], order: tuple[str, ...]
    ) -> None:
        for name in order:
            if name in value:
                self._property(element, name, value[name])
        for name, one in value.items():
            if name not in order:
                self._property(element, name, one)

    def _dispositions(self, element: etree._Element, value: Mapping[str, Any]) -> None:
        for name in ("unset", "set"):
            words = value.get(name, [])
            for word in words if isinstance(words, list) else [words]:
                self._leaf(element, name, self._word("disposition", word))

    def _sensor_element(self, element: etree._Element, value: Mapping[str, Any]) -> None:
        if "sensorMetadata" in value:
            self._measured(etree.SubElement(element, "sensorMetadata"), value["sensorMetadata"])
        reports = value.get("sensorReport", [])
        for report in reports if isinstance(reports, list) else [reports]:
            self._measured(etree.SubElement(element, "sensorReport"), report)
        for name, one in value.items():
            if name not in {"sensorMetadata", "sensorReport"}:
                self._free(element, name, one)

    def _measured(self, element: etree._Element, value: Mapping[str, Any]) -> None:
        """Write all as attributes but what only elements can hold."""
        for name, one in value.items():
            if isinstance(one, (dict, list)):
                self._free(element, name, one)
            elif one is not None:
                text = self._word(REPORT_WORDS[name], one) if name in REPORT_WORDS else _text(one)
                element.set(self._tag(name), xml_text(text))

    def _free(self, parent: etree._Element, name: str, value: Any) -> None:
        """Write what has no schema; JSON's own types are told by `xsi:type`."""
        if isinstance(value, list):
            for one in value:
                self._free(parent, name, one)
        elif isinstance(value, Mapping):
            element = etree.SubElement(parent, self._tag(name))
            text = value.get("#text")
            element.text = None if text is None else xml_text(_text(text))
            for key, one in value.items():
                if text is not None and not isinstance(one, (dict, list)) and key != "#text":
                    element.set(self._tag(key), xml_text(_text(one)))
                elif key != "#text":
                    self._free(element, key, one)
        elif isinstance(value, str) or name in _QUANTITY:
            self._leaf(parent, self._tag(name), _text(value))
        elif value is not None:
            element = etree.SubElement(parent, self._tag(name), nsmap={"xsi": XSI, "xsd": XSD})
            element.text = _text(value)
            element.set(f"{{{XSI}}}type", f"xsd:{_xsd_type(value)}")

    def _leaf(self, parent: etree._Element, tag: str, text: str) -> etree._Element:
        element = etree.SubElement(parent, tag)
        element.text = xml_text(text)
        return element

    def _word(self, list_id: str, text: str) -> str:
        """Write a standard value in full, any other as it stands."""
        values = self._standard.lists[list_id]
        full = values.by_word.get(text, text)
        if self._words == "urn" and values.urn and full.startswith(values.namespace):
            return values.urn + full.removeprefix(values.namespace)
        return full

    def _tag(self, name: str) -> str:
        namespace, local = split_name(name, self._namespaces)
        local = xml_name(local)
        return local if namespace is None else f"{{{namespace}}}{local}"

    def _nsmap(self, body: Mapping[str, Any]) -> dict[str, str]:
        """Return the namespaces that names or values use, by prefix."""
        found = {}
        for text in _all_texts(body):
            prefix, colon, _ = text.partition(":")
            if colon and prefix in self._namespaces and _PREFIX.fullmatch(prefix):
                found[prefix] = xml_namespace(self._namespaces[prefix])
        return found


def _all_texts(value: Any) -> Iterator[str]:
    """Yield each name and each text of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield name
            yield from _all_texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _all_texts(one)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _xsd_type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "double"
