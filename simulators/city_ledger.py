"""The account of a city's rescues: what truly happened against what the service knows of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocols.clock import parse_time
from simulators.city_facts import Made

EARLY_MS = 50
"""A rescue may be known so much before what it is about, by the grain of the clock."""
LATE_MS_MAX = 1_000
"""A deadline must fire within it."""


@dataclass(slots=True)
class Ledger:
    """All of it; `faults` says what must not be."""

    made: int = 0
    buttons: int = 0
    freed_by_themselves: int = 0
    unheard: int = 0
    """Entrapments that ended before the centre could hear of them."""
    opened: int = 0
    released: int = 0
    closed: int = 0
    false_alarms: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    deadlines: Counter[str] = field(default_factory=Counter)
    """Those that fell, by kind."""
    deadline_late_ms: int = 0
    levels: Counter[int] = field(default_factory=Counter)
    response_s: list[float] = field(default_factory=list)
    """From the first word to the first acceptance, in the city's time."""
    arrival_s: list[float] = field(default_factory=list)

    def faults(self, late_ms_max: int = LATE_MS_MAX) -> list[str]:
        """Say in words what is wrong, nothing when all is accounted for."""
        found = [
            f"{name}: {len(rows)}, such as {rows[0]}"
            for name, rows in (
                ("lost", self.lost),
                ("doubled", self.doubled),
                ("about nothing", self.stray),
                ("not ended", self.unended),
            )
            if rows
        ]
        if self.deadline_late_ms > late_ms_max:
            found.append(f"a deadline fired {self.deadline_late_ms} ms late")
        return found


def account(
    made: Sequence[Made], incidents: Iterable[Mapping[str, Any]], *, start_ms: int, pace: float
) -> Ledger:
    """Compare.

    Args:
        made: what happened.
        incidents: every rescue of these lifts, as the service tells them.
        start_ms: the wall's time at the city's second 0.
        pace: the city's seconds in one of the wall.

    """
    ledger = Ledger()
    of_lift: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in sorted(incidents, key=lambda one: int(one["id"])):
        of_lift[one["asset"]].append(one)
        _count(ledger, one, pace)
    mine: dict[str, list[Made]] = defaultdict(list)
    for fact in made:
        mine[fact.lift.asset].append(fact)
        ledger.made += fact.entrapment is not None
        ledger.buttons += fact.entrapment is None
        ledger.freed_by_themselves += fact.freed_by == "itself"
    for asset, facts in mine.items():
        _match(ledger, facts, of_lift.pop(asset, []), start_ms, pace)
    for rows in of_lift.values():
        ledger.stray += [str(one["number"]) for one in rows]
    return ledger


def _match(
    ledger: Ledger,
    facts: Sequence[Made],
    rows: Sequence[Mapping[str, Any]],
    start_ms: int,
    pace: float,
) -> None:
    """Give each rescue of one lift to what it is about: the last that began before it."""
    facts = sorted(facts, key=lambda one: one.began_s)
    begins = [start_ms + one.began_s * 1_000 / pace - EARLY_MS for one in facts]
    of_fact: list[list[str]] = [[] for _ in facts]
    for row in rows:
        detected = parse_time(row["detected_at"])
        before = [number for number, at in enumerate(begins) if at <= detected]
        if before:
            of_fact[before[-1]].append(str(row["number"]))
        else:
            ledger.stray.append(str(row["number"]))
    for fact, numbers in zip(facts, of_fact, strict=True):
        if not numbers and fact.expected:
            ledger.lost.append(f"{fact.lift.asset} at {fact.began_s:.0f} s")
        ledger.unheard += not numbers and not fact.expected
        if len(numbers) > 1:
            ledger.doubled.append(f"{fact.lift.asset}: {', '.join(numbers)}")


def _count(ledger: Ledger, row: Mapping[str, Any], pace: float) -> None:
    ledger.opened += 1
    ledger.released += row.get("released_at") is not None
    ledger.closed += row["state"] == "closed"
    ledger.false_alarms += row["state"] == "false_alarm"
    ledger.levels[int(row["level"])] += 1
    if row["state"] not in ("closed", "false_alarm"):
        ledger.unended.append(f"{row['number']} {row['state']}")
    for one in row.get("deadlines", ()):
        if one.get("fired_at") is not None:
            late_ms = parse_time(one["fired_at"]) - parse_time(one["due_at"])
            ledger.deadlines[one["kind"]] += 1
            ledger.deadline_late_ms = max(ledger.deadline_late_ms, late_ms)
    detected = parse_time(row["detected_at"])
    for name, spans in (("accepted_at", ledger.response_s), ("arrived_at", ledger.arrival_s)):
        if row.get(name) is not None:
            spans.append((parse_time(row[name]) - detected) * pace / 1_000)


def share_within(spans: Sequence[float], limit_s: float) -> float:
    """Return the share of spans that are no longer than a limit; 1 of none."""
    return sum(one <= limit_s for one in spans) / len(spans) if spans else 1.0
