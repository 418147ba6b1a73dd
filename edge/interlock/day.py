"""The day by which a filling place judges: it never goes back. Pure."""

from datetime import UTC, date, datetime, timedelta

from msgspec import Struct

from protocols.cylinders.base import ClockState
from protocols.readings import ClockState as WireClock

STEP_BACK_MS = 600_000
"""A clock may be set right by so much; meanwhile time stands still here."""


class Moment(Struct, frozen=True, kw_only=True):
    """Now, as far as one may judge by it."""

    clock: ClockState
    now_ms: int
    """ms since 1970; the latest time ever known here, where the clock says less."""
    on: date
    """Local day."""


def moment(clock: WireClock, now_ms: int, known_ms: int, utc_offset_min: int) -> Moment:
    """Tell by which day to judge.

    Args:
        clock: whether anybody knows the time.
        now_ms: ms since 1970, as the daemon would write it.
        known_ms: the latest time that was ever judged by here, ms since 1970.
        utc_offset_min: of local time.

    """
    state: ClockState = "trusted"
    if clock == "free":
        state, now_ms = "unset", known_ms
    elif now_ms < known_ms - STEP_BACK_MS:
        state = "set_back"
    now_ms = max(now_ms, known_ms)
    local = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(minutes=utc_offset_min)
    return Moment(clock=state, now_ms=now_ms, on=local.date())
