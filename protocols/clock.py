"""Time as an argument: wall clock, time since boot, and ISO 8601 both ways."""

import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from protocols.errors import RefuseInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_WHOLE = re.compile(r"-?[0-9]{1,15}")


class Clock(Protocol):
    """A source of time; decisions never ask the operating system themselves."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC; may step."""
        ...

    def boot_ms(self) -> int:
        """Milliseconds since the machine booted; never steps back, runs on in suspend."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC; may step."""
        return time.time_ns() // 1_000_000

    def boot_ms(self) -> int:
        """Milliseconds since the machine booted."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class ManualClock:
    """A clock that moves only when told to; for tests and replay."""

    def __init__(self, wall_ms: int = 1_764_000_000_000, boot_ms: int = 5_000) -> None:
        self._wall_ms = wall_ms
        self._boot_ms = boot_ms

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return self._wall_ms

    def boot_ms(self) -> int:
        """Milliseconds since boot."""
        return self._boot_ms

    def advance(self, ms: int) -> None:
        """Move both clocks on by `ms`."""
        self._wall_ms += ms
        self._boot_ms += ms

    def set_wall(self, wall_ms: int) -> None:
        """Step the wall clock alone, as NTP does."""
        self._wall_ms = wall_ms


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Name this boot of the machine (32 hex digits); a random one where the kernel has none."""
    try:
        return path.read_text().strip().replace("-", "")
    except OSError:
        return uuid.uuid4().hex


def iso(ms: int) -> str:
    """Write milliseconds since 1970 as ISO 8601 UTC with milliseconds and Z."""
    moment = _EPOCH + ms * _MS  # not by a float: that loses milliseconds
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> int:
    """Read milliseconds since 1970 from a whole number or ISO 8601 text with an offset.

    Raises:
        RefuseInput: `bad_time`, when it is neither, or names no time zone.

    """
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        found = repr(text[:80])
        raise RefuseInput("bad_time", f"expected ms since 1970 or ISO 8601 with Z, found {found}")
    return (moment - _EPOCH + _MS / 2) // _MS
