"""An alarm as the operator, the feed and the database see it (ISA-18.2)."""

from typing import Any, Literal

import msgspec

AlarmState = Literal[
    "normal",
    "unacknowledged",
    "acknowledged",
    "return_to_normal_unacknowledged",
    "shelved",
    "suppressed_by_design",
    "out_of_service",
]
Severity = Literal["emergency", "critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("emergency", "critical", "warning", "info")
"""Worst first."""


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm: at most one that is not normal for each (asset, alert)."""

    id: int
    alert: str
    asset: str
    severity: Severity
    state: AlarmState
    raised_at: int
    """When the cloud raised it, ms since 1970."""
    observed_at: int
    """When the gateway saw what raised it, ms since 1970."""
    changed_at: int
    evidence: str | None = None
    late: bool = False
    """Raised from history that arrived late."""
    stale: bool = False
    """Raised at its deadline on a last known state that nobody could confirm."""
    values: dict[str, Any] = {}
    """The points that the rule reads, as they were when it fired or was upgraded."""
    annotations: dict[str, str] = {}
    """`summary`, `cause`, `consequence`, `response`, each also with `_zh`."""
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    note: str | None = None
    returned_at: int | None = None


class FeedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One durable item of the feed; offsets rise by commit order and are never used twice."""

    offset: int
    event: Literal["alarm", "incident"]
    data: str
    """One line of JSON."""
