"""The rules of CAP 1.2 (OASIS, 1 July 2010), section 3.2 and its schema, as a checker of our own.

The schema file itself is not at hand; each rule here is one of it or of the text beside it.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from lxml import etree

CAP = "urn:oasis:names:tc:emergency:cap:1.2"
DSIG = "{http://www.w3.org/2000/09/xmldsig#}Signature"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d\Z")
CIRCLE = re.compile(r"(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?) (\d+(?:\.\d+)?)\Z")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z")


class Part(NamedTuple):
    """An element of a sequence."""

    name: str
    required: bool = False
    many: bool = False


ALERT = (
    Part("identifier", True),
    Part("sender", True),
    Part("sent", True),
    Part("status", True),
    Part("msgType", True),
    Part("source"),
    Part("scope", True),
    Part("restriction"),
    Part("addresses"),
    Part("code", many=True),
    Part("note"),
    Part("references"),
    Part("incidents"),
    Part("info", many=True),
)
INFO = (
    Part("language"),
    Part("category", True, True),
    Part("event", True),
    Part("responseType", many=True),
    Part("urgency", True),
    Part("severity", True),
    Part("certainty", True),
    Part("audience"),
    Part("eventCode", many=True),
    Part("effective"),
    Part("onset"),
    Part("expires"),
    Part("senderName"),
    Part("headline"),
    Part("description"),
    Part("instruction"),
    Part("web"),
    Part("contact"),
    Part("parameter", many=True),
    Part("resource", many=True),
    Part("area", many=True),
)
AREA = (
    Part("areaDesc", True),
    Part("polygon", many=True),
    Part("circle", many=True),
    Part("geocode", many=True),
    Part("altitude"),
    Part("ceiling"),
)
PAIR = (Part("valueName", True), Part("value", True))
WORDS = {
    "status": {"Actual", "Exercise", "System", "Test", "Draft"},
    "msgType": {"Alert", "Update", "Cancel", "Ack", "Error"},
    "scope": {"Public", "Restricted", "Private"},
    "category": {
        *("Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport"),
        *("Infra", "CBRNE", "Other"),
    },
    "responseType": {
        *("Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear"),
        "None",
    },
    "urgency": {"Immediate", "Expected", "Future", "Past", "Unknown"},
    "severity": {"Extreme", "Severe", "Moderate", "Minor", "Unknown"},
    "certainty": {"Observed", "Likely", "Possible", "Unlikely", "Unknown"},
}
TIMES = {"sent", "effective", "onset", "expires"}


def faults(document: bytes) -> list[str]:
    """Return what is wrong with a document, each as a sentence."""
    root = etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True))
    if root.tag != f"{{{CAP}}}alert":
        return [f"the root is {root.tag}"]
    return list(_faults(root))


def _faults(root: etree._Element) -> Iterator[str]:
    children = [one for one in root if one.tag != DSIG]
    yield from _sequence(root, children, ALERT)
    if any(one.tag == DSIG for one in list(root)[:-1]):
        yield "the signature is not the last element"
    for name in ("identifier", "sender"):
        if re.search(r"[\s,<&]", text_of(root, name)):
            yield f"{name} holds a space, a comma, < or &"
    scope = text_of(root, "scope")
    if (scope == "Restricted") != (root.find(f"{{{CAP}}}restriction") is not None):
        yield "restriction goes with scope Restricted, and only with it"
    if scope == "Private" and root.find(f"{{{CAP}}}addresses") is None:
        yield "scope Private needs addresses"
    yield from _references(root)
    for element in root.iter():
        yield from _value(element)
    for info in root.iterfind(f"{{{CAP}}}info"):
        yield from _info(info)


def _info(info: etree._Element) -> Iterator[str]:
    yield from _sequence(info, list(info), INFO)
    for name in ("parameter", "eventCode"):
        for pair in info.iterfind(f"{{{CAP}}}{name}"):
            yield from _sequence(pair, list(pair), PAIR)
    for area in info.iterfind(f"{{{CAP}}}area"):
        yield from _sequence(area, list(area), AREA)
        for pair in area.iterfind(f"{{{CAP}}}geocode"):
            yield from _sequence(pair, list(pair), PAIR)


def _references(root: etree._Element) -> Iterator[str]:
    told, kind = text_of(root, "references"), text_of(root, "msgType")
    if kind in ("Update", "Cancel", "Ack", "Error") and not told:
        yield f"{kind} refers to nothing"
    if kind == "Alert" and told:
        yield "an Alert refers to something"
    for one in told.split(" ") if told else []:
        parts = one.split(",")
        if len(parts) != 3 or not all(parts[:2]) or not _is_time(parts[2]):
            yield f"reference {one!r} is not sender,identifier,sent"


def _sequence(
    parent: etree._Element, children: Sequence[etree._Element], parts: Sequence[Part]
) -> Iterator[str]:
    place = etree.QName(parent).localname
    order = {part.name: number for number, part in enumerate(parts)}
    names = [etree.QName(one).localname for one in children]
    unknown = [one for one in names if one not in order]
    foreign = [one.tag for one in children if etree.QName(one).namespace != CAP]
    if unknown or foreign:
        yield f"{place} holds {unknown or foreign}"
        return
    if names != sorted(names, key=order.__getitem__):
        yield f"{place}: the order is {names}"
    for part in parts:
        count = names.count(part.name)
        if part.required and not count:
            yield f"{place} lacks {part.name}"
        if count > 1 and not part.many:
            yield f"{place} holds {count} of {part.name}"


def _value(element: etree._Element) -> Iterator[str]:
    tag = etree.QName(element)
    if tag.namespace != CAP:
        return
    text, name = element.text or "", tag.localname
    if len(element) == 0 and not text.strip():
        yield f"{name} is empty"
    if name in WORDS and text not in WORDS[name]:
        yield f"{name} is {text!r}"
    if name in TIMES and not _is_time(text):
        yield f"{name} is {text!r}: expected seconds and an offset, never Z"
    if name == "language" and not LANGUAGE.match(text):
        yield f"language is {text!r}"
    if name == "circle":
        found = CIRCLE.match(text)
        if not found or abs(float(found[1])) > 90 or abs(float(found[2])) > 180:
            yield f"circle is {text!r}"


def _is_time(text: str) -> bool:
    if not TIME.match(text) or text.endswith("+00:00"):  # zero is written -00:00
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def text_of(root: etree._Element, name: str) -> str:
    """Return the text of a child, empty when there is none."""
    return root.findtext(f"{{{CAP}}}{name}") or ""


def parsed(document: bytes) -> etree._Element:
    """Return a document's root."""
    return etree.fromstring(document)
