"""Properties that events of every type share: how each is read, and what may stand beside them."""

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from protocols.epcis.event import Role, Use
from protocols.epcis.identifiers import CHARACTERS_MAX, Read, instance, of_class, uri
from protocols.epcis.inspection import Inspection
from protocols.epcis.values import OFFSET, UNIT, URI, is_scheme, time_us, token

DEPTH_MAX = 64
"""Levels of objects and lists below an extension."""
_NOTHING: frozenset[str] = frozenset()
_KEYWORDS = frozenset({"id", "type"})
_HASH_ID = "ni:///sha-256;"
_HASH_ID_LENGTH = len(_HASH_ID) + 64
_HEX = frozenset("0123456789abcdef")


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


def time(see: Inspection, at: str, value: object) -> int | None:
    """Read a time with its zone; us since 1970 UTC."""
    found = time_us(value) if type(value) is str else None
    if found is None:
        expected = "a date and time with zone, such as 2026-01-31T08:00:00.000+08:00"
        see.note(at, "bad_time" if type(value) is str else "wrong_type", expected, value)
    return found


def past_time(see: Inspection, at: str, value: object) -> int | None:
    """Read a time that has passed; us since 1970 UTC."""
    found = time(see, at, value)
    if found is not None and found > see.latest_us:
        see.note(at, "future_time", "a time that has passed", value)
    return found


def offset(see: Inspection, at: str, value: object) -> str | None:
    """Read a time zone offset."""
    if type(value) is str and OFFSET.fullmatch(value):
        return value
    rule = "bad_offset" if type(value) is str else "wrong_type"
    see.note(at, rule, "a sign, hours and minutes from -14:00 to +14:00", value)
    return None


def event_id(see: Inspection, at: str, value: object) -> str | None:
    """Read the id of an event; as it stands."""
    if type(value) is not str:
        see.wrong_type(at, "a text, an absolute URI", value)
        return None
    if len(value) > CHARACTERS_MAX:
        see.note(at, "too_long", f"at most {CHARACTERS_MAX} characters", value)
    elif not URI.fullmatch(value):
        see.note(at, "bad_uri", "an absolute URI", value)
    elif value.startswith(_HASH_ID) and not (
        value[_HASH_ID_LENGTH:].startswith("?ver=")
        and _HEX.issuperset(value[len(_HASH_ID) : _HASH_ID_LENGTH])
    ):
        see.note(at, "bad_hash_id", f"{_HASH_ID}, 64 hexadecimal digits, ?ver= and version", value)
    elif value.startswith("_:"):
        see.note(at, "blank_id", "an identifier that is known outside", value)
    return value


def number(see: Inspection, at: str, value: object) -> float | None:
    """Read a finite number."""
    if type(value) is not int and type(value) is not float:
        see.wrong_type(at, "a number", value)
        return None
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        see.note(at, "bad_number", "a finite number that fits a double", value)
        return None
    return found


def text(see: Inspection, at: str, value: object) -> str | None:
    """Read a text."""
    if type(value) is not str:
        see.wrong_type(at, "a text", value)
        return None
    if "\0" in value:
        see.note(at, "control_character", "text without U+0000", value)
    return value


def action(see: Inspection, at: str, value: object) -> str | None:
    """Read an action."""
    if value in ("OBSERVE", "ADD", "DELETE"):
        return str(value)
    rule = "wrong_value" if type(value) is str else "wrong_type"
    see.note(at, rule, "ADD, OBSERVE or DELETE", value)
    return None


def word(list_id: str) -> Read:
    """Make what reads a value of a list of the vocabulary; it returns its full name."""

    def read(see: Inspection, at: str, value: object) -> str | None:
        values = see.standard.lists[list_id]
        if type(value) is not str:
            see.wrong_type(at, f"a value of {list_id}", value)
            return None
        known = values.by_word.get(value)
        if known is not None:
            return known
        if len(value) > CHARACTERS_MAX:
            see.note(at, "too_long", f"at most {CHARACTERS_MAX} characters", value)
            return None
        found = values.judge(value, see.namespaces)
        if found.rule is not None:
            see.note(at, found.rule, found.expected, value)
        return found.canonical

    return read


def ignored(see: Inspection, at: str, value: object) -> None:
    """Pass over what is read elsewhere."""


def place(see: Inspection, at: str, value: object) -> str | None:
    """Read a read point or a business location."""
    if type(value) is not dict:
        see.wrong_type(at, "an object with an id", value)
        return None
    got = properties(see, at, value, _PLACE)
    if "id" not in value:
        see.missing(at, "id")
    return got.get("id")


_PLACE: Mapping[str, Read] = {"id": uri}


def members(see: Inspection, at: str, value: object, kind: type, expected: str) -> list[Any] | None:
    """Read a list that is a property of the event; a single member is taken where tolerated."""
    if type(value) is kind:
        see.note(at, "single_for_list", expected, value)
        value = see.repaired[at.rpartition("/")[2]] = [value]
    if type(value) is not list:
        see.wrong_type(at, expected, value)
        return None
    if not value:
        see.note(at, "empty_list", "at least one, or no such property", value)
    return value


