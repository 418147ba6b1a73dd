"""Days of a calendar as iCalendar (RFC 5545): one all-day event for each day and kind of case."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct

OCTETS_MAX = 75
"""Of one line; what is longer goes on in the next after a space."""


class Event(Struct, frozen=True, kw_only=True):
    """One entry of a calendar."""

    uid: str
    """The same for the same thing each time, so that a calendar replaces it."""
    day: date
    summary: str
    url: str = ""


def write_calendar(name: str, events: Iterable[Event], made_at_ms: int) -> bytes:
    """Write a calendar of all-day events."""
    stamp = datetime.fromtimestamp(made_at_ms / 1_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Suyuan//Cylinders//EN"]
    lines += ["CALSCALE:GREGORIAN", f"X-WR-CALNAME:{_escaped(name)}"]
    for event in events:
        lines += _event(event, stamp)
    return b"".join(_folded(line) for line in [*lines, "END:VCALENDAR"])


def _event(event: Event, stamp: str) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{event.uid}"
    yield f"DTSTAMP:{stamp}"
    yield f"DTSTART;VALUE=DATE:{event.day:%Y%m%d}"
    yield f"DTEND;VALUE=DATE:{event.day + timedelta(days=1):%Y%m%d}"
    yield f"SUMMARY:{_escaped(event.summary)}"
    if event.url:
        yield f"URL:{event.url}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _escaped(text: str) -> str:
    for plain, written in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(plain, written)
    return text


def _folded(line: str) -> bytes:
    """Cut a line between characters, never within one."""
    found, room = bytearray(), OCTETS_MAX
    for character in line:
        octets = character.encode()
        if len(octets) > room:
            found += b"\r\n "
            room = OCTETS_MAX - 1
        found += octets
        room -= len(octets)
    return bytes(found) + b"\r\n"
