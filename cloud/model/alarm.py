"""An alarm as the operator, the feed and the database see it (ISA-18.2)."""

from typing import Any, Literal

import msgspec

AlarmState = Literal[
    "normal",
    "unacknowledged",
    "acknowledged",
    "return_to_normal_unacknowledged",
    "latched_unacknowledged",
    "latched_acknowledged",
    "shelved",
    "suppressed_by_design",
    "out_of_service",
]
"""A to I of ISA-18.2; see cloud/alarms/alarm_state.py."""
Severity = Literal["emergency", "critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("emergency", "critical", "warning", "info")
"""Worst first."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One proof of an alert that holds: why the rule says what it says."""

    evidence: str | None = None
    expr: str
    """What holds, as the rule's file writes it."""
    since_at: int
    """Since when it holds without a break, as the gateway saw it; ms since 1970."""
    for_ms: int = 0
    """So long must it hold before it counts."""
    counts: bool = True
    """It held long enough; False: it is on the way there."""


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
    """When the process last came back to normal."""
    active: bool = True
    """What the process does, whatever the operator's side says."""
    suppressed: bool = False
    """The rule holds it back by design."""
    latching: bool = False
    """Its rule lets it stand until somebody resets it."""
    latched: bool = False
    """It was before an operator, latches, and nobody reset it yet."""
    shelved_at: int | None = None
    shelve_ends_at: int | None = None
    shelved_by: str | None = None
    shelve_reason: str | None = None
    shelvings: int = 0
    """How often it was shelved since it was last normal."""
    repeats: int = 0
    """How often it was told again for want of an acknowledgement."""
    due_at: int | None = None
    """When a shelved one comes back, or an emergency is told again; ms since 1970."""
    reasons: tuple[Reason, ...] = ()
    """The proofs that held when it was raised or upgraded, weakest first."""


class OutOfService(msgspec.Struct, frozen=True, kw_only=True):
    """An asset whose alarms ask for nobody, emergencies excepted."""

    asset: str
    began_at: int
    began_by: str
    reason: str
    return_expected_at: int | None = None
    """When it should be back; nothing happens by itself then."""


class FeedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One durable item of the feed; offsets rise by commit order and are never used twice."""

    offset: int
    event: Literal["alarm", "incident"]
    data: str
    """One line of JSON."""