def epcs(role: Role) -> Read:
    """Make what reads a list of objects in a role."""

    def read(see: Inspection, at: str, value: object) -> list[str]:
        found = []
        listed = members(see, at, value, str, "a list of identifiers") or ()
        for index, one in enumerate(listed):
            name = instance(see, f"{at}/{index}", one)
            if name is not None:
                found.append(name)
                see.uses.append(Use(role=role, id=name))
        if len(found) > 1 and len(set(found)) != len(found):
            _repeated(see, at, listed, found)
        return found

    return read


def _repeated(see: Inspection, at: str, listed: Any, found: list[str]) -> None:
    """Note objects that a list names again, in the same spelling or in another."""
    spelled, seen = set(), set()
    names = iter(found)
    for index, one in enumerate(listed):
        if type(one) is not str:
            continue
        name = next(names)
        if one in spelled:
            see.note(f"{at}/{index}", "duplicate", "each object once", one)
        elif name in seen:
            see.note(f"{at}/{index}", "same_object", "each object in one spelling", one)
        spelled.add(one)
        seen.add(name)


def quantities(role: Role) -> Read:
    """Make what reads a list of quantities in a role."""

    def read(see: Inspection, at: str, value: object) -> list[str]:
        found = []
        for index, one in enumerate(members(see, at, value, dict, "a list of objects") or ()):
            use = _quantity(see, f"{at}/{index}", one, role)
            if use is not None:
                found.append(use.id)
                see.uses.append(use)
        return found

    return read


def _quantity(see: Inspection, at: str, value: object, role: Role) -> Use | None:
    if type(value) is not dict:
        see.wrong_type(at, "an object with an epcClass", value)
        return None
    got = properties(see, at, value, _QUANTITY, extensible=False)
    quantity, uom = got.get("quantity"), got.get("uom")
    if "epcClass" not in value:
        see.missing(at, "epcClass")
    if quantity is not None:
        if quantity < 0:
            see.note(f"{at}/quantity", "negative_quantity", "a quantity above 0", quantity)
        elif quantity == 0:
            see.note(f"{at}/quantity", "zero_quantity", "a quantity above 0", quantity)
        elif "uom" not in value and not quantity.is_integer():
            see.note(f"{at}/quantity", "fraction_of_pieces", "a whole number, or a unit", quantity)
    elif "uom" in value and "quantity" not in value:
        see.note(f"{at}/uom", "unit_without_quantity", "a quantity beside the unit", uom)
    name = got.get("epcClass")
    if name is None:
        return None
    return Use(role=role, id=name, by_class=True, quantity=quantity, uom=uom)


def _unit(see: Inspection, at: str, value: object) -> str | None:
    if type(value) is not str:
        see.wrong_type(at, "a UN/ECE unit code", value)
        return None
    if value in see.standard.units:
        return value
    known = UNIT.fullmatch(value)
    rule = "unknown_unit" if known else "bad_unit"
    see.note(at, rule, "a UN/ECE unit code, such as KGM", value)
    return value


_QUANTITY: Mapping[str, Read] = {"epcClass": of_class, "quantity": number, "uom": _unit}


def entries(table: Mapping[str, Read], *required: str) -> Read:
    """Make what reads a list of closed objects, such as business transactions."""
    expected = f"a list of objects with {' and '.join(required)}"

    def read(see: Inspection, at: str, value: object) -> None:
        for index, one in enumerate(members(see, at, value, dict, expected) or ()):
            place = f"{at}/{index}"
            if type(one) is not dict:
                see.wrong_type(place, "an object", one)
                continue
            properties(see, place, one, table, extensible=False)
            for name in required:
                if name not in one:
                    see.missing(place, name)

    return read


def certification(see: Inspection, at: str, value: object) -> None:
    """Read one address of a certificate, or a list of them."""
    if type(value) is not list:
        uri(see, at, value)
        return
    if not value:
        see.note(at, "empty_list", "at least one, or no such property", value)
    for index, one in enumerate(value):
        uri(see, f"{at}/{index}", one)


def master_data(see: Inspection, at: str, value: object) -> None:
    """Read instance or lot master data."""
    if type(value) is not dict:
        see.wrong_type(at, "an object", value)
        return
    properties(see, at, value, {})


def persistent(see: Inspection, at: str, value: object) -> None:
    """Read persistent dispositions, set and unset."""
    if type(value) is not dict:
        see.wrong_type(at, "an object with set or unset", value)
        return
    got = properties(see, at, value, _PERSISTENT, extensible=False)
    if "set" not in value and "unset" not in value:
        see.missing(at, "set or unset")
    both = set(got.get("set") or ()) & set(got.get("unset") or ())
    for one in sorted(both):
        see.note(f"{at}/unset", "set_and_unset", "a disposition set or unset", one)


_disposition = word("disposition")


def _dispositions(see: Inspection, at: str, value: object) -> list[str]:
    if type(value) is not list or not value:
        see.wrong_type(at, "a list of at least one disposition", value)
        return []
    found = []
    for index, one in enumerate(value):
        name = _disposition(see, f"{at}/{index}", one)
        if name in found:
            see.note(f"{at}/{index}", "duplicate", "each disposition once", one)
        elif isinstance(name, str):
            found.append(name)
    return found


_PERSISTENT: Mapping[str, Read] = {"set": _dispositions, "unset": _dispositions}
