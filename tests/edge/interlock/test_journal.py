"""What must outlive a power cut does."""

from datetime import date
from pathlib import Path

from edge.interlock.base import Entry
from edge.interlock.day import STEP_BACK_MS, moment
from edge.interlock.journal import FILE, FILLED_DAYS, NUMBERS, Journal

DAY_MS = 86_400_000
NOON = 1_773_576_000_000  # 2026-03-15 12:00 UTC
ENTRY = Entry(step="released", number=12, at_boot_ms=5, before_kg=16.0)


def test_an_opening_is_there_after_a_restart_until_it_is_closed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.begin("gun-1", 1_000) == (1_000, None)
    journal.opened("gun-1", ENTRY, NOON)
    journal.close()
    again = Journal(tmp_path)
    assert again.begin("gun-1", 5) == (1_000 + NUMBERS, ENTRY)
    assert again.begin("gun-2", 7) == (7, None)
    again.closed("gun-1", "cylinder:A", date(2026, 3, 15), NOON)
    again.close()
    last = Journal(tmp_path)
    assert last.begin("gun-1", 5) == (1_000 + 2 * NUMBERS, None)
    assert last.filled() == {"cylinder:A": date(2026, 3, 15)}
    assert last.known_ms == NOON
    last.close()


def test_an_opening_is_durable_when_the_call_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin("gun-1", 1)
    journal.opened("gun-1", ENTRY, NOON)
    (tmp_path / "copy").mkdir()
    for name in (FILE, f"{FILE}-wal"):  # as a power cut leaves them
        (tmp_path / "copy" / name).write_bytes((tmp_path / name).read_bytes())
    assert Journal(tmp_path / "copy").begin("gun-1", 1)[1] == ENTRY
    journal.close()


def test_a_damaged_journal_says_so_and_counts_on_elsewhere(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff" * 8_192)
    journal = Journal(tmp_path)
    assert journal.damaged
    assert journal.begin("gun-1", 1_773_576_000) == (1_773_576_000, None)
    assert (tmp_path / f"{FILE}.damaged").exists()
    journal.close()


def test_the_latest_time_never_goes_back_and_old_fillings_are_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.remember(NOON)
    journal.remember(NOON - DAY_MS)
    assert journal.known_ms == NOON
    journal.begin("gun-1", 1)
    journal.closed("gun-1", "cylinder:OLD", date(2024, 1, 1), NOON)
    journal.closed("gun-1", "cylinder:NEW", date(2026, 3, 15), NOON)
    assert set(journal.filled()) == {"cylinder:NEW"}
    assert (date(2026, 3, 15) - date(2024, 1, 1)).days > FILLED_DAYS
    journal.close()


def test_the_day_is_local_and_never_goes_back() -> None:
    evening = NOON + 4 * 3_600_000  # 00:00 of the next day in Jilin
    assert moment("synced", evening - 1, 0, 480).on == date(2026, 3, 15)
    assert moment("synced", evening, 0, 480).on == date(2026, 3, 16)
    assert moment("synced", evening, 0, 480).clock == "trusted"
    slewed = moment("synced", evening - STEP_BACK_MS, evening, 480)
    assert (slewed.clock, slewed.on) == ("trusted", date(2026, 3, 16))
    back = moment("synced", evening - STEP_BACK_MS - 1, evening, 480)
    assert (back.clock, back.on, back.now_ms) == ("set_back", date(2026, 3, 16), evening)


def test_a_clock_that_nobody_set_is_unset_and_judges_by_the_latest_day_known() -> None:
    found = moment("free", 5_000, NOON, 480)
    assert (found.clock, found.on) == ("unset", date(2026, 3, 15))
