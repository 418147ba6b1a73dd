"""Single values of events: times, offsets, ids, numbers, texts, words, places."""

import math
from collections.abc import Mapping

from protocols.epcis.identifiers import CHARACTERS_MAX, Read, uri
from protocols.epcis.inspection import Inspection
from protocols.epcis.properties import properties
from protocols.epcis.values import OFFSET, URI, time_us

_HASH_ID = "ni:///sha-256;"
_HASH_ID_LENGTH = len(_HASH_ID) + 64
_HEX = frozenset("0123456789abcdef")


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
    """Pass over what is read elsewhere, or when more is known."""


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
