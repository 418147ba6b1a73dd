"""The calendar of a lift told slowly and plainly, day by day, from the words of the rules alone.

Nothing of `protocols.lifts` is used but its types; the shipped rules stand here once more by hand.
"""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from protocols.lifts.base import Contract, LiftFile
from protocols.lifts.rules import Event

ONE = timedelta(days=1)
NEW_EDITION = date(2023, 4, 2)
LISTED = (1, 4, 7, 9, 11, 13, 15)
PASSES = ("inspected", "base", "major_repair")
LEVELS = ("half_month", "quarterly", "half_year", "yearly")
MONTHS = {"quarterly": 3, "half_year": 6, "yearly": 12}


class Line(NamedTuple):
    """One duty."""

    kind: str
    year: int
    level: str
    due_on: date
    done_on: date | None
    state: str


def tell(file: LiftFile, events: list[Event], today: date) -> set[Line]:
    """Return the calendar of a lift on a day."""
    happened = sorted((one for one in events if one.on <= today), key=_turn)
    scraps = [one.on for one in happened if one.what == "scrapped"]
    if scraps:
        happened = [one for one in happened if one.on <= min(scraps)]
    still = _stopped_days(happened, today)
    now_stopped = _last_toggle(happened) == "stopped"
    lines = [
        *_yearly(happened, still, now_stopped, scraps, today),
        *_after_failures(happened, now_stopped, today),
        *_after_long_stops(happened, now_stopped, today),
    ]
    if scraps:
        return {one for one in lines if one.state in ("done", "late")}
    begun = file.used_since
    assert begun is not None
    if not now_stopped and begun <= today:
        lines += _care(file, happened, begun, today)
    if not now_stopped:
        lines += _contract(file, begun, today)
    done = [one.on for one in happened if one.what == "registered"]
    if done or not file.certificate:
        until = begun + timedelta(days=30)
        first = done[0] if done else None
        lines.append(
            Line("registration", 0, "", until, first, _state(begun, until, first, False, today))
        )
    return set(lines)


def _turn(event: Event) -> tuple[date, bool, str, str]:
    return event.on, event.what in ("resumed", *PASSES), event.what, event.level


def _last_toggle(happened: list[Event]) -> str:
    word = ""
    for one in happened:
        if one.what in ("stopped", "resumed"):
            word = one.what
    return word


def _stopped_days(happened: list[Event], today: date) -> set[date]:
    found, stopped = set(), False
    toggles: dict[date, list[str]] = {}
    for one in happened:
        if one.what in ("stopped", "resumed"):
            toggles.setdefault(one.on, []).append(one.what)
    day = min(toggles, default=today)
    while day <= today + timedelta(days=800):
        for word in toggles.get(day, ()):
            stopped = word == "stopped"
        if stopped:
            found.add(day)
        day += ONE
    return found


def _last_of_month(year: int, month: int) -> date:
    day = date(year, month, 28)
    while (day + ONE).month == month:
        day += ONE
    return day


def _months_back(first_of_month: date, months: int) -> date:
    day = first_of_month
    while months:
        day -= ONE
        months -= day.day == 1
    return day


def _months_on(day: date, months: int) -> date:
    """Return the same day so many months later, else the last of that month."""
    year, month = day.year, day.month
    for _ in range(months):
        month += 1
        if month == 13:
            year, month = year + 1, 1
    last = _last_of_month(year, month)
    return last if day.day > last.day else date(year, month, day.day)


def _state(first: date, until: date, done: date | None, stopped: bool, today: date) -> str:
    if done is not None:
        return "late" if done > until else "done"
    if stopped:
        return "suspended"
    if until < today:
        return "overdue"
    return "ahead" if today < first else "open"


def _yearly(
    happened: list[Event], still: set[date], stopped: bool, scraps: list[date], today: date
) -> Iterator[Line]:
    bases = sorted({one.on for one in happened if one.what == "base"})
    for number, base in enumerate(bases):
        for year in range(1, 60):
            due = _last_of_month(base.year + year, base.month)
            if due > _months_on(today, 24):
                break
            if number + 1 < len(bases) and due >= bases[number + 1]:
                break
            if scraps and due >= min(scraps):
                break
            periodic = due < NEW_EDITION or year in LISTED or year > 15
            kind = "periodic" if periodic else "self_test"
            first = _months_back(due.replace(day=1), 2)
            done = _done(happened, base, due, first, kind)
            until = _moved(due, still, today)
            yield Line(kind, year, "", until, done, _state(first, until, done, stopped, today))


def _done(happened: list[Event], base: date, due: date, first: date, kind: str) -> date | None:
    covering = PASSES if kind == "periodic" else (*PASSES, "self_tested")
    for one in happened:
        in_year = one.what == "major_repair" and one.on.year == due.year
        if one.what in covering and (one.on >= first or (in_year and one.on >= base)):
            return one.on
    return None


def _moved(due: date, still: set[date], today: date) -> date:
    """Return the day on which it went on, where it stood still on the due day."""
    day = due
    while day in still and day <= today:
        day += ONE
    return day if day <= today else due


def _after_failures(happened: list[Event], stopped: bool, today: date) -> Iterator[Line]:
    for at, one in enumerate(happened):
        if one.what == "failed":
            passes = [each.on for each in happened[at + 1 :] if each.what in PASSES]
            done = passes[0] if passes else None
            state = _state(one.on, one.on, done, stopped, today)
            yield Line("reinspection", 0, "", one.on, done, state)


