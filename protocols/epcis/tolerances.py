"""What is taken from one partner though a rule says otherwise: firmware_config/epcis/tolerances/."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warning", "none"]


class Tolerances(Struct, frozen=True, kw_only=True):
    """One partner's rules, where they differ from those of the standard."""

    id: str
    title: str = ""
    severities: Mapping[str, Severity] = {}
    """By rule word."""
    clock_ahead_s: float = 300.0
    """How far the sender's clock may go before ours; above 0."""
