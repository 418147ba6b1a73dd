"""A person says that the clock of a gateway is right although it shows less than it once did."""

from datetime import UTC, datetime
from pathlib import Path

from edge.interlock.day import STEP_BACK_MS
from edge.interlock.journal import FILE, Journal, last_clock_check
from edge.timekeeper import BUILT_AT_MS, BUILT_FOR_MS
from protocols.errors import RefuseInput

NAME_MAX, WHY_MAX = 128, 256


def check_clock(state: Path, name: str, why: str, now_ms: int, spool_ms: int) -> str:
    """Let a stopped gateway and its gates go by the clock as it is; return what was done.

    Nothing is lost: openings, numbers and who was filled stay, the check itself is kept in the
    journal, and the next start sends a record of it.

    Args:
        state: the daemon's state folder.
        name: who has looked at the clock.
        why: what was wrong, and what was done.
        now_ms: what the clock shows, ms since 1970.
        spool_ms: the last time that the spool knows, ms since 1970; 0: none.

    Raises:
        RefuseInput: `no_name`, `no_reason`, `no_journal`, `clock_unset`, or `not_set_back` when
            there is nothing to clear.
        RetryLater: the disk does not take it.
        StopService: the journal is damaged, which only a start may mend.

    """
    name, why = name.strip(), why.strip()
    if not 2 <= len(name) <= NAME_MAX:
        raise RefuseInput("no_name", f"expected 2 to {NAME_MAX} characters, found {len(name)}")
    if not 2 <= len(why) <= WHY_MAX:
        raise RefuseInput("no_reason", f"expected 2 to {WHY_MAX} characters, found {len(why)}")
    if not (state / FILE).exists():
        raise RefuseInput("no_journal", f"{state}: no gate ever ran here")
    if not BUILT_AT_MS <= now_ms < BUILT_AT_MS + BUILT_FOR_MS:
        raise RefuseInput("clock_unset", f"set the clock first; it shows {_shown(now_ms)}")
    journal = Journal(state, repair=False)
    try:
        latest_ms = max(journal.known_ms, spool_ms)
        if now_ms >= spool_ms and now_ms >= journal.known_ms - STEP_BACK_MS:
            raise RefuseInput("not_set_back", f"it never showed more than {_shown(latest_ms)}")
        journal.check_clock(now_ms, name, why, spool_ms=spool_ms)
    finally:
        journal.close()
    return f"it is {_shown(now_ms)}, not {_shown(latest_ms)}, says {name}"


def time_known(state: Path, spool_ms: int) -> int:
    """Return the least that the time can be, ms since 1970: what the spool knows.

    Where a person has said of this very time that it was wrong: when he said so. A time that the
    spool learnt after that counts again.
    """
    check = last_clock_check(state)
    if check is None or check.spool_ms != spool_ms:
        return spool_ms
    return min(spool_ms, check.at_ms)


def _shown(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(" ", "minutes")
