"""When a scheduled query runs (EPCIS 2.0, section 8.2.5.3): pure functions.

Each field names values, divided by commas, and ranges as `[low-high]`. A field that is missing and
finer than all that are given stands at its lowest value, any other that is missing at every one:
`{"hour": "1", "minute": "5"}` is once a day, at 01:05:00.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

from msgspec import Struct

from protocols.errors import RefuseInput

FIELDS: Mapping[str, tuple[int, int]] = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "dayOfMonth": (1, 31),
    "month": (1, 12),
    "dayOfWeek": (1, 7),
}
"""Lowest and highest value; days of the week from Monday, 1."""
DAYS_MAX = 366 * 9
"""Looked through for the next time: 29 February may be eight years away."""
TEXT_CHARS_MAX = 400
_ELEMENT = re.compile(r"(?P<one>[0-9]{1,2})|\[(?P<low>[0-9]{1,2})-(?P<high>[0-9]{1,2})\]")


class Schedule(Struct, frozen=True, kw_only=True):
    """The values of each field at which a query runs, in order."""

    second: tuple[int, ...]
    minute: tuple[int, ...]
    hour: tuple[int, ...]
    day_of_month: tuple[int, ...]
    month: tuple[int, ...]
    day_of_week: tuple[int, ...]

    def next_after(self, at: datetime, zone: tzinfo) -> datetime | None:
        """Return the first time behind `at`, None when there is none within nine years.

        Args:
            at: with a zone.
            zone: whose clock the fields are read by.

        """
        local = at.astimezone(zone)
        for ahead in range(DAYS_MAX):
            day = (local + timedelta(days=ahead)).date()
            if not self._on(day.day, day.month, day.isoweekday()):
                continue
            for hour in self.hour:
                for minute in self.minute:
                    for second in self.second:
                        found = datetime(
                            day.year, day.month, day.day, hour, minute, second, tzinfo=zone
                        )
                        if found > at:
                            return found
        return None

    def _on(self, day: int, month: int, weekday: int) -> bool:
        in_month = day in self.day_of_month and month in self.month
        return in_month and weekday in self.day_of_week


def read_schedule(fields: Mapping[str, str]) -> Schedule:
    """Read a schedule.

    Raises:
        RefuseInput: `bad_subscription`: a field is unknown or is not written so, there is none at
            all, or no time fits.

    """
    given = {name: _values(name, text) for name, text in fields.items()}
    if not given:
        raise _bad("schedule", f"one of {', '.join(FIELDS)}", "{}")
    finest = min(list(FIELDS).index(name) for name in given)
    whole = {
        name: given.get(name) or _missing(place < finest, low, high)
        for place, (name, (low, high)) in enumerate(FIELDS.items())
    }
    return Schedule(
        second=whole["second"],
        minute=whole["minute"],
        hour=whole["hour"],
        day_of_month=whole["dayOfMonth"],
        month=whole["month"],
        day_of_week=whole["dayOfWeek"],
    )


def _missing(finer: bool, low: int, high: int) -> tuple[int, ...]:
    return (low,) if finer else tuple(range(low, high + 1))


def _values(name: str, text: str) -> tuple[int, ...]:
    if name not in FIELDS:
        raise _bad("schedule", ", ".join(FIELDS), name)
    low, high = FIELDS[name]
    expected = f"{low} to {high}, or [{low}-{high}], divided by commas"
    found: set[int] = set()
    for part in text[:TEXT_CHARS_MAX].split(","):
        match = _ELEMENT.fullmatch(part.strip())
        if match is None:
            raise _bad(name, expected, text)
        first = int(match["one"] or match["low"])
        last = int(match["one"] or match["high"])
        if not low <= first <= last <= high:
            raise _bad(name, expected, text)
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _bad(name: str, expected: str, found: str) -> RefuseInput:
    return RefuseInput("bad_subscription", f"{name}: expected {expected}; found {found[:200]!r}")
