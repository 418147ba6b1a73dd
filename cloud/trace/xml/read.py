"""XML documents, EPCIS 1.2 and 2.0, in the shape of the JSON binding.

What is read is not judged here: what no EPCIS element is comes out as a property that the JSON
binding does not know, and is told as such where the document is read.
"""

from collections.abc import Mapping
from typing import Any

from lxml import etree
from msgspec import Struct

from cloud.trace.xml.elements import Elements, add, children, text_of
from cloud.trace.xml.names import EVENT_NAMESPACES, HEADER_NAMESPACE, QUERY_NAMESPACES, Prefixes
from cloud.trace.xml.read_event import EventReader
from protocols.epcis.standard import Standard
from protocols.errors import RefuseInput

_ROOTS = {
    **{f"{{{namespace}}}EPCISDocument": "EPCISDocument" for namespace in EVENT_NAMESPACES},
    **{
        f"{{{namespace}}}EPCISQueryDocument": "EPCISQueryDocument" for namespace in QUERY_NAMESPACES
    },
}
_BUSINESS_HEADER = {
    "sender": "Sender/Identifier",
    "receiver": "Receiver/Identifier",
    "instanceIdentifier": "DocumentIdentification/InstanceIdentifier",
}
"""What the JSON binding has of a Standard Business Document Header, and where that stands."""


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
    root = _parse(data, bytes_max)
    type_ = _ROOTS.get(root.tag)
    if type_ is None:
        expected = "EPCISDocument or EPCISQueryDocument in a namespace of EPCIS 1.x or 2.x"
        raise _refused(root.sourceline or 1, 1, f"expected {expected}, found {root.tag[:200]}")
    reader = _Reader(standard)
    reader.prefixes.declare_all(root.nsmap)
    document = {"type": type_, **reader.document(root)}
    return XmlDocument(
        {"@context": reader.contexts(), **document},
        {**standard.prefixes, **reader.prefixes.as_written},
    )


def _parse(data: bytes, bytes_max: int) -> etree._Element:
    if len(data) > bytes_max:
        raise RefuseInput("too_large", f"expected at most {bytes_max} bytes, found {len(data)}")
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
    """Turns one document into the shape of the JSON binding."""

    def __init__(self, standard: Standard) -> None:
        self.prefixes = Prefixes(standard.prefixes)
        self._elements = Elements(self.prefixes)
        self.events = EventReader(self._elements, standard)
        self._epcis = next(iter(standard.contexts))

    def contexts(self) -> list[str | dict[str, str]]:
        """Return the `@context` for all that was read so far."""
        return [self._epcis, self.prefixes.declared] if self.prefixes.declared else [self._epcis]

    def document(self, root: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if (version := root.get("schemaVersion")) is not None:
            found["schemaVersion"] = "2.0" if version.startswith("1") else version
        if (created := root.get("creationDate")) is not None:
            found["creationDate"] = created
        for child in children(root):
            name = self._elements.name(child)
            if name == "EPCISHeader":
                found.update(self._header(child))
            elif name == "EPCISBody":
                add(found, "epcisBody", self._body(child))
            else:
                add(found, name, self._elements.free(child))
        return found

    def _body(self, element: etree._Element) -> dict[str, Any]:
        """Read a body, query results, or what is in them."""
        found: dict[str, Any] = {}
        for child in children(element):
            name = self._elements.name(child)
            if name == "EventList":
                add(found, "eventList", [self.events.read(one) for one in children(child)])
            elif name == "VocabularyList":
                add(found, "vocabularyList", self._vocabularies(child))
            elif name in {"QueryResults", "resultsBody"}:
                add(found, name[0].lower() + name[1:], self._body(child))
            else:
                add(found, name, self._elements.free(child))
        return found

    def _header(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in children(element):
            if child.tag == f"{{{HEADER_NAMESPACE}}}StandardBusinessDocumentHeader":
                found.update(_business_header(child))
            elif self._elements.name(child) == "EPCISMasterData":
                add(found, "epcisHeader", {"epcisMasterData": self._body(child)})
            else:
                add(found, self._elements.name(child), self._elements.free(child))
        return found

    def _vocabularies(self, element: etree._Element) -> list[Any]:
        return self._elements.each(element, "Vocabulary", self._vocabulary)

    def _vocabulary(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = dict(self._elements.attributes(element))
        for child in children(element):
            name = self._elements.name(child)
            if name == "VocabularyElementList":
                elements = self._elements.each(child, "VocabularyElement", self._element)
                add(found, "vocabularyElementList", elements)
            else:
                add(found, name, self._elements.free(child))
        return found

    def _element(self, element: etree._Element) -> dict[str, Any]:
        found: dict[str, Any] = dict(self._elements.attributes(element))
        for child in children(element):
            name = self._elements.name(child)
            if name == "attribute":
                found.setdefault("attributes", []).append(self._attribute(child))
            elif name == "children":
                add(found, name, self._elements.each(child, "id", text_of))
            else:
                add(found, name, self._elements.free(child))
        return found

    def _attribute(self, element: etree._Element) -> dict[str, Any]:
        value = self._elements.free(element)
        if not isinstance(value, dict):
            return {"attribute": value}
        id_ = {"id": value.pop("id")} if "id" in value else {}
        return {**id_, "attribute": value.get("#text", "") if value.keys() <= {"#text"} else value}


def _business_header(element: etree._Element) -> dict[str, str]:
    found = {}
    for name, path in _BUSINESS_HEADER.items():
        steps = "/".join(f"{{{HEADER_NAMESPACE}}}{step}" for step in path.split("/"))
        if text := (element.findtext(steps) or "").strip():
            found[name] = text
    return found
