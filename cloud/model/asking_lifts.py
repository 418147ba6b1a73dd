"""What is due of lifts as a calendar file, for the API and the pages alike."""

from collections.abc import Iterable, Mapping
from datetime import date

from cloud.model.lift import Lift
from protocols.ical import Event, write_calendar

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
        day=date.fromisoformat(one.next_due_on or "9999-12-31"),
        summary=f"{chinese if zh else english}: {named}",
        url=f"{base_url}/lifts/{one.code}" if base_url else "",
    )
