"""What is asked of the work lists of cylinders, read from the parameters of a call or a page."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import get_args

import msgspec

from cloud.model.cylinder_case import (
    CaseState,
    CylinderCase,
    DayCount,
    FiguresBy,
    WantedCases,
)
from protocols.cylinders.watch import KINDS, CaseKind, Watch
from protocols.errors import RefuseInput
from protocols.ical import Event, write_calendar

TEXT_CHARS_MAX = 128
DAYS, DAYS_MAX = 92, 400
FILTERS = ("kind", "state", "filler", "station", "district", "shell", "within_days", "subject")
CALENDAR_KINDS: tuple[CaseKind, ...] = ("due", "life_ending")
CALENDAR_HEADERS = {"Content-Disposition": 'attachment; filename="cylinders.ics"'}
"""A calendar is to be saved."""


def read_wanted(query: Mapping[str, str], limit: int) -> WantedCases:
    """Read which cases are asked for; RefuseInput `bad_request`."""
    kind, state = query.get("kind") or None, query.get("state") or "open"
    _check("kind", kind, (None, *KINDS))
    _check("state", state, get_args(CaseState))
    names = ("filler", "station", "district", "shell", "subject")
    texts = {name: (query.get(name) or "").strip()[:TEXT_CHARS_MAX] or None for name in names}
    given = {name: value for name, value in texts.items() if value is not None}
    asked = {"kind": kind, "state": state, **given}
    return msgspec.structs.replace(
        msgspec.convert(asked, WantedCases),
        within_days=_days(query),
        from_day=_day(query, "from"),
        to_day=_day(query, "to"),
        after=_after(query.get("after")),
        limit=limit,
    )


def calendar_wanted(query: Mapping[str, str], today: date) -> WantedCases:
    """Read which days are asked for: from today for three months, or as told; RefuseInput."""
    from_day = _day(query, "from") or today.isoformat()
    last = date.fromisoformat(from_day) + timedelta(days=DAYS)
    to_day = _day(query, "to") or last.isoformat()
    if (date.fromisoformat(to_day) - date.fromisoformat(from_day)).days > DAYS_MAX:
        raise RefuseInput("bad_request", f"to: expected within {DAYS_MAX} days, found {to_day}")
    return msgspec.structs.replace(read_wanted(query, 1), from_day=from_day, to_day=to_day)


def read_by(query: Mapping[str, str]) -> FiguresBy:
    """Read by what figures are counted; RefuseInput `bad_request`."""
    by = query.get("by") or "filler"
    _check("by", by, get_args(FiguresBy))
    return by  # type: ignore[return-value]  # checked above


def after_of(one: CylinderCase) -> str:
    """Return what asks for the page after a case."""
    return f"{one.day}.{one.id}"


def calendar_file(
    days: Iterable[DayCount],
    watch: Watch,
    *,
    language: str,
    base_url: str,
    whose: str,
    now_ms: int,
) -> bytes:
    """Return the days on which something is due as iCalendar, one entry a day and kind."""
    zh, events = language == "zh", []
    for one in (one for one in days if one.kind in CALENDAR_KINDS):
        words = watch.words(one.kind)
        where = f"/cylinder-cases?kind={one.kind}&from={one.day}&to={one.day}"
        title = f"{words.title_zh}：{one.count} 只" if zh else f"{words.title}: {one.count}"
        events.append(
            Event(
                uid=f"{one.kind}-{one.day}-{whose}@suyuan",
                day=date.fromisoformat(one.day),
                summary=title,
                url=f"{base_url}{where}" if base_url else "",
            )
        )
    return write_calendar("气瓶到期日历" if zh else "Cylinders due", events, now_ms)


def _days(query: Mapping[str, str]) -> int | None:
    text = query.get("within_days") or None
    if text is not None and not re.fullmatch(r"[0-9]{1,4}", text):
        raise RefuseInput("bad_request", f"within_days: expected 0 to 9999, found {text[:20]!r}")
    return None if text is None else int(text)


def _after(text: str | None) -> tuple[str, int] | None:
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9]{1,15})", text)
    if found is None:
        raise RefuseInput("bad_request", f"after: expected DAY.NUMBER, found {text[:40]!r}")
    return found[1], int(found[2])


def _day(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name) or None
    try:
        return text and date.fromisoformat(text).isoformat()
    except ValueError:
        found = str(text)[:20]
        raise RefuseInput("bad_request", f"{name}: expected YYYY-MM-DD, found {found!r}") from None


def _check(name: str, found: str | None, allowed: tuple[str | None, ...]) -> None:
    if found not in allowed:
        expected = ", ".join(one for one in allowed if one)
        raise RefuseInput("bad_request", f"{name}: expected {expected}, found {str(found)[:40]!r}")
