"""The hash of an event: equal for an event in JSON and XML, with URNs and with Digital Links.

CBV 2.0, section 8.9. What is hashed is one text of all that the event says, in a fixed order; what
a repository adds (`eventID`, `recordTime`), an error declaration and comments are not in it. Where
the text of the standard and its published examples differ, the examples are followed: in the place
of business transactions, sources and destinations, and in numbers, which pass through a double even
where they are digits in a text.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from protocols.codes.epc_uri import canonical_id

Namespaces = Mapping[str, str]
_Write = Callable[[str, Any, Namespaces, list[str]], str]
"""Takes name, value, namespaces, and a list for texts that belong at the very end."""
_CBV = "https://ref.gs1.org/cbv/"
_GS1 = "https://gs1.org/voc/"
_WRITTEN_OUT = (_CBV, _GS1, "https://ref.gs1.org/")
"""Namespaces whose compact values are written in full; all others stand as they are."""
_OLD = "urn:epcglobal:cbv:"
_OLD_FORMS = {
    "bizstep": f"{_CBV}BizStep-",
    "disp": f"{_CBV}Disp-",
    "btt": f"{_CBV}BTT-",
    "sdt": f"{_CBV}SDT-",
    "er": f"{_CBV}ER-",
}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_HALF_MS = timedelta(microseconds=500)
_COMMENTS = frozenset({"comment", "rdfs:comment"})
_ADDED = frozenset({"type", "eventID", "recordTime", "errorDeclaration", "@context"})


def event_hash(
    body: Mapping[str, Any], namespaces: Namespaces, *, ignored: Collection[str] = ()
) -> str:
    """Return `ni:///sha-256;…?ver=CBV2.0`.

    Args:
        body: A valid event in the shape of the JSON binding.
        namespaces: By prefix.
        ignored: Names of extensions of the event that are not hashed, compact as in `body`.

    """
    digest = hashlib.sha256(prehash(body, namespaces, ignored=ignored).encode()).hexdigest()
    return f"ni:///sha-256;{digest}?ver=CBV2.0"


def prehash(
    body: Mapping[str, Any], namespaces: Namespaces, *, ignored: Collection[str] = ()
) -> str:
    """Return the text that is hashed."""
    rest: list[str] = []
    parts = [f"eventType={_full_name(body['type'], namespaces)}"]
    for name, write in _EVENT:
        if (value := body.get(name)) is not None:
            parts.append(write(name, value, namespaces, rest))
    for name, value in body.items():
        if name not in _KNOWN and name not in ignored:
            rest.extend(_free(name, value, namespaces))
    rest.sort()
    return "".join([*parts, *rest])


def _time(name: str, value: Any, _: Namespaces, __: list[str]) -> str:
    """Write a time in UTC, rounded to ms, half up."""
    moment = datetime.fromisoformat(value).astimezone(UTC) + _HALF_MS
    return f"{name}={moment.isoformat(timespec='milliseconds')[:-6]}Z"


def _plain(name: str, value: Any, namespaces: Namespaces, _: list[str]) -> str:
    if isinstance(value, list):
        return "".join(sorted([_plain(name, one, namespaces, _) for one in value]))
    text = _text(value, namespaces)
    return f"{name}={text}" if text else ""


def _vocabulary(namespace: str) -> _Write:
    """Return what writes a value that is a bare word of a namespace, or another's in full."""

    def write(name: str, value: Any, namespaces: Namespaces, rest: list[str]) -> str:
        if isinstance(value, str) and ":" not in value:
            return f"{name}={namespace}{value}" if value else ""
        if isinstance(value, list):
            return "".join(sorted(write(name, one, namespaces, rest) for one in value))
        return _plain(name, value, namespaces, rest)

    return write


def _epcs(name: str, value: Any, namespaces: Namespaces, _: list[str]) -> str:
    texts = sorted([f"epc={_text(one, namespaces)}" for one in value])
    return name + "".join(texts) if texts else ""


def _object(order: Mapping[str, _Write]) -> _Write:
    """Return what writes an object: properties in order, then extensions by name."""

    def write(name: str, value: Any, namespaces: Namespaces, rest: list[str]) -> str:
        parts, extensions, left = list[str](), list[str](), list[str]()
        for key, write_one in order.items():
            if (one := value.get(key)) is not None:
                parts.append(write_one(key, one, namespaces, left))
        if len(value) > len(parts):
            for key in value.keys() - order.keys():
                into = extensions if ":" in key else left
                into.extend(_free(key, value[key], namespaces))
        if left:
            rest.append(name + "".join(sorted(left)))
        extensions.sort()
        text = "".join([*parts, *extensions])
        return name + text if text else ""

    return write


def _list(element: str, write_one: _Write) -> _Write:
    """Return what writes a list of objects, each under the name of the element in XML."""

    def write(name: str, value: Any, namespaces: Namespaces, rest: list[str]) -> str:
        left = list[str]()
        text = _elements(write_one(element, one, namespaces, left) for one in value)
        if left:
            rest.append(name + "".join(sorted(left)))
        return name + text if text else ""

    return write


