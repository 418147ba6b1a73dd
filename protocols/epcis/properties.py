"""Objects by the table of their properties, and extensions, whatever stands in them."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from protocols.epcis.identifiers import Read
from protocols.epcis.inspection import Inspection
from protocols.epcis.values import URI, is_scheme, token

DEPTH_MAX = 64
"""Levels of objects and lists below an extension."""
_NOTHING: frozenset[str] = frozenset()
_KEYWORDS = frozenset({"id", "type"})


def properties(
    see: Inspection,
    at: str,
    value: Mapping[str, Any],
    table: Mapping[str, Read],
    *,
    elsewhere: AbstractSet[str] = _NOTHING,
    extensible: bool = True,
) -> dict[str, Any]:
    """Read an object by the table of its properties.

    Args:
        see: notes the faults.
        at: pointer of the object.
        value: it.
        table: how each of its properties is read.
        elsewhere: properties of the standard that belong to other objects.
        extensible: properties with a namespace prefix may stand in it.

    Returns:
        What was read, by property; not the extensions.

    """
    got = {}
    for name, one in value.items():
        read = table.get(name)
        if read is not None:
            got[name] = read(see, f"{at}/{name}", one)
        elif name.startswith("_comment"):
            see.comments = True
            see.note(f"{at}/{token(name)}", "comment_key", "no comments", name)
        elif extensible and ":" in name:
            extension(see, f"{at}/{token(name)}", name, one)
        else:
            rule = "misplaced_property" if name in elsewhere else "unknown_property"
            see.note(f"{at}/{token(name)}", rule, f"one of {', '.join(sorted(table))}", name)
    return got


_Trail = tuple[Any, str | int]
"""Where a value stands: the trail to what holds it (at first its pointer), and its name in it."""


def extension(see: Inspection, at: str, name: str, value: object) -> None:
    """Read a property with a prefix, or with its full name."""
    prefix, _, local = name.partition(":")
    if prefix not in see.namespaces or not local:
        _full_name(see, at, name)
    if type(value) is dict or type(value) is list:
        inside(see, at, value)
    elif type(value) is str and "\0" in value:
        see.note(at, "control_character", "text without U+0000", value)


def _full_name(see: Inspection, at: str, name: str) -> None:
    """Note what is wrong with a name that does not begin with a declared prefix."""
    prefix, _, local = name.partition(":")
    if is_scheme(prefix) or local.startswith("//"):
        if not URI.fullmatch(name):
            see.note(at, "bad_uri", "an absolute address as full name", name)
    elif not local:
        see.note(at, "unknown_property", "a name behind the prefix", name)
    else:
        see.note(at, "undeclared_prefix", f"a context that declares {prefix}", name)


def inside(see: Inspection, at: str, value: Any) -> None:
    """Read what no table says how to read, without recursion."""
    left: list[tuple[_Trail | str, Any, int]] = [(at, value, 1)]
    while left:
        trail, one, depth = left.pop()
        if depth > DEPTH_MAX:
            see.note(at, "too_deep", f"at most {DEPTH_MAX} levels", "more")
            return
        if type(one) is dict:
            for name, inner in one.items():
                prefix, _, local = name.partition(":")
                if prefix not in see.namespaces or not local:
                    _name_inside(see, _pointer((trail, name)), name)
                left.append(((trail, name), inner, depth + 1))
        elif type(one) is list:
            left.extend(((trail, index), inner, depth + 1) for index, inner in enumerate(one))
        elif type(one) is str and "\0" in one:
            see.note(_pointer(trail), "control_character", "text without U+0000", one)


def _pointer(trail: _Trail | str) -> str:
    """Write the JSON pointer of a trail; most trails are never written."""
    names = []
    while not isinstance(trail, str):
        trail, name = trail
        names.append(token(str(name)))
    return "/".join([trail, *reversed(names)])


def _name_inside(see: Inspection, at: str, name: str) -> None:
    if ":" in name:
        _full_name(see, at, name)
    elif name == "@context":
        see.note(at, "nested_context", "contexts at the document and the event", name)
    elif name.startswith("_comment"):
        see.comments = True
        see.note(at, "comment_key", "no comments", name)
    elif not name.startswith("@") and name not in _KEYWORDS and name not in see.namespaces:
        see.note(at, "bare_name", "a name with a prefix", name)
