"""By when what must have happened, and what no longer needs to: absolute moments. Pure."""

from collections.abc import Iterable

from msgspec.structs import replace

from cloud.model.incident import Deadline, DeadlineKind, Incident
from cloud.model.rescue_policy import Policy, opening_deadlines

NEVER_MS = 9_007_199_254_740_991
"""Later than any deadline."""
_LEVEL: dict[DeadlineKind, int] = {"next_level": 1}
"""Of the deadlines that run from the beginning; the others are of the whole rescue."""


def at_opening(policy: Policy, detected_at: int) -> tuple[Deadline, ...]:
    """Return what runs from the first word on."""
    return tuple(
        Deadline(kind=kind, level=_LEVEL.get(kind, 0), due_at=detected_at + after_s * 1_000)
        for kind, after_s in opening_deadlines(policy)
    )


def at_asking(policy: Policy, level: int, asked_at: int) -> tuple[Deadline, ...]:
    """Return what runs from when a unit was asked."""
    accept = Deadline(kind="accept", level=level, due_at=asked_at + policy.accept_s * 1_000)
    if level != 2 or policy.last_level < 3:
        return (accept,)
    due_at = asked_at + policy.third_level_s * 1_000
    return accept, Deadline(kind="next_level", level=2, due_at=due_at)


def settle(
    deadlines: Iterable[Deadline], kinds: Iterable[DeadlineKind], at: int
) -> tuple[Deadline, ...]:
    """Return them, those of these kinds settled."""
    wanted = frozenset(kinds)
    return tuple(
        replace(one, settled_at=at) if one.kind in wanted and one.settled_at is None else one
        for one in deadlines
    )


def kept_right(incident: Incident, now_ms: int) -> Incident:
    """Return it with all those settled that its state has made pointless.

    Until somebody is there, only what the desk does settles `acknowledge`.
    """
    kinds: list[DeadlineKind] = []
    if incident.state in ("accepted", "on_the_way", "arrived") or incident.unit is None:
        kinds.append("accept")
    if incident.state == "arrived":
        kinds += ["acknowledge", "warn", "next_level", "breach"]
    if incident.state == "released" or not incident.open:
        kinds += ["acknowledge", "accept", "warn", "next_level", "breach"]
    return replace(incident, deadlines=settle(incident.deadlines, kinds, now_ms))


def waits(one: Deadline) -> bool:
    """Tell whether it can still fire."""
    return one.fired_at is None and one.settled_at is None


def due(incident: Incident, now_ms: int) -> list[int]:
    """Return the positions of those that are due, the earliest first."""
    found = [n for n, one in enumerate(incident.deadlines) if waits(one) and one.due_at <= now_ms]
    return sorted(found, key=lambda n: (incident.deadlines[n].due_at, n))


def fire(incident: Incident, position: int, now_ms: int) -> Incident:
    """Return it with one deadline fired."""
    changed = list(incident.deadlines)
    changed[position] = replace(changed[position], fired_at=now_ms)
    return replace(incident, deadlines=tuple(changed))


def urgent_at(incident: Incident) -> int:
    """Return the earliest moment by which something should have happened and has not."""
    return min(
        (one.due_at for one in incident.deadlines if one.settled_at is None), default=NEVER_MS
    )
