"""What the rules tell the alarm desk."""

from typing import Literal

import msgspec

from cloud.model.alarm import Reason, Severity
from protocols.readings import Value

Change = Literal["fired", "upgraded", "resolved", "suppressed", "unsuppressed"]
"""An alert began to fire, got a stronger proof, ended, is held back by design, is no longer."""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one alert, the instance of a rule on one asset."""

    asset: str
    alert: str
    severity: Severity
    change: Change
    at: int
    """When the cloud found it, ms since 1970."""
    observed_at: int
    """When what it rests upon was first seen at the gateway, ms since 1970."""
    evidence: str | None = None
    late: bool = False
    """It rests upon history that arrived late."""
    stale: bool = False
    """It rests upon a last known state that nobody could confirm."""
    values: dict[str, Value] = {}
    """The points that the rule reads; unknown ones are left out."""
    annotations: dict[str, str] = {}
    latching: bool = False
    """The alarm stands until somebody resets it; never one of an emergency."""
    reasons: tuple[Reason, ...] = ()
    """The proofs that hold."""
