"""One thing that was looked at."""

from typing import Literal

from msgspec import Struct

Level = Literal["ok", "warning", "fault"]


class Finding(Struct, frozen=True):
    """One thing that was looked at, what was found, and what to do; advice only where needed."""

    level: Level
    what: str
    found: str
    advice: str = ""


def ok(what: str, found: str) -> Finding:
    """Make a finding that needs nothing."""
    return Finding("ok", what, found)


def warning(what: str, found: str, advice: str) -> Finding:
    """Make a finding that the gateway can live with for now."""
    return Finding("warning", what, found, advice)


def fault(what: str, found: str, advice: str) -> Finding:
    """Make a finding that stops the gateway from doing its work."""
    return Finding("fault", what, found, advice)