def _each(write_one: _Write) -> _Write:
    """Return what writes each of several values under the same name."""

    def write(name: str, value: Any, namespaces: Namespaces, rest: list[str]) -> str:
        values = value if isinstance(value, list) else [value]
        return _elements(write_one(name, one, namespaces, rest) for one in values)

    return write


def _elements(texts: Iterable[str]) -> str:
    return "".join(sorted(texts))


def _at_end(element: str, types: str) -> _Write:
    """Return what writes a list of things with a type, after all that has a place."""
    write_one = _object({"type": _vocabulary(types), element: _plain})

    def write(name: str, value: Any, namespaces: Namespaces, rest: list[str]) -> str:
        found = [write_one("", one, namespaces, rest) for one in value]
        if found:
            rest.append(name + _elements(found))
        return ""

    return write


def _free(name: str, value: Any, namespaces: Namespaces) -> list[str]:
    """Write an extension, or instance or lot master data: what it holds, sorted at each level."""
    if name in _COMMENTS:
        return []
    full = _full_name(name, namespaces)
    texts = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping):
            inner = [
                text
                for key, child in one.items()
                if key != "#text"
                for text in _free(key, child, namespaces)
            ]
            inner.sort()
            own = _text(one.get("#text", ""), namespaces)
            texts.append("".join([full, f"={own}" if own else "", *inner]))
        else:
            own = _text(one, namespaces)
            texts.append(f"{full}={own}" if own else full)
    return texts


def _full_name(name: str, namespaces: Namespaces) -> str:
    prefix, colon, local = name.partition(":")
    namespace = namespaces.get(prefix) if colon else None
    return name if namespace is None else f"{{{namespace}}}{local}"


def _text(value: Any, namespaces: Namespaces) -> str:
    """Write one value: identifiers canonical, numbers without needless zeros."""
    if isinstance(value, str):
        text = value.strip()
        return _named(text, namespaces) if ":" in text else _number(text)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else _number(str(value))


def _named(text: str, namespaces: Namespaces) -> str:
    if text.startswith(("urn:epc:", "http")):
        return canonical_id(text)
    prefix, _, local = text.partition(":")
    namespace = namespaces.get(prefix)
    if namespace is not None and namespace.startswith(_WRITTEN_OUT):
        return namespace + local
    if text.startswith(_OLD):
        kind, _, word = text.removeprefix(_OLD).partition(":")
        return _OLD_FORMS[kind] + word if kind in _OLD_FORMS else text
    return text


def _number(text: str) -> str:
    if _NUMBER.fullmatch(text) is None:
        return text
    value = float(text)
    if value.is_integer():
        return str(int(value))
    return text if value in {float("inf"), -float("inf")} else str(value)


_QUANTITIES = _list(
    "quantityElement", _object(dict.fromkeys(("epcClass", "quantity", "uom"), _plain))
)
_PLACE = _object({"id": _plain})
_WHO_AND_HOW = dict.fromkeys(
    ("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod"), _plain
)
_METADATA = _object(
    {
        "time": _time,
        "startTime": _time,
        "endTime": _time,
        **_WHO_AND_HOW,
        "bizRules": _plain,
    }
)
_REPORT = _object(
    {
        "type": _vocabulary(_GS1),
        "exception": _vocabulary(_GS1),
        **_WHO_AND_HOW,
        "time": _time,
        "microorganism": _plain,
        "chemicalSubstance": _plain,
        "value": _plain,
        "component": _vocabulary(f"{_CBV}Comp-"),
        **dict.fromkeys(
            (
                "stringValue",
                "booleanValue",
                "hexBinaryValue",
                "uriValue",
                "minValue",
                "maxValue",
                "meanValue",
                "sDev",
                "percRank",
                "percValue",
                "uom",
                "coordinateReferenceSystem",
            ),
            _plain,
        ),
    }
)
_SENSOR_ELEMENT = _object({"sensorMetadata": _METADATA, "sensorReport": _each(_REPORT)})
_DISPOSITION = _vocabulary(f"{_CBV}Disp-")
_EVENT: tuple[tuple[str, _Write], ...] = (
    ("eventTime", _time),
    ("eventTimeZoneOffset", _plain),
    ("certificationInfo", _plain),
    ("epcList", _epcs),
    ("parentID", _plain),
    ("inputEPCList", _epcs),
    ("childEPCs", _epcs),
    ("quantityList", _QUANTITIES),
    ("childQuantityList", _QUANTITIES),
    ("inputQuantityList", _QUANTITIES),
    ("outputEPCList", _epcs),
    ("outputQuantityList", _QUANTITIES),
    ("action", _plain),
    ("transformationID", _plain),
    ("bizStep", _vocabulary(f"{_CBV}BizStep-")),
    ("disposition", _DISPOSITION),
    ("persistentDisposition", _object({"set": _DISPOSITION, "unset": _DISPOSITION})),
    ("readPoint", _PLACE),
    ("bizLocation", _PLACE),
    ("sensorElementList", _list("sensorElement", _SENSOR_ELEMENT)),
    ("bizTransactionList", _at_end("bizTransaction", f"{_CBV}BTT-")),
    ("sourceList", _at_end("source", f"{_CBV}SDT-")),
    ("destinationList", _at_end("destination", f"{_CBV}SDT-")),
)
_KNOWN = frozenset({*_ADDED, *(name for name, _ in _EVENT)})
