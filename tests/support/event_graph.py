"""What an event in the shape of the JSON binding says, whatever words, order and prefixes it has.

As JSON-LD has it: a list is a set, one thing is a list of one, names and values are in full.
"""

from collections.abc import Mapping
from typing import Any

from protocols.epcis.standard import Standard

_LISTS = {
    "bizStep": "bizStep",
    "disposition": "disposition",
    "set": "disposition",
    "unset": "disposition",
    "reason": "errorReason",
    "exception": "exception",
    "component": "component",
}
_TYPES = {
    "bizTransactionList": "bizTransactionType",
    "sourceList": "sourceDestinationType",
    "destinationList": "sourceDestinationType",
    "sensorReport": "measurementType",
}


def graph(value: Any, namespaces: Mapping[str, str], standard: Standard, *, under: str = "") -> Any:
    """Return an event, or a part of one, so that equal says equal."""
    if isinstance(value, dict):
        found: dict[str, list[Any]] = {}
        for name, one in value.items():
            inner = graph(one, namespaces, standard, under=under if name == "type" else name)
            words = _TYPES.get(under) if name == "type" else _LISTS.get(name)
            known = standard.lists[words].by_word if words else {}
            values = [known.get(x, x) if isinstance(x, str) else x for x in _listed(inner)]
            found.setdefault(_full(name, namespaces), []).extend(values)
        return {name: sorted(one, key=repr) for name, one in sorted(found.items()) if one}
    if isinstance(value, list):
        inners = [graph(one, namespaces, standard, under=under) for one in value]
        return sorted((x for inner in inners for x in _listed(inner)), key=repr)
    if isinstance(value, str):
        return _full(value.strip(), namespaces)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _full(text: str, namespaces: Mapping[str, str]) -> str:
    prefix, colon, local = text.partition(":")
    known = colon and prefix in namespaces and not local.startswith("//")
    return namespaces[prefix] + local if known else text
