"""Master data in the header of a document (EPCIS 2.0, 9.5: epcisHeader)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from protocols.epcis.document import MasterElement
from protocols.epcis.identifiers import Read, uri
from protocols.epcis.inspection import Inspection
from protocols.epcis.properties import inside, properties
from protocols.epcis.scalars import ignored, text

_Elements = list[MasterElement]


def header(see: Inspection, at: str, value: object) -> _Elements:
    """Read an `epcisHeader`."""
    if type(value) is not dict:
        see.wrong_type(at, "an object", value)
        return []
    return properties(see, at, value, _HEADER).get("epcisMasterData") or []


def _master_data(see: Inspection, at: str, value: object) -> _Elements:
    if type(value) is not dict:
        see.wrong_type(at, "an object with a vocabularyList", value)
        return []
    return properties(see, at, value, _MASTER_DATA).get("vocabularyList") or []


def vocabularies(see: Inspection, at: str, value: object) -> _Elements:
    """Read a `vocabularyList`."""
    found = _Elements()
    for place, one in _objects(see, at, value, "a list of vocabularies"):
        got = properties(see, place, one, _VOCABULARY)
        if "type" not in one:
            see.missing(place, "type")
        type_ = got.get("type")
        if type_ is not None:
            elements = _elements(see, place, one, type_)
            found.extend(elements)
    return found


def _elements(see: Inspection, at: str, vocabulary: Mapping[str, Any], type_: str) -> _Elements:
    found = _Elements()
    listed = vocabulary.get("vocabularyElementList", [])
    for place, one in _objects(see, f"{at}/vocabularyElementList", listed, "a list of elements"):
        got = properties(see, place, one, _ELEMENT)
        if "id" not in one:
            see.missing(place, "id")
        elif got["id"] is not None:
            attributes, children = got.get("attributes") or (), got.get("children") or ()
            found.append(
                MasterElement(type=type_, id=got["id"], attributes=attributes, children=children)
            )
    return found


def _attributes(see: Inspection, at: str, value: object) -> list[tuple[str, str]]:
    found = []
    for place, one in _objects(see, at, value, "a list of attributes"):
        got = properties(see, place, one, _ATTRIBUTE)
        if "id" not in one:
            see.missing(place, "id")
        elif got["id"] is not None:
            found.append((got["id"], got.get("attribute") or ""))
    return found


def _children(see: Inspection, at: str, value: object) -> list[str]:
    if type(value) is not list:
        see.wrong_type(at, "a list of identifiers", value)
        return []
    found = [uri(see, f"{at}/{index}", one) for index, one in enumerate(value)]
    return [one for one in found if one is not None]


def _attribute(see: Inspection, at: str, value: object) -> str | None:
    """Read an attribute; one that is no text is told as JSON."""
    if type(value) is str:
        return text(see, at, value)
    if type(value) is dict:
        errors = see.refused
        inside(see, at, value)
        return msgspec.json.encode(value).decode() if see.refused == errors else None
    if type(value) is int or type(value) is float:
        return msgspec.json.encode(value).decode()
    see.wrong_type(at, "a text, a number or an object", value)
    return None


def _objects(
    see: Inspection, at: str, value: object, expected: str
) -> list[tuple[str, Mapping[str, Any]]]:
    if type(value) is not list:
        see.wrong_type(at, expected, value)
        return []
    found: list[tuple[str, Mapping[str, Any]]] = []
    for index, one in enumerate(value):
        if type(one) is dict:
            found.append((f"{at}/{index}", one))
        else:
            see.wrong_type(f"{at}/{index}", "an object", one)
    return found


_ATTRIBUTE: Mapping[str, Read] = {"id": uri, "attribute": _attribute}
_ELEMENT: Mapping[str, Read] = {"id": uri, "attributes": _attributes, "children": _children}
_VOCABULARY: Mapping[str, Read] = {"type": uri, "vocabularyElementList": ignored}
_MASTER_DATA: Mapping[str, Read] = {"vocabularyList": vocabularies}
_HEADER: Mapping[str, Read] = {"epcisMasterData": _master_data}
