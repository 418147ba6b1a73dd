"""A person says that the clock of a gateway is right although it shows less than it once did."""

from datetime import UTC, datetime
from pathlib import Path

from edge.interlock.day import STEP_BACK_MS
from edge.interlock.journal import FILE, Journal
from edge.timekeeper import BUILT_AT_MS
from protocols.errors import RefuseInput

NAME_MAX, WHY_MAX = 128, 256


def check_clock(state: Path, name: str, why: str, now_ms: int) -> str:
    """Let the gates of a stopped gateway judge by the clock as it is; return what was done.

    Nothing is lost: openings, numbers and who was filled stay, the check itself is kept in the
    journal, and the next start sends a record of it.

    Args:
        state: the daemon's state folder.
        name: who has looked at the clock.
        why: what was wrong, and what was done.
        now_ms: what the clock shows, ms since 1970.

    Raises:
        RefuseInput: `no_name`, `no_reason`, `no_journal`, `clock_unset`, or `not_set_back` when
            there is nothing to clear.
        RetryLater: the disk does not take it.

    """
    name, why = name.strip(), why.strip()
    if not 2 <= len(name) <= NAME_MAX:
        raise RefuseInput("no_name", f"expected 2 to {NAME_MAX} characters, found {len(name)}")
    if not 2 <= len(why) <= WHY_MAX:
        raise RefuseInput("no_reason", f"expected 2 to {WHY_MAX} characters, found {len(why)}")
    if not (state / FILE).exists():
        raise RefuseInput("no_journal", f"{state}: no gate ever ran here")
    if now_ms < BUILT_AT_MS:
        raise RefuseInput("clock_unset", f"set the clock first; it shows {_shown(now_ms)}")
    journal = Journal(state)
    try:
        latest_ms = journal.known_ms
        if now_ms >= latest_ms - STEP_BACK_MS:
            raise RefuseInput("not_set_back", f"it never showed more than {_shown(latest_ms)}")
        journal.check_clock(now_ms, name, why)
    finally:
        journal.close()
    return f"it is {_shown(now_ms)}, not {_shown(latest_ms)}, says {name}"


def _shown(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(" ", "minutes")
