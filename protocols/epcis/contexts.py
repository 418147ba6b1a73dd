"""JSON-LD contexts: which prefixes hold. Known addresses are looked up; none is ever opened."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from protocols.epcis.inspection import Inspection
from protocols.epcis.values import URI, deeper_than, is_scheme, token

ENTRIES_MAX = 100
PREFIXES_MAX = 200
"""In all contexts that hold for one event: each event keeps what holds for it."""
DEPTH_MAX = 8
"""Levels of definitions in a context."""
_NAME = re.compile(r"[^\W\d][\w.\-]*")


def read_contexts(
    see: Inspection, at: str, value: Any, held: Mapping[str, str]
) -> tuple[Sequence[str | Mapping[str, Any]], Mapping[str, str]]:
    """Read a `@context`, noting its faults.

    Args:
        see: of the document.
        at: pointer of the `@context`.
        value: it.
        held: namespaces by prefix that hold before it.

    Returns:
        Its entries, and the namespaces that hold behind it.

    """
    entries = value if type(value) is list else [value]
    if len(entries) > ENTRIES_MAX:
        see.note(at, "too_many", f"at most {ENTRIES_MAX} contexts", str(len(entries)))
        return entries, held
    if deeper_than(entries, DEPTH_MAX):
        see.note(at, "too_deep", f"at most {DEPTH_MAX} levels", "more")
        return entries, held
    namespaces = dict(held)
    for index, entry in enumerate(entries):
        place = f"{at}/{index}" if type(value) is list else at
        if entry in entries[:index]:
            see.note(place, "repeated_context", "each context once", entry)
        elif type(entry) is str:
            _read_address(see, place, entry, namespaces)
        elif type(entry) is dict:
            _read_definitions(see, place, entry, namespaces)
        else:
            see.wrong_type(place, "an address or an object", entry)
    if len(namespaces) > PREFIXES_MAX:
        see.note(at, "too_many", f"at most {PREFIXES_MAX} prefixes", str(len(namespaces)))
    return entries, namespaces


def _read_address(see: Inspection, at: str, address: str, namespaces: dict[str, str]) -> None:
    known = see.standard.contexts.get(address)
    if known is not None:
        namespaces.update(known.prefixes)
    elif not URI.fullmatch(address):
        see.note(at, "bad_uri", "the address of a context", address)
    else:
        expected = "an address that is known; it is not opened"
        see.note(at, "unknown_context", expected, address)


def _read_definitions(
    see: Inspection, at: str, entry: Mapping[str, Any], namespaces: dict[str, str]
) -> None:
    for name, meaning in entry.items():
        place = f"{at}/{token(name)}"
        if name == "@import":
            see.note(place, "unknown_context", "no import; it is not opened", meaning)
        elif name.startswith("@"):
            continue
        elif type(meaning) is str:
            _declare(see, place, name, meaning, namespaces)
        elif type(meaning) is dict:
            _define(see, place, name, meaning, namespaces)
        elif meaning is not None:
            see.wrong_type(place, "an address or a definition", meaning)


def _define(
    see: Inspection, at: str, name: str, meaning: Mapping[str, Any], namespaces: dict[str, str]
) -> None:
    """Read an expanded term definition: it is a prefix where it says so or only names an id."""
    if name in see.standard.terms:
        see.note(at, "redefined_term", "the meaning that EPCIS gives it", meaning)
    address = meaning.get("@id")
    if type(address) is str and (meaning.get("@prefix") is True or set(meaning) == {"@id"}):
        _declare(see, at, name, address, namespaces)


def _declare(see: Inspection, at: str, name: str, address: str, namespaces: dict[str, str]) -> None:
    prefix, _, local = address.partition(":")
    full = namespaces[prefix] + local if prefix in namespaces else address
    own = see.standard.prefixes.get(name, full)
    if name in see.standard.terms:
        see.note(at, "redefined_term", "the meaning that EPCIS gives it", address)
    elif is_scheme(name):
        see.note(at, "reserved_prefix", "a name that is no URI scheme", name)
    elif not URI.fullmatch(full):
        see.note(at, "bad_namespace", "an absolute address", address)
    elif own != full:
        see.note(at, "redefined_prefix", own, address)
    elif not _NAME.fullmatch(name) and ":" not in name:
        see.note(at, "odd_prefix", "an XML name", name)
    namespaces[name] = full
