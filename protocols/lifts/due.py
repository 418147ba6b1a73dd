"""What is due of a lift and when: from its static data, what happened to it, and the rules.

A duty of a year is done by whatever covers it from the first day on which it may be done, however
late; nothing that is done early or late moves the years after it. They are counted from the last
supervision inspection of an installation or a modernisation that was passed.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import NamedTuple

from msgspec import Struct

from protocols.lifts.base import LiftFile
from protocols.lifts.days import add_months, month_end
from protocols.lifts.due_care import care_duties
from protocols.lifts.due_types import Duty, Stop, state_of
from protocols.lifts.rules import CalendarRules, Event, InspectionRules, What

PASSED: frozenset[What] = frozenset(("inspected", "base", "major_repair"))
COVERS: dict[str, frozenset[What]] = {
    "periodic": PASSED,
    "self_test": PASSED | {"self_tested"},
}


class Plan(Struct, frozen=True, kw_only=True):
    """The calendar of a lift as of a day."""

    duties: tuple[Duty, ...]
    """By their day; of maintenance what is next of each level."""
    untold: tuple[str, ...] = ()
    """Kinds of duties that cannot be told, for want of a day to count from."""
    stopped_since: date | None = None
    scrapped_on: date | None = None
    inspect_before_restart: bool = False
    """It has been stopped so long that it must not go on without an inspection."""

    @property
    def overdue(self) -> tuple[Duty, ...]:
        """What should have been done."""
        return tuple(one for one in self.duties if one.state == "overdue")

    @property
    def next(self) -> Duty | None:
        """What is due first of all that is not done."""
        left = [one for one in self.duties if one.state in ("overdue", "open", "ahead")]
        return left[0] if left else None


class _Life(NamedTuple):
    """What happened, in order."""

    events: list[Event]
    bases: list[date]
    stops: list[Stop]
    scrapped_on: date | None


def plan(file: LiftFile, events: Iterable[Event], rules: CalendarRules, today: date) -> Plan:
    """Return what is due; events after today count for nothing."""
    life = _live([*events, *told_events(file)], today)
    stop = life.stops[-1] if life.stops and life.stops[-1].until is None else None
    duties = [
        *_years(life, rules.inspection, today),
        *_reinspections(life, rules.inspection, today),
        *_restarts(life, rules.inspection, today),
    ]
    untold = [] if life.bases else ["periodic"]
    if life.scrapped_on is None:
        begun = file.used_since or (life.bases[0] if life.bases else None)
        care = care_duties(file, life.events, life.stops, begun, rules, today)
        duties += care.duties
        untold += care.untold
    else:
        duties = [one for one in duties if one.state in ("done", "late")]
        untold = []
    duties.sort(key=lambda one: (one.due_on, one.kind, one.level))
    limit = rules.inspection.restart_after_months
    return Plan(
        duties=tuple(duties),
        untold=tuple(untold),
        stopped_since=stop.since if stop else None,
        scrapped_on=life.scrapped_on,
        inspect_before_restart=stop is not None and today > add_months(stop.since, limit),
    )


def told_events(file: LiftFile) -> list[Event]:
    """Return what older papers tell, where the record begins later."""
    told: list[tuple[date | None, What]] = [
        (file.supervised_on, "base"),
        (file.inspected_on, "inspected"),
    ]
    return [Event(on=day, what=what) for day, what in told if day is not None]


def compact(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return the few events that a plan for the last of their days, or later, rests on."""
    kept, last = list[Event](), dict[str, Event]()
    for one in sorted(events):
        if one.what == "maintained":
            last[one.level] = one
        else:
            kept.append(one)
    return tuple(sorted([*kept, *last.values()]))


def _live(events: Sequence[Event], today: date) -> _Life:
    happened = sorted({one for one in events if one.on <= today}, key=_order)
    scrapped = next((one.on for one in happened if one.what == "scrapped"), None)
    if scrapped is not None:
        happened = [one for one in happened if one.on <= scrapped]
    bases = sorted({one.on for one in happened if one.what == "base"})
    return _Life(happened, bases, list(_stops(happened)), scrapped)


def _order(event: Event) -> tuple[date, bool, str, str]:
    """Order by days; on one day a stop comes before its end, and what failed before what passed."""
    return event.on, event.what in ("resumed", *PASSED), event.what, event.level


