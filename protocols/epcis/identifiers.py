"""What an event names: addresses of objects, places, parties and documents."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from protocols.codes.epc_uri import canonical_id, identifier_fault
from protocols.epcis.inspection import Inspection
from protocols.epcis.values import URI

CHARACTERS_MAX = 1000
_CACHED_MAX = 32_768
_CLASS = re.compile(
    r"https://id\.gs1\.org/(?:01/[0-9]{14}(?:/22/[^/]+)?(?:/10/[^/]+)?|8003/[0-9]{14}"
    r"|(?:253|255)/[0-9]{13}|8006/[0-9]{18}(?:/10/[^/]+)?|8010/[^/]+)"
    r"|urn:epc:(?:class|idpat):.*"
)
_INSTANCE = re.compile(r"https://id\.gs1\.org/(?:00|01|253|255|80[01][0-9])/.*")


class Identifier(NamedTuple):
    """An identifier, judged."""

    canonical: str
    rule: str | None
    """What is wrong with it."""
    expected: str
    of_class: bool | None
    """A GS1 key of a class or lot, of one object; None: nobody can tell."""


@lru_cache(_CACHED_MAX)
def judge(text: str) -> Identifier:
    """Judge an identifier that is no compact name."""
    if len(text) > CHARACTERS_MAX:
        return Identifier(text, "too_long", f"at most {CHARACTERS_MAX} characters", None)
    if not URI.fullmatch(text):
        return Identifier(text, "bad_uri", "an absolute URI", None)
    canonical = canonical_id(text)
    fault = identifier_fault(text) if canonical == text else None
    of_class = True if _CLASS.fullmatch(canonical) else None
    if of_class is None and _INSTANCE.match(canonical):
        of_class = False
    if fault is not None:
        return Identifier(canonical, fault.rule, fault.expected, of_class)
    if text.startswith("_:"):
        return Identifier(canonical, "blank_id", "an identifier that is known outside", None)
    if not text.isascii():
        return Identifier(canonical, "non_ascii_uri", "other letters in percent form", of_class)
    return Identifier(canonical, None, "", of_class)


def identify(see: Inspection, at: str, value: object) -> Identifier | None:
    """Judge an identifier of the document; None: it is no text."""
    if type(value) is not str:
        see.wrong_type(at, "a text, an absolute URI", value)
        return None
    found = judge(value)
    if not value.startswith(("urn:", "http")):
        prefix, _, local = value.partition(":")
        if prefix in see.namespaces:
            found = judge(see.namespaces[prefix] + local)
    if found.rule is not None:
        see.note(at, found.rule, found.expected, value)
    return found


def uri(see: Inspection, at: str, value: object) -> str | None:
    """Read an identifier of anything; return it canonical."""
    found = identify(see, at, value)
    return None if found is None else found.canonical


def instance(see: Inspection, at: str, value: object) -> str | None:
    """Read an identifier of one object; return it canonical."""
    found = identify(see, at, value)
    if found is None:
        return None
    if found.of_class:
        see.note(at, "class_for_instance", "an identifier of one object", value)
    return found.canonical


def of_class(see: Inspection, at: str, value: object) -> str | None:
    """Read an identifier of a class or a lot; return it canonical."""
    found = identify(see, at, value)
    if found is None:
        return None
    if found.of_class is False:
        see.note(at, "instance_for_class", "an identifier of a class or a lot", value)
    return found.canonical


Read = Callable[[Inspection, str, object], object]
"""Reads a property at a pointer; notes its faults and returns what the event keeps of it."""
