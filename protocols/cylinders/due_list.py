"""Work lists: what is due among a million cylinders, quicker than by judging each alone.

Terms rest on few different facts: years are judged once for each group of cylinders of one kind,
gas, standard and so on, by the same functions as a verdict's; days are counted once for each date.
"""

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from protocols.cylinders.base import Cylinder, MarkedDate
from protocols.cylinders.book import MonthEnds, RuleBook
from protocols.cylinders.due import anniversary, interval_years, life_years

KEPT_MAX = 500_000
"""So many groups, and so many days, are kept at most; then all are made anew."""
Group = tuple[object, ...]
"""What the terms rest on beside dates, as it is stored: kind, gas, standard, …"""


class Facts(NamedTuple):
    """What the terms of one cylinder rest on, dates as `MarkedDate` writes them."""

    code: str
    group: Group
    manufactured_on: str | None
    inspected_on: str | None
    inspection_due_on: str | None


class Due(NamedTuple):
    """One line of a work list."""

    first_ends_on: date
    """The sooner of the two days below; `date.min`: the inspection's cannot be told."""
    code: str
    due_on: date | None
    life_ends_on: date | None


def due_list(
    cylinders: Iterable[Facts],
    read: Callable[[Group], Cylinder],
    book: RuleBook,
    on: date,
    within_days: int,
) -> list[Due]:
    """List what must be inspected or scrapped within so many days, and what is overdue.

    Args:
        cylinders: those that are in use; read once.
        read: makes a cylinder of a group, without dates.
        book: the rules.
        on: the day on which one judges.
        within_days: 0: only what ends today or has ended.

    Returns:
        Those whose inspection cannot be told, then the most overdue first.

    Raises:
        RefuseInput: `bad_date`.

    """
    until, groups = on + timedelta(days=within_days), _Groups(read, book, on)
    found = []
    for code, group, made, inspected, marked in cylinders:
        of_group = groups[group]
        ends_on, lives_until = (
            of_group.due_on(inspected or made, marked),
            of_group.life_ends_on(made),
        )
        first = date.min if ends_on is None else ends_on
        if lives_until is not None and lives_until < first:
            first = lives_until
        if first <= until:
            found.append(Due(first, code, ends_on, lives_until))
    found.sort(key=lambda line: (line.first_ends_on, line.code))
    return found


class _Days(dict[tuple[str, int], date]):
    """Days so many years after a date."""

    def __init__(self, month: MonthEnds) -> None:
        super().__init__()
        self._month = month

    def __missing__(self, key: tuple[str, int]) -> date:
        if len(self) >= KEPT_MAX:
            self.clear()
        text, years = key
        self[key] = day = anniversary(MarkedDate.parse(text), years, self._month)
        return day


class _OfGroup:
    """Terms of the cylinders of one group."""

    __slots__ = ("_cylinder", "_days", "_interval", "_judged", "_lives")

    def __init__(self, cylinder: Cylinder, days: _Days, book: RuleBook, on: date) -> None:
        self._cylinder, self._days, self._judged = cylinder, days, (book, on)
        self._interval = interval_years(cylinder, book, on)
        self._lives: dict[str, int | None] = {}
        """By month of manufacture, on which the rules may make it depend, and on no day."""

    def due_on(self, since: str | None, marked: str | None) -> date | None:
        if self._interval is None:
            return None
        counted = self._days[since, self._interval] if since and self._interval else None
        if marked is None:
            return counted
        day = self._days[marked, 0]
        return day if counted is None or day < counted else counted

    def life_ends_on(self, made: str | None) -> date | None:
        if made is None:
            return None
        month = made[:7]
        if month not in self._lives:
            one = replace(self._cylinder, manufactured_on=MarkedDate.parse(month))
            self._lives[month] = life_years(one, *self._judged)
        years = self._lives[month]
        return self._days[made, years] if years else None


class _Groups(dict[Group, _OfGroup]):
    def __init__(self, read: Callable[[Group], Cylinder], book: RuleBook, on: date) -> None:
        super().__init__()
        self._read, self._book, self._on = read, book, on
        self._days = _Days(book.dates.month)

    def __missing__(self, group: Group) -> _OfGroup:
        if len(self) >= KEPT_MAX:
            self.clear()
        self[group] = found = _OfGroup(self._read(group), self._days, self._book, self._on)
        return found