def _stops(happened: Iterable[Event]) -> Iterator[Stop]:
    since: date | None = None
    for one in happened:
        if one.what == "stopped" and since is None:
            since = one.on
        elif one.what == "resumed" and since is not None:
            yield Stop(since, one.on)
            since = None
    if since is not None:
        yield Stop(since, None)


def due_day(base: date, year: int, rules: InspectionRules) -> date:
    """Return by which day the duty of a year after the supervision inspection is to be done."""
    day = add_months(base, 12 * year)
    return month_end(day) if rules.due == "month_end" else day


def first_day(due: date, rules: InspectionRules) -> date:
    """Return from which day on a duty may be done so that it counts for its year."""
    begins = due.replace(day=1) if rules.due == "month_end" else due
    return add_months(begins, -rules.early_months)


def _years(life: _Life, rules: InspectionRules, today: date) -> Iterator[Duty]:
    horizon = add_months(today, rules.horizon_months)
    for base, next_base in zip(life.bases, [*life.bases[1:], None], strict=False):
        year = 1
        while (due := due_day(base, year, rules)) <= horizon:
            if next_base is not None and due >= next_base:
                break
            duty = _of_year(life, rules, base, year, due, today)
            if duty is not None and not (life.scrapped_on and due >= life.scrapped_on):
                yield duty
            year += 1


def _of_year(
    life: _Life, rules: InspectionRules, base: date, year: int, due: date, today: date
) -> Duty | None:
    edition = rules.edition_of(due)
    kind = edition.kind(year)
    if kind is None:
        return None
    first = first_day(due, rules)
    done = next(
        (
            one.on
            for one in life.events
            if one.what in COVERS[kind] and (one.on >= first or _replaces(one, base, due, rules))
        ),
        None,
    )
    moved = next((one.until for one in life.stops if one.holds(due) and one.until), None)
    until = moved or due
    return Duty(
        kind=kind,
        year=year,
        base_on=base,
        from_on=first,
        due_on=until,
        limit_on=until,
        apply_by=add_months(until, -rules.apply_months) if kind == "periodic" else None,
        done_on=done,
        state=state_of(first, until, done, life.stops, today),
        reason=_reason(year, kind, edition.periodic_years, moved is not None),
        source=edition.source,
        source_zh=edition.source_zh,
        confidence=edition.confidence,
    )


def _replaces(event: Event, base: date, due: date, rules: InspectionRules) -> bool:
    """Tell whether a major repair's inspection takes the place of the one due in its year."""
    this_year = rules.major_repair == "calendar_year" and event.on.year == due.year
    return event.what == "major_repair" and this_year and event.on >= base


def _reason(year: int, kind: str, listed: Sequence[int], moved: bool) -> str:
    if moved:
        return "after_stop"
    if kind == "self_test":
        return "between_years"
    return "listed_year" if year in listed else "every_year"


def _reinspections(life: _Life, rules: InspectionRules, today: date) -> Iterator[Duty]:
    for at, one in enumerate(life.events):
        if one.what == "failed":
            after = life.events[at + 1 :]
            done = next((each.on for each in after if each.what in PASSED), None)
            yield Duty(
                kind="reinspection",
                from_on=one.on,
                due_on=one.on,
                limit_on=one.on,
                done_on=done,
                state=state_of(one.on, one.on, done, life.stops, today),
                reason="failed",
                source=rules.failed.source,
                source_zh=rules.failed.source_zh,
                confidence=rules.failed.confidence,
            )


def _restarts(life: _Life, rules: InspectionRules, today: date) -> Iterator[Duty]:
    for stop in life.stops:
        if stop.until is None or stop.until <= add_months(stop.since, rules.restart_after_months):
            continue
        first = max(stop.since, add_months(stop.until, -rules.early_months))
        passed = (one.on for one in life.events if one.what in PASSED and one.on >= first)
        done = next(passed, None)
        yield Duty(
            kind="restart",
            from_on=first,
            due_on=stop.until,
            limit_on=stop.until,
            done_on=done,
            state=state_of(first, stop.until, done, life.stops, today),
            reason="long_stop",
            source=rules.restart.source,
            source_zh=rules.restart.source_zh,
            confidence=rules.restart.confidence,
        )
