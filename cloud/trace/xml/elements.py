"""Elements of one XML document as names and values of the JSON binding."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from lxml import etree

from cloud.trace.xml.names import EVENT_NAMESPACES, QUERY_NAMESPACES, XSI, Prefixes, json_name

_WRAPPERS = frozenset({"extension", "baseExtension"})
"""Elements of EPCIS 1.x around what later versions added."""
_INTEGER = re.compile("[+-]?[0-9]{1,30}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Elements:
    """Reads elements without regard to what they mean."""

    def __init__(self, prefixes: Prefixes) -> None:
        self.prefixes = prefixes

    def name(self, element: etree._Element) -> str:
        """Return the name of an element: bare for one of EPCIS, else with a prefix."""
        return self._json_name(str(element.tag), element.prefix)

    def attributes(self, element: etree._Element) -> Iterator[tuple[str, str]]:
        """Yield names and values of attributes, but for those that speak of the schema."""
        prefixes: dict[str, str] | None = None
        for tag, value in element.attrib.items():
            if not tag.startswith("{"):
                yield json_name(tag), value
                continue
            if prefixes is None:
                prefixes = {namespace: p for p, namespace in element.nsmap.items() if p}
            namespace = tag[1:].partition("}")[0]
            if namespace != XSI:
                yield self._json_name(tag, prefixes.get(namespace)), value

    def free(self, element: etree._Element) -> Any:
        """Read an element without a schema: its text, or an object of what it holds."""
        found: dict[str, Any] = dict(self.attributes(element))
        for child in element:
            add(found, self.name(child), self.free(child))
        text = text_of(element)
        if not found:
            return _of_type(element, text)
        if text:
            found["#text"] = text
        return found

    def each(
        self, element: etree._Element, of: str, read: Callable[[etree._Element], Any]
    ) -> list[Any]:
        """Read a list of elements of one name; another becomes an object, which none of them is."""
        found = []
        for child in children(element):
            name = self.name(child)
            found.append(read(child) if name == of else {name: self.free(child)})
        return found

    def _json_name(self, tag: str, prefix: str | None) -> str:
        start, _, local = tag.rpartition("}")
        namespace = start[1:]
        if not namespace or namespace in EVENT_NAMESPACES or namespace in QUERY_NAMESPACES:
            return json_name(local)
        return f"{self.prefixes.declare(prefix, namespace)}:{json_name(local)}"


def children(element: etree._Element) -> Iterator[etree._Element]:
    """Yield the elements in an element, and those in wrappers as if they stood there."""
    for child in element:
        if child.tag in _WRAPPERS:
            yield from children(child)
        else:
            yield child


def text_of(element: etree._Element) -> str:
    """Return the text before the first element in an element, without space around it."""
    return (element.text or "").strip()


def number(text: str) -> Any:
    """Read a number; what is none comes back as it stands."""
    if _INTEGER.fullmatch(text) is not None:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) is not None else text


def boolean(text: str) -> Any:
    """Read an xsd:boolean; what is none comes back as it stands."""
    return _BOOLEANS.get(text, text)


def add(into: dict[str, Any], name: str, value: Any) -> None:
    """Set a property; what is there twice becomes a list."""
    if name not in into:
        into[name] = value
    elif isinstance(into[name], list):
        into[name].append(value)
    else:
        into[name] = [into[name], value]


def _of_type(element: etree._Element, text: str) -> Any:
    """Read text as the type that the element names, where that is one of JSON's."""
    type_ = element.get(f"{{{XSI}}}type", "").rpartition(":")[2]
    if type_ in {"integer", "double"}:
        return number(text)
    return boolean(text) if type_ == "boolean" else text
