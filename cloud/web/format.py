"""Times and values as people read them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cloud.web.texts import Texts
from protocols.catalog.points import MessageCode, Point
from protocols.readings import Value


def clock_time(ms: int | None, zone: ZoneInfo, now_ms: int) -> str:
    """Write a moment in `zone`: today only the time, else with the date; empty for None."""
    if ms is None:
        return ""
    moment = datetime.fromtimestamp(ms // 1000, UTC).astimezone(zone)
    today = datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(zone).date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M:%S")


def duration(ms: int) -> str:
    """Write how long something lasts, as 4:05, 1:02:03 or 3d 01:02; the script writes the same."""
    seconds = max(0, ms) // 1000
    days, seconds = divmod(seconds, 86_400)
    hours, rest = divmod(seconds, 3_600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days}d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def value_text(value: Value, point: Point | None, codes: dict[str, MessageCode], t: Texts) -> str:
    """Write a value in words of the language, with its unit."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return t("word.true" if value else "word.false")
    if isinstance(value, list):
        return ", ".join(code_text(code, codes, t) for code in value) or t("word.empty")
    if isinstance(value, str):
        return t.find(f"word.{value}", value) if point and point.type == "word" else value
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f"{text} {point.unit}" if point and point.unit else text


def code_text(code: str, codes: dict[str, MessageCode], t: Texts) -> str:
    """Write a message code with its meaning."""
    known = codes.get(code)
    if known is None:
        return code
    title = known.title_zh if t.language == "zh" else known.title
    return f"{code} {title}" if code.isdigit() else title
