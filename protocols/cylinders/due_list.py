"""Work lists: what is due among a million cylinders, quicker than by judging each alone.

Terms rest on few different facts: years are judged once for each group of cylinders of one kind,
gas, standard and so on, by the same functions as a verdict's; days are counted once for each date.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from protocols.cylinders.base import Cylinder, MarkedDate
from protocols.cylinders.book import MonthEnds, RuleBook
from protocols.cylinders.due import anniversary, interval_years, life_years

GROUPS_MAX, KEPT_MAX = 10_000, 50_000
"""So many groups, and so many days of each, are kept at most; then all are made anew."""
Group = str
"""What the terms rest on beside dates, as the reader wrote it: kind, gas, standard, …"""


class Facts(NamedTuple):
    """What the terms of one cylinder rest on, dates as `MarkedDate` writes them."""

    code: str
    manufactured_on: str | None
    inspected_on: str | None
    inspection_due_on: str | None
    group: Group
    standing: str | None = None
    """What its reader wants back, whatever its days: of a line that stands already."""


Columns = tuple[str, str | None, str | None, str | None, Group, str | None]
"""`Facts` as a database gives them."""


class Due(NamedTuple):
    """One line of a work list."""

    code: str
    standing: str | None
    due_on: date | None
    """None: it cannot be told."""
    life_ends_on: date | None


class DueList:
    """Judges pages of cylinders, each group of like ones once for all pages.

    Args:
        read: makes a cylinder of a group, without dates.
        book: the rules.
        on: the day on which one judges.

    """

    def __init__(self, read: Callable[[Group], Cylinder], book: RuleBook, on: date) -> None:
        self._groups, self._on = _Groups(read, book, on), on

    def lines(self, cylinders: Iterable[Columns], within_days: int) -> Iterator[Due]:
        """Tell what must be inspected or scrapped within so many days, and what is overdue.

        Args:
            cylinders: those that are in use, each as the columns of `Facts`.
            within_days: 0: only what ends today or has ended.

        Yields:
            In the order of the cylinders; those whose inspection cannot be told, too, and those
            with something standing.

        Raises:
            RefuseInput: `bad_date`.

        """
        until, groups = self._on + timedelta(days=within_days), self._groups
        for code, made, inspected, marked, group, standing in cylinders:
            known, due, life = groups[group]
            since = inspected or made
            ends_on = due[since] if since and due is not None else None
            if marked and known:
                day = groups.marked[marked]
                if ends_on is None or day < ends_on:
                    ends_on = day
            lives_until = life[made] if made else None
            if (
                ends_on is None
                or ends_on <= until
                or standing
                or (lives_until is not None and lives_until <= until)
            ):
                yield Due(code, standing, ends_on, lives_until)


class _Days(dict[str, date]):
    """Last good days so many years after a date."""

    def __init__(self, years: int, month: MonthEnds) -> None:
        super().__init__()
        self._years, self._month = years, month

    def __missing__(self, text: str) -> date:
        if len(self) >= KEPT_MAX:
            self.clear()
        self[text] = day = anniversary(MarkedDate.parse(text), self._years, self._month)
        return day


class _Lives(dict[str, date | None]):
    """Last days of design lives in a group, by manufacture: the rules may make years depend on it.

    They do so by its month, and by no day.
    """

    def __init__(self, years: Callable[[MarkedDate], int | None], month: MonthEnds) -> None:
        super().__init__()
        self._years, self._month = years, month

    def __missing__(self, text: str) -> date | None:
        if len(self) >= KEPT_MAX:
            self.clear()
        made = MarkedDate.parse(text)
        years = self._years(MarkedDate(made.year, made.month))
        self[text] = day = anniversary(made, years, self._month) if years else None
        return day


class _OfGroup(NamedTuple):
    """Terms of the cylinders of one group."""

    known: bool
    """The rules have an interval for it, or say that none is fixed."""
    due: _Days | None
    life: _Lives


class _Groups(dict[Group, _OfGroup]):
    def __init__(self, read: Callable[[Group], Cylinder], book: RuleBook, on: date) -> None:
        super().__init__()
        self._read, self._book, self._on = read, book, on
        self._days: dict[int, _Days] = {}
        self.marked = self._after(0)

    def __missing__(self, group: Group) -> _OfGroup:
        if len(self) >= GROUPS_MAX:
            self.clear()
        cylinder, book, on = self._read(group), self._book, self._on
        interval = interval_years(cylinder, book, on)
        self[group] = found = _OfGroup(
            interval is not None,
            self._after(interval) if interval else None,
            _Lives(
                lambda made: life_years(replace(cylinder, manufactured_on=made), book, on),
                book.dates.month,
            ),
        )
        return found

    def _after(self, years: int) -> _Days:
        return self._days.setdefault(years, _Days(years, self._book.dates.month))
