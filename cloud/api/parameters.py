"""Reading query parameters, each refused with what was expected and found."""

import re
from collections.abc import Collection

from starlette.datastructures import QueryParams

from protocols.errors import RefuseInput

_STEP = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)?")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

NUMBER_CHARS_MAX = 16
STEP_MAX_MS = 36_525 * 86_400_000
"""A hundred years."""


def check_names(query: QueryParams, allowed: Collection[str]) -> None:
    """Refuse a parameter that does not exist: a typing error must not change the meaning.

    Raises:
        RefuseInput: `bad_request`.

    """
    for name in query:
        if name not in allowed:
            known = ", ".join(sorted(allowed))
            raise RefuseInput("bad_request", f"expected one of {known}, found {name[:40]!r}")


def several(query: QueryParams, name: str, *, most: int = 100) -> list[str]:
    """Read a parameter given several times or with commas; without doubles, in order."""
    parts = [part for text in query.getlist(name) for part in text.split(",") if part]
    if len(parts) > most:
        raise RefuseInput("bad_request", f"{name}: expected at most {most}, found {len(parts)}")
    return list(dict.fromkeys(parts))


def whole(query: QueryParams, name: str, default: int, *, low: int, high: int) -> int:
    """Read a whole number within low..high."""
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,16}", text) or not low <= int(text) <= high:
        raise RefuseInput("bad_request", f"{name}: expected {low} to {high}, found {text[:40]!r}")
    return int(text)


def flag(query: QueryParams, name: str) -> bool:
    """Read true or false; missing is false. RefuseInput `bad_request`."""
    found = query.get(name, "false")
    if found not in ("true", "false"):
        raise RefuseInput("bad_request", f"{name}: expected true or false, found {found[:20]!r}")
    return found == "true"


def number_in_path(text: str) -> int:
    """Read the number of a thing in a path; what is no number is nothing that exists.

    Raises:
        RefuseInput: `not_found`.

    """
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_CHARS_MAX):
        raise RefuseInput("not_found", f"expected a number, found {text[:40]!r}")
    return int(text)


def step_ms(text: str) -> int:
    """Read a step: whole ms, or a number with ms, s, m, h or d, at least 1 ms.

    Raises:
        RefuseInput: `bad_request`.

    """
    match = _STEP.fullmatch(text)
    if not match or int(match[1]) == 0:
        expected = "ms or a number with s, m, h or d"
        raise RefuseInput("bad_request", f"step: expected {expected}, found {text[:40]!r}")
    step = int(match[1]) * _UNIT_MS[match[2] or "ms"]
    if step > STEP_MAX_MS:
        raise RefuseInput("bad_request", f"step: expected at most 100 years, found {text[:40]!r}")
    return step
