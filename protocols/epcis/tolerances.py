"""Rules and how much they weigh: those of the standard, and what one partner is let off."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

Severity = Literal["error", "warning", "none"]


class Rule(Struct, frozen=True, kw_only=True):
    """One thing that is looked at, and what a fault in it means before any tolerance."""

    id: str
    severity: Severity
    about: str
    """What holds, one sentence."""
    fixed: bool = False
    """No partner is let off: without it there is no event to store."""


class Tolerances(Struct, frozen=True, kw_only=True):
    """What one partner's documents are held to, where it differs from the standard."""

    schema: Literal[1] = 1
    id: str
    title: str
    clock_ahead_s: Annotated[float, Meta(ge=0, le=86400)] = 300.0
    """How far the partner's clock may go before the receiver's."""
    severities: Mapping[str, Severity] = {}
    """By rule; what is not named weighs as in rules.toml."""


STANDARD = Tolerances(id="standard", title="As the standard's text has it")
