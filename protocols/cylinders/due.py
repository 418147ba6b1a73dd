"""Until when a cylinder may be filled: by its inspection, by its design life, by its use."""

import calendar
from datetime import date
from functools import lru_cache
from typing import NamedTuple, TypeVar

from protocols.cylinders.base import Cylinder, MarkedDate, Seen
from protocols.cylinders.book import Life, MonthEnds, Row, RuleBook

MIXTURE = "mixture"
RowT = TypeVar("RowT", bound=Row)


class Term(NamedTuple):
    """The last good day."""

    ends_on: date | None
    """None: there is no end, or it cannot be told."""
    told: bool


_UNTOLD = Term(None, told=False)


def gases_of(one: Cylinder | Seen) -> tuple[str, ...]:
    """Return what it holds or what is filled: the components of a mixture, else the one gas."""
    return one.components if one.gas == MIXTURE else (one.gas,)


def anniversary(marked: MarkedDate, years: int, month: MonthEnds) -> date:
    """Return the day `years` later; a 29 February becomes the 28th where there is none."""
    year = marked.year + years
    if marked.day > 28:
        return date(year, marked.month, min(marked.day, calendar.monthrange(year, marked.month)[1]))
    if marked.day:
        return date(year, marked.month, marked.day)
    if month == "start_of_month":
        return date(year, marked.month, 1)
    return date(year, marked.month, calendar.monthrange(year, marked.month)[1])


def interval_years(cylinder: Cylinder, book: RuleBook, on: date) -> int | None:
    """Return the interval between inspections: for a mixture the shortest of its components.

    Returns:
        Years; 0 where none is fixed; None where the rules do not know the kind, the gas or a
        component, or the kind may not hold it.

    """
    found = [
        _first(rows[0], cylinder, on) if (rows := book.rows.get((cylinder.kind, gas))) else None
        for gas in gases_of(cylinder)
    ]
    if not found or None in found:
        return None
    return min((row.years for row in found if row is not None and row.years), default=0)


def due(cylinder: Cylinder, book: RuleBook, on: date) -> Term:
    """Tell the last day before its next periodic inspection, by the rules in force on `on`.

    The sooner of the marked date and of the count from the last inspection, or from manufacture.
    """
    years = interval_years(cylinder, book, on)
    if years is None:
        return _UNTOLD
    month = book.dates.month
    since = cylinder.inspected_on or cylinder.manufactured_on
    days = [anniversary(since, years, month)] if since is not None and years else []
    if cylinder.inspection_due_on is not None:
        days.append(anniversary(cylinder.inspection_due_on, 0, month))
    return Term(min(days), told=True) if days else _UNTOLD


def due_on(cylinder: Cylinder, book: RuleBook, on: date) -> date | None:
    """Return the last day on which it may be filled by its inspection; None: cannot be told."""
    return due(cylinder, book, on).ends_on


def life(cylinder: Cylinder, book: RuleBook, on: date) -> Term:
    """Tell the last day of its design life, its one extension included where it was granted."""
    found = [
        _first_life(rows[1], cylinder, on)
        if (rows := book.rows.get((cylinder.kind, gas)))
        else None
        for gas in gases_of(cylinder)
    ]
    if not found or None in found:
        return _UNTOLD
    marked = cylinder.design_life_years
    years = [total for row in found if row is not None and (total := _years(row, marked, cylinder))]
    if not years:
        return Term(None, told=True)
    if cylinder.manufactured_on is None:
        return _UNTOLD
    return Term(anniversary(cylinder.manufactured_on, min(years), book.dates.month), told=True)


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


def _first(rows: tuple[RowT, ...], cylinder: Cylinder, on: date) -> RowT | None:
    return next((row for row in rows if _fits(row, cylinder, on)), None)


def _fits(row: Row, cylinder: Cylinder, on: date) -> bool:
    if row.taxi is not None:
        vehicle = cylinder.vehicle
        if row.taxi != (vehicle is not None and vehicle.taxi):
            return False
    if row.standards and _spelled(cylinder.standard) not in map(_spelled, row.standards):
        return False
    return (row.from_ is None or on >= row.from_) and (row.until is None or on <= row.until)


def _first_life(rows: tuple[Life, ...], cylinder: Cylinder, on: date) -> Life | None:
    made = cylinder.manufactured_on
    for row in rows:
        if row.made_from is not None and (made is None or made.first < row.made_from):
            continue
        if row.made_until is not None and (made is None or made.last > row.made_until):
            continue
        if _fits(row, cylinder, on):
            return row
    return None


def _years(row: Life, marked: int | None, cylinder: Cylinder) -> int | None:
    years = min((one for one in (row.years, marked) if one is not None), default=None)
    if years is None or not cylinder.life_extended:
        return years
    return years + row.extension_years


@lru_cache(maxsize=4096)
def _spelled(standard: str) -> str:
    """Bring `GB/T 5842-2022` and `gb5842—2022` to one spelling."""
    plain = "".join(standard.upper().split()).replace("/T", "")
    return plain.replace("—", "-").replace("–", "-")
