"""What is asked of lifts, and what is due as a calendar file, for the API and the pages alike."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import get_args

from cloud.model.lift import Lift, WantedLifts
from protocols.errors import RefuseInput
from protocols.ical import Event, write_calendar
from protocols.lifts.base import State

TEXT_CHARS_MAX = 128
CALENDAR_LIFTS_MAX = 5_000
"""Of one calendar file; those that are due first."""
NAMES = ("text", "district", "maintainer", "state", "overdue", "due_before", "after")
STATES: tuple[State, ...] = get_args(State)
LAST_DAY = "9999-12-31"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

CALENDAR_HEADERS = {"Content-Disposition": 'attachment; filename="lifts.ics"'}
"""A calendar is to be saved."""
TITLES: Mapping[str, tuple[str, str]] = {
    "periodic": ("Periodic inspection", "定期检验"),
    "self_test": ("Self-test", "自行检测"),
    "reinspection": ("Inspection after a failed one", "不合格复检"),
    "restart": ("Inspection before restart", "停用后检验"),
    "maintenance": ("Maintenance", "维护保养"),
    "registration": ("Use registration", "使用登记"),
    "contract": ("Contract of maintenance", "维保合同"),
}
"""English and Chinese."""


def read_wanted(query: Mapping[str, str], limit: int) -> WantedLifts:
    """Read which lifts are asked for; RefuseInput `bad_request`."""
    texts = {name: (query.get(name) or "").strip()[:TEXT_CHARS_MAX] or None for name in NAMES}
    due, overdue = texts["due_before"], texts["overdue"]
    if due is not None and not _DAY.fullmatch(due):
        raise RefuseInput("bad_request", f"due_before: expected YYYY-MM-DD, found {due[:20]!r}")
    if overdue not in (None, "true", "false"):
        raise RefuseInput("bad_request", f"overdue: expected true or false, found {overdue!r}")
    day, _, last = (texts["after"] or "").partition(":")
    return WantedLifts(
        text=texts["text"],
        district=texts["district"],
        maintainer=texts["maintainer"],
        state=_state(texts["state"]),
        overdue=None if overdue is None else overdue == "true",
        due_before=due,
        after=(day[:10], last) if last else None,
        limit=limit,
    )


def after_of(one: Lift) -> str:
    """Return what leads to the page behind a lift."""
    return f"{one.next_due_on or LAST_DAY}:{one.asset_id}"


def _state(text: str | None) -> State | None:
    if text is None:
        return None
    for state in STATES:
        if state == text:
            return state
    raise RefuseInput("bad_request", f"state: expected {', '.join(STATES)}, found {text[:40]!r}")


def calendar_of_lifts(lifts: Iterable[Lift], *, language: str, base_url: str, now_ms: int) -> bytes:
    """Write what is due first of each lift as a calendar; the same entry is replaced later."""
    zh = language == "zh"
    return write_calendar(
        "电梯到期日历" if zh else "Lifts: what is due",
        (_event(one, zh=zh, base_url=base_url) for one in lifts if one.next_due_on),
        now_ms,
    )


def _event(one: Lift, *, zh: bool, base_url: str) -> Event:
    english, chinese = TITLES.get(one.next_kind, (one.next_kind, one.next_kind))
    named = " ".join(part for part in (one.file.name, one.file.address) if part) or one.code
    return Event(
        uid=f"lift-{one.code}@suyuan",
        day=date.fromisoformat(one.next_due_on or LAST_DAY),
        summary=f"{chinese if zh else english}: {named}",
        url=f"{base_url}/lifts/{one.code}" if base_url else "",
    )
