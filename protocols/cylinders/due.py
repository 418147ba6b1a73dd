"""Until when a cylinder may be filled: by its inspection, by its design life, by its use."""

import calendar
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from protocols.cylinders.base import Cylinder, MarkedDate, Seen
from protocols.cylinders.book import LifeRow, MonthEnds, Row, RuleBook

MIXTURE = "mixture"


class Life(NamedTuple):
    """The last day of a design life."""

    ends_on: date | None
    """None: no life is fixed, or it cannot be told."""
    told: bool


def gases_of(one: Cylinder | Seen) -> tuple[str, ...]:
    """Return what it holds or what is filled: the components of a mixture, else the one gas."""
    return one.components if one.gas == MIXTURE else (one.gas,)


@lru_cache(maxsize=65_536)
def anniversary(marked: MarkedDate, years: int, month: MonthEnds) -> date:
    """Return the day `years` later; a 29 February becomes the 28th where there is none."""
    year, day = marked.year + years, marked.day or (1 if month == "start_of_month" else 31)
    if day > 28:
        day = min(day, calendar.monthrange(year, marked.month)[1])
    return date(year, marked.month, day)


def interval_years(cylinder: Cylinder, book: RuleBook, on: date) -> int | None:
    """Return the interval between inspections: for a mixture the shortest of its components.

    Returns:
        Years; 0 where none is fixed; None where the rules do not know the kind, the gas or a
        component, or the kind may not hold it.

    """
    shortest = 0
    for gas in gases_of(cylinder):
        rows = book.rows.get((cylinder.kind, gas))
        row = None if rows is None else _first(rows[0], cylinder, on)
        if row is None:
            return None
        if row.years is not None:
            shortest = min(shortest or row.years, row.years)
    return shortest if gases_of(cylinder) else None


def due_on(cylinder: Cylinder, book: RuleBook, on: date) -> date | None:
    """Return the last day on which it may be filled by its inspection, as ruled on `on`.

    The sooner of the marked date and of the count from the last inspection, or from manufacture.
    None: it cannot be told.
    """
    years, month = interval_years(cylinder, book, on), book.dates.month
    if years is None:
        return None
    since = cylinder.inspected_on or cylinder.manufactured_on
    counted = anniversary(since, years, month) if since is not None and years else None
    if cylinder.inspection_due_on is None:
        return counted
    marked = anniversary(cylinder.inspection_due_on, 0, month)
    return marked if counted is None else min(marked, counted)


def life_years(cylinder: Cylinder, book: RuleBook, on: date) -> int | None:
    """Return its design life, with its one extension where that was granted.

    Returns:
        Years, the shortest by the components of a mixture; 0 where none is fixed; None as for
        `interval_years`.

    """
    shortest, marked = 0, cylinder.design_life_years
    for gas in gases_of(cylinder):
        rows = book.rows.get((cylinder.kind, gas))
        row = None if rows is None else _first_life(rows[1], cylinder, on)
        if row is None:
            return None
        years = row.years if marked is None else min(row.years or marked, marked)
        if years is not None:
            if cylinder.life_extended:
                years += row.extension_years
            shortest = min(shortest or years, years)
    return shortest if gases_of(cylinder) else None


def life(cylinder: Cylinder, book: RuleBook, on: date) -> Life:
    """Tell the last day of its design life."""
    years, made = life_years(cylinder, book, on), cylinder.manufactured_on
    if years == 0:
        return Life(None, told=True)
    if years is None or made is None:
        return Life(None, told=False)
    return Life(anniversary(made, years, book.dates.month), told=True)


def life_ends_on(cylinder: Cylinder, book: RuleBook, on: date) -> date | None:
    """Return the last day of its design life; None: not fixed, or cannot be told."""
    return life(cylinder, book, on).ends_on


def idle_since(cylinder: Cylinder, book: RuleBook, on: date) -> date | None:
    """Return the day since which it has been out of use for longer than one interval, if so.

    An inspection after the last filling ends the idle time.
    """
    years = interval_years(cylinder, book, on)
    if not years or cylinder.last_filled_on is None:
        return None
    filled = cylinder.last_filled_on
    marks = [MarkedDate(filled.year, filled.month, filled.day)]
    if cylinder.inspected_on is not None:
        marks.append(cylinder.inspected_on)
    ends = max(anniversary(mark, years, book.dates.month) for mark in marks)
    return filled if on > ends else None


def _first(rows: tuple[Row, ...], cylinder: Cylinder, on: date) -> Row | None:
    for row in rows:
        if _fits(row, cylinder, on):
            return row
    return None


def _fits(row: Row, cylinder: Cylinder, on: date) -> bool:
    if row.taxi is not None:
        vehicle = cylinder.vehicle
        if row.taxi != (vehicle is not None and vehicle.taxi):
            return False
    if row.standards and _spelled(cylinder.standard) not in map(_spelled, row.standards):
        return False
    return (row.from_ is None or on >= row.from_) and (row.until is None or on <= row.until)


def _first_life(rows: tuple[LifeRow, ...], cylinder: Cylinder, on: date) -> LifeRow | None:
    made = cylinder.manufactured_on
    for row in rows:
        if row.made_from is not None and (made is None or made.first < row.made_from):
            continue
        if row.made_until is not None and (made is None or made.last > row.made_until):
            continue
        if _fits(row, cylinder, on):
            return row
    return None


@lru_cache(maxsize=4096)
def _spelled(standard: str) -> str:
    """Bring `GB/T 5842-2022` and `gb5842—2022` to one spelling."""
    plain = "".join(standard.upper().split()).replace("/T", "")
    return plain.replace("—", "-").replace("–", "-")
