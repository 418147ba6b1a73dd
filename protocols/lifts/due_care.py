"""What is due of a lift in use beside inspections: maintenance, registration, a contract."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from protocols.lifts.base import LiftFile
from protocols.lifts.days import add_days, add_months
from protocols.lifts.due_types import Duty, Stop, state_of
from protocols.lifts.rules import CalendarRules, Cycle, Event


class Care(NamedTuple):
    """What is due, and what cannot be told."""

    duties: list[Duty]
    untold: list[str]


def care_duties(
    file: LiftFile,
    events: Sequence[Event],
    stops: Sequence[Stop],
    begun: date | None,
    rules: CalendarRules,
    today: date,
) -> Care:
    """Return what is due of a lift that is not scrapped.

    Args:
        file: its static data.
        events: what happened until today.
        stops: its times out of use.
        begun: since when it is in use; None: nobody knows.
        rules: all of them.
        today: as of which day.

    """
    if begun is None:
        told = list(_contract(file, stops, begun, rules, today))
        untold = ["maintenance", *([] if file.certificate else ["registration"])]
        return Care(told, untold if told or file.contract(today) else [*untold, "contract"])
    duties = [
        *_maintenance(file, events, stops, begun, rules, today),
        _registration(file, events, begun, rules, today),
        *_contract(file, stops, begun, rules, today),
    ]
    return Care([one for one in duties if one is not None], [])


def _maintenance(
    file: LiftFile,
    events: Sequence[Event],
    stops: Sequence[Stop],
    begun: date,
    rules: CalendarRules,
    today: date,
) -> Iterator[Duty]:
    if begun > today or (stops and stops[-1].until is None):
        return
    contract, maintenance = file.contract(today), rules.maintenance
    on_demand = contract is not None and contract.kind == "on_demand"
    levels = [one.level for one in maintenance.regular]
    start = max([begun, *(one.until for one in stops if one.until)])
    for cycle in maintenance.on_demand if on_demand else maintenance.regular:
        heavier = levels[levels.index(cycle.level) :]
        days = [one.on for one in events if one.what == "maintained" and one.level in heavier]
        last = max(days) if days else None
        due = _after(max(start, last) if last else start, cycle)
        first, limit = add_days(due, -maintenance.lead_days), add_days(due, cycle.tolerance_days)
        yield Duty(
            kind="maintenance",
            level=cycle.level,
            from_on=first,
            due_on=due,
            limit_on=limit,
            done_on=last,
            state=state_of(first, limit, None, stops, today),
            reason="on_demand" if on_demand else "cycle",
            source=cycle.source,
            source_zh=cycle.source_zh,
            confidence=cycle.confidence,
        )


def _after(day: date, cycle: Cycle) -> date:
    if cycle.days is not None:
        return add_days(day, cycle.days)
    return add_months(day, cycle.months or 0)


def _registration(
    file: LiftFile, events: Sequence[Event], begun: date, rules: CalendarRules, today: date
) -> Duty | None:
    rule = rules.registration
    due = add_days(begun, rule.within_days)
    done = next((one.on for one in events if one.what == "registered"), None)
    if done is None and file.certificate:
        return None
    return Duty(
        kind="registration",
        from_on=begun,
        due_on=due,
        limit_on=due,
        done_on=done,
        state=state_of(begun, due, done, (), today),
        reason="within_days",
        source=rule.source,
        source_zh=rule.source_zh,
        confidence=rule.confidence,
    )


def _contract(
    file: LiftFile,
    stops: Sequence[Stop],
    begun: date | None,
    rules: CalendarRules,
    today: date,
) -> Iterator[Duty]:
    if stops and stops[-1].until is None:
        return
    rule, held = rules.contract, file.contract(today)
    ended = [one.until for one in file.contracts if one.until is not None and one.until < today]
    due = max(ended) if ended else begun
    if held is not None:
        due = _covered_until(file, today)
    if due is None or (due > today and held is None):
        return
    first = add_days(due, -rule.warn_days)
    yield Duty(
        kind="contract",
        from_on=first,
        due_on=due,
        limit_on=due,
        state=state_of(first, due, None, (), today),
        reason="contract_ends" if held or ended else "contract_none",
        source=rule.source,
        source_zh=rule.source_zh,
        confidence=rule.confidence,
    )


def _covered_until(file: LiftFile, today: date) -> date | None:
    """Return the last day until which one contract follows the other; None: there is no end."""
    day = today
    while True:
        holding = [one for one in file.contracts if one.holds(day)]
        if not holding:
            return add_days(day, -1)
        if any(one.until is None for one in holding):
            return None
        day = add_days(max(one.until for one in holding if one.until), 1)
