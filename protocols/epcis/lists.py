"""Lists of events: objects and quantities by role, transactions, places of a transfer, and more."""

from collections.abc import Mapping
from typing import Any

from protocols.epcis.event import Role, Use
from protocols.epcis.identifiers import Read, instance, of_class, uri
from protocols.epcis.inspection import Inspection
from protocols.epcis.properties import properties
from protocols.epcis.scalars import number, word
from protocols.epcis.values import UNIT


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
