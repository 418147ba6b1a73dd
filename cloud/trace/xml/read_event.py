"""One event, from the XML binding to the shape of the JSON binding."""

from collections.abc import Callable
from typing import Any

from lxml import etree

from cloud.trace.xml.elements import Elements, add, boolean, children, number, text_of
from cloud.trace.xml.lists import REPEATED, REPORT_WORDS, TYPES, WORDS
from protocols.epcis.standard import Standard

_NUMBERS = frozenset(
    ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue", "quantity")
)
_COMPACT = ("cbv:", "gs1:")
"""Prefixes by which XML documents name standard values, whether they declare them or not."""


class EventReader:
    """Reads the events of one document."""

    def __init__(self, elements: Elements, standard: Standard) -> None:
        self._elements = elements
        self._standard = standard

    def read(self, element: etree._Element) -> dict[str, Any]:
        """Read one event."""
        self._elements.prefixes.declare_all(element.nsmap)
        found: dict[str, Any] = {"type": self._elements.name(element)}
        for child in children(element):
            name = self._elements.name(child)
            value = self._property(name, child)
            if value != []:  # version 1.2 demands lists even where they say nothing
                add(found, name, value)
        if found["type"] == "QuantityEvent":
            return _as_object_event(found)
        return found

    def _property(self, name: str, element: etree._Element) -> Any:
        if name in REPEATED:
            return self._elements.each(element, REPEATED[name], self._reader(name))
        if name == "persistentDisposition":
            return self._dispositions(element)
        if name in {"readPoint", "bizLocation", "ilmd", "errorDeclaration"}:
            return self._record(element)
        return self._simple(name, element)

    def _reader(self, name: str) -> Callable[[etree._Element], Any]:
        """Return what reads one of a list."""
        of = REPEATED[name]
        if name in TYPES:
            return lambda one: self._typed(one, of, TYPES[name])
        readers = {"quantityElement": self._record, "sensorElement": self._sensor_element}
        return readers.get(of, text_of)

    def _record(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in children(element):
            name = self._elements.name(child)
            if name == "correctiveEventIDs":
                add(found, name, self._elements.each(child, REPEATED[name], text_of))
            else:
                add(found, name, self._simple(name, child))
        return found

    def _simple(self, name: str, element: etree._Element) -> Any:
        value = self._elements.free(element)
        if isinstance(value, str) and name in _NUMBERS:
            return number(value)
        if isinstance(value, str) and name in WORDS:
            return self._word(WORDS[name], value)
        return value

    def _typed(self, element: etree._Element, name: str, words: str) -> dict[str, Any]:
        type_ = element.get("type")
        found = {} if type_ is None else {"type": self._word(words, type_)}
        return {**found, name: text_of(element)}

    def _dispositions(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in children(element):
            words = found.setdefault(self._elements.name(child), [])
            words.append(self._word("disposition", text_of(child)))
        return found

    def _sensor_element(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in children(element):
            name = self._elements.name(child)
            if name == "sensorReport":
                found.setdefault(name, []).append(self._measured(child))
            elif name == "sensorMetadata":
                add(found, name, self._measured(child))
            else:
                add(found, name, self._elements.free(child))
        return found

    def _measured(self, element: etree._Element) -> dict[str, Any]:
        """Read what says all in attributes; an extension may also be an element."""
        found: dict[str, Any] = {}
        for name, text in self._elements.attributes(element):
            if name in _NUMBERS:
                found[name] = number(text)
            elif name in REPORT_WORDS:
                found[name] = self._word(REPORT_WORDS[name], text)
            else:
                found[name] = boolean(text) if name == "booleanValue" else text
        for child in children(element):
            add(found, self._elements.name(child), self._elements.free(child))
        return found

    def _word(self, list_id: str, text: str) -> str:
        """Return a standard value as bare word, any other as it stands."""
        values = self._standard.lists[list_id]
        full = text
        if text.startswith(_COMPACT):
            prefix, _, local = text.partition(":")
            full = self._standard.prefixes[prefix] + local
        for start in (values.namespace, values.urn):
            if start and full.startswith(start) and full.removeprefix(start) in values.by_word:
                return full.removeprefix(start)
        return text


def _as_object_event(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event that later versions have in the place of a QuantityEvent (EPCIS 1.1)."""
    of = {name: event.pop(name) for name in ("epcClass", "quantity") if name in event}
    return {**event, "type": "ObjectEvent", "action": "OBSERVE", "quantityList": [of]}
