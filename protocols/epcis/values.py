"""Times, offsets and addresses as the JSON binding writes them."""

import re
from datetime import UTC, datetime

URI = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.\-]*|_):(?:[^\x00-\x20\x7f<>\"{}|\\^`%]+|%[0-9A-Fa-f]{2})+"
)
"""Absolute, or a blank node; letters beyond ASCII as in an IRI (RFC 3986, RFC 3987)."""
OFFSET = re.compile(r"[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00)")
HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
UNIT = re.compile(r"[A-Z0-9]{2,3}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,30})?"
    r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
)
_EDGES = frozenset({"0000", "0001", "9999"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMES = frozenset(
    ("urn", "http", "https", "ni", "tag", "did", "info", "data", "mailto", "tel", "geo", "file")
)


def time_us(text: str) -> int | None:
    """Read an xsd:dateTimeStamp as us since 1970 UTC, what is finer cut off.

    Returns:
        None where it is none, or of the first or the last year that can be reckoned with: in
        another zone it may lie outside.

    """
    if _TIME.fullmatch(text) is None or text[:4] in _EDGES:
        return None
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except ValueError:
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def is_scheme(text: str) -> bool:
    """Tell whether a text is a URI scheme that identifiers have."""
    return text == "_" or text.lower() in _SCHEMES


def deeper_than(value: object, levels: int) -> bool:
    """Tell whether objects and lists are nested to more than some levels, without recursion."""
    left = [value]
    for _ in range(levels):
        inner: list[object] = []
        for one in left:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
        left = inner
    return any(isinstance(one, dict | list) for one in left)


def show(value: object) -> str:
    """Return at most 200 characters of a found value."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, dict):
        text = f"an object of {len(value)}" if value else "an empty object"
    elif isinstance(value, list):
        text = f"a list of {len(value)}" if value else "an empty list"
    elif value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    else:
        text = number(value)
    return text if len(text) <= 200 else text[:197] + "..."


def number(value: object) -> str:
    """Write a number; one of more digits than Python writes is told by its size."""
    try:
        return repr(value)
    except ValueError:
        return "a number of thousands of digits"


def token(name: str) -> str:
    """Escape a property's name for a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
