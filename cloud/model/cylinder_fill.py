"""One filling of a gas cylinder, as the steps that a gateway recorded of it say together."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from protocols.cylinders.base import ClockState, Decision
from protocols.records import Code, FillFault, FillReason

FillState = Literal["open", "ended", "filled", "empty", "interrupted", "without_verdict"]
"""`open`: released, and its end has not come yet; `ended`: the gun is closed, and no weight has
come; `filled`: gas came in, or nobody weighed it; `empty`: none came in; `interrupted`: the gateway
ended while the gun was open; `without_verdict`: gas came in while the gun was closed."""


class OverruledBy(Struct, frozen=True):
    """Who took the decision upon himself, and why; his name stands beside it."""

    role: str
    why: str


class FillDecision(Struct, frozen=True, kw_only=True):
    """What a gate decided of a cylinder in front of it, with all reasons, the gravest first."""

    key: str
    """Names it among all, and in the answer before: where to read on."""
    gateway: str
    gate: str
    number: int
    """Of the record; counts those of its gate."""
    asset_id: str
    """The cylinder, as the gate judged it; empty: nobody knew which."""
    known: bool
    """The registry has its file now."""
    filler: str
    gas: str
    operator: str
    decision: Decision
    reasons: tuple[FillReason, ...]
    rules_version: str
    snapshot_version: str
    judged_on: str
    time_source: ClockState
    checks: Mapping[str, bool]
    codes: tuple[Code, ...]
    observed_at: int
    time_unknown: bool
    """`observed_at` is about the time of receipt."""
    received_at: int


class CylinderFill(Struct, frozen=True, kw_only=True):
    """A filling; (gateway, gate, opening) is its key. Masses in kg, moments in ms since 1970."""

    id: int
    """Larger is later stored."""
    change: int
    """Rises with each change of any filling, without two alike; it may leave numbers out."""
    gateway: str
    gate: str
    opening: int
    state: FillState
    asset_id: str
    """The cylinder, as the gateway judged it; empty: nobody knew which."""
    known: bool
    """The registry has its file now."""
    permitted: bool | None
    """The filler had a permit for the gas on that day, as they are written now; None: it does not
    count as a filling."""
    filler: str
    gas: str
    operator: str
    before_kg: float | None
    after_kg: float | None
    net_kg: float | None
    limit_kg: float | None
    """The most that the scale might show, tare included."""
    decision: Decision | None
    """With which it was released; None: that record has not come, or nothing was decided."""
    reasons: tuple[FillReason, ...]
    rules_version: str
    snapshot_version: str
    judged_on: str | None
    time_source: ClockState
    checks: Mapping[str, bool]
    overruled: OverruledBy | None
    overruled_by: str
    """Empty: nobody overruled anything."""
    codes: tuple[Code, ...]
    faults: tuple[FillFault, ...]
    ended_by: str
    """A closed word, as docs/gate.md has it; empty: not ended."""
    cleared_by: str
    """Who looked at the blocked place afterwards."""
    began_at: int
    released_at: int | None
    """When the gun might open; None: that record has not come."""
    ended_at: int | None
    filled_on: str | None
    """Local day that counts as the cylinder's filling; None: it does not count as one."""
    purged: bool
    """The worker answered that it was purged or evacuated before."""
    time_unknown: bool
    """`began_at` is about the time of receipt."""
    steps: int
    """So many of its records have come."""
    received_at: int
    """Of the first of them."""