def _after_long_stops(happened: list[Event], stopped: bool, today: date) -> Iterator[Line]:
    since = None
    for one in happened:
        if one.what == "stopped" and since is None:
            since = one.on
        if one.what == "resumed" and since is not None:
            if one.on > _months_on(since, 12):
                first = max(since, _months_before(one.on, 2))
                passes = [e.on for e in happened if e.what in PASSES and e.on >= first]
                done = passes[0] if passes else None
                yield Line(
                    "restart", 0, "", one.on, done, _state(first, one.on, done, stopped, today)
                )
            since = None


def _months_before(day: date, months: int) -> date:
    year, month = day.year, day.month
    for _ in range(months):
        month -= 1
        if month == 0:
            year, month = year - 1, 12
    last = _last_of_month(year, month)
    return last if day.day > last.day else date(year, month, day.day)


def _care(file: LiftFile, happened: list[Event], begun: date, today: date) -> Iterator[Line]:
    holding = [c for c in file.contracts if c.from_ <= today and (c.until or today) >= today]
    newest = max(holding, key=lambda c: c.from_, default=None)
    on_demand = newest is not None and newest.kind == "on_demand"
    for level in LEVELS[1:] if on_demand else LEVELS:
        heavy = LEVELS[LEVELS.index(level) :]
        counted, last, out = begun, None, False
        for one in happened:
            if one.what == "maintained" and one.level in heavy:
                last = one.on
                counted = max(counted, one.on)
            if one.what == "stopped":
                out = True
            if one.what == "resumed" and out:
                counted, out = max(counted, one.on), False
        if level == "half_month":
            due = counted
            for _ in range(15):
                due += ONE
        else:
            due = _months_on(counted, MONTHS[level])
        first = due - 3 * ONE
        yield Line("maintenance", 0, level, due, last, _state(first, due, None, False, today))


def _contract(file: LiftFile, begun: date, today: date) -> Iterator[Line]:
    day, ever = today, False
    while any(c.from_ <= day and (c.until is None or day <= c.until) for c in file.contracts):
        ever = True
        day += ONE
        if day > today + timedelta(days=20_000):
            return
    due = day - ONE
    if not ever:
        ended = [c.until for c in file.contracts if c.until is not None and c.until < today]
        due = max(ended) if ended else begun
        if due > today:
            return
    first = due - 30 * ONE
    yield Line("contract", 0, "", due, None, _state(first, due, None, False, today))


EDGES = ((2, 28), (2, 29), (3, 1), (12, 31), (1, 1), (1, 31), (4, 30), (8, 31), (11, 30))


def random_day(rng: random.Random, low: date, high: date) -> date:
    """Return a day within two, one in three of them at an end of a month or a leap day."""
    if rng.random() < 0.33:
        month, day = rng.choice(EDGES)
        year = rng.randint(low.year, high.year)
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        found = date(year, month, 28 if (month, day) == (2, 29) and not leap else day)
        return min(max(found, low), high)
    return low + timedelta(days=rng.randint(0, (high - low).days))


def random_lift(rng: random.Random) -> tuple[LiftFile, list[Event], date]:
    """Return a lift, what happened to it in about 30 years, and their last day."""
    base = random_day(rng, date(2000, 1, 1), date(2026, 1, 1))
    end = base + timedelta(days=30 * 365)
    events = [Event(on=base, what="base")] if rng.random() < 0.95 else []
    for year in range(1, 31):
        due = _last_of_month(base.year + year, base.month)
        if rng.random() < 0.75:
            what = rng.choice(("inspected", "inspected", "self_tested", "failed"))
            on = due + timedelta(days=rng.choice((-95, -92, -91, -90, -60, -30, -1, 0, 1, 40, 300)))
            events.append(Event(on=on, what=what))  # type: ignore[arg-type]
    for once, chance in (("base", 0.25), ("major_repair", 0.3), ("scrapped", 0.1)):
        if rng.random() < chance:
            events.append(Event(on=random_day(rng, base, end), what=once))  # type: ignore[arg-type]
    for _ in range(rng.choice((0, 0, 1, 2))):
        since = random_day(rng, base, end)
        events.append(Event(on=since, what="stopped"))
        if rng.random() < 0.8:
            last = min(end, since + timedelta(days=rng.choice((0, 1, 200, 365, 366, 367, 900))))
            events.append(Event(on=last, what="resumed"))
    for _ in range(rng.randint(0, 25)):
        level = rng.choice(LEVELS)
        events.append(Event(on=random_day(rng, base, end), what="maintained", level=level))
    if rng.random() < 0.4:
        events.append(Event(on=random_day(rng, base, end), what="registered"))
    file = LiftFile(
        used_since=base + timedelta(days=rng.choice((0, 1, 20, 400))),
        certificate=rng.choice(("", "T1")),
        contracts=tuple(random_contracts(rng, base, end)),
    )
    rng.shuffle(events)
    return file, [one for one in events if one.on >= base], end


def random_contracts(rng: random.Random, low: date, high: date) -> Iterator[Contract]:
    """Yield up to four contracts, with gaps and overlaps."""
    day = random_day(rng, low, high)
    for _ in range(rng.randint(0, 4)):
        until = day + timedelta(days=rng.choice((30, 364, 365, 730)))
        kind = rng.choice(("regular", "regular", "on_demand"))
        last = until if rng.random() < 0.9 else None
        yield Contract(kind=kind, from_=day, until=last)  # type: ignore[arg-type]
        day = until + timedelta(days=rng.choice((-5, 1, 1, 1, 40)))
