"""A clock that was set to the future and is right again: a person says so, and nothing is lost."""

from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.__main__ import app
from edge.interlock.base import Entry
from edge.interlock.clock_check import check_clock, time_known
from edge.interlock.day import moment
from edge.interlock.decide import clock_checked
from edge.interlock.journal import FILE, Journal
from edge.interlock.record import fill_record
from edge.interlock.state import State
from edge.lock import only_one
from protocols.errors import RefuseInput, StopService

DAY_MS = 86_400_000
NOON = 1_773_576_000_000  # 2026-03-15 12:00 UTC
FUTURE = NOON + 300 * DAY_MS
OPENED = Entry(step="released", number=1_012, at_boot_ms=5)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return a folder in which a gate ran with a clock that was a year ahead."""
    journal = Journal(tmp_path)
    journal.begin("gun-1", 1_000)
    journal.closed("gun-1", "cylinder:BEFORE", date(2026, 3, 1), NOON)
    journal.closed("gun-1", "cylinder:WRONG", date(2027, 1, 9), FUTURE)
    journal.opened("gun-1", OPENED, FUTURE)
    journal.close()
    return tmp_path


def test_time_goes_on_and_nothing_else_is_lost(state: Path) -> None:
    told = check_clock(state, " Wang Wei ", "set to 2027 by mistake", NOON, spool_ms=0)
    assert told == "it is 2026-03-15 12:00+00:00, not 2027-01-09 12:00+00:00, says Wang Wei"
    journal = Journal(state)
    assert moment("synced", NOON, journal.known_ms, 480).clock == "trusted"
    assert journal.begin("gun-1", 1) == (2_000, OPENED)
    assert journal.filled() == {
        "cylinder:BEFORE": date(2026, 3, 1),
        "cylinder:WRONG": date(2026, 3, 15),
    }
    (check,) = journal.clock_checks()
    assert (check.name, check.at_ms, check.latest_ms) == ("Wang Wei", NOON, FUTURE)
    journal.clock_check_told(check.id)
    journal.close()
    again = Journal(state)
    assert again.clock_checks() == []
    again.close()


def test_the_record_of_it_names_who_and_why() -> None:
    state, entry = clock_checked(State(number=7), "Wang Wei", "set to 2027 by mistake", 5)
    record = fill_record(entry, 9, gate="gun-1", filler="org-7", gas="lpg")
    assert (record.number, state.number) == (8, 8)
    assert (record.step, record.why, record.operator) == ("cleared", "clock_set_back", "Wang Wei")
    assert record.override is not None
    assert record.override.why == "set to 2027 by mistake"


@pytest.mark.parametrize(
    ("reason", "name", "why", "now_ms"),
    [
        ("no_name", " ", "set by mistake", NOON),
        ("no_reason", "Wang Wei", "", NOON),
        ("clock_unset", "Wang Wei", "set by mistake", 1_000),
        ("clock_unset", "Wang Wei", "set by mistake", NOON + 40 * 365 * DAY_MS),
        ("not_set_back", "Wang Wei", "set by mistake", FUTURE),
    ],
)
def test_what_clears_nothing_is_refused(
    state: Path, reason: str, name: str, why: str, now_ms: int
) -> None:
    with pytest.raises(RefuseInput) as error:
        check_clock(state, name, why, now_ms, spool_ms=FUTURE)
    assert error.value.reason == reason


def test_a_time_that_only_the_spool_knows_is_cleared_and_what_it_learns_after_that_counts(
    tmp_path: Path,
) -> None:
    assert time_known(tmp_path, FUTURE) == FUTURE, "no gate, no journal"
    journal = Journal(tmp_path)
    journal.closed("gun-1", "", None, NOON)
    journal.close()
    assert time_known(tmp_path, FUTURE) == FUTURE, "nobody has looked yet"
    with pytest.raises(RefuseInput, match="not_set_back"):
        check_clock(tmp_path, "Wang Wei", "why", NOON + 5, spool_ms=NOON)
    check_clock(tmp_path, "Wang Wei", "set to 2027 by mistake", NOON + 5, spool_ms=FUTURE)
    assert time_known(tmp_path, FUTURE) == NOON + 5
    for later in (FUTURE + 1, NOON + DAY_MS):
        assert time_known(tmp_path, later) == later, "learnt after the check"
    assert time_known(tmp_path, NOON) == NOON
    check_clock(tmp_path, "Wang Wei", "and again", NOON + 7, spool_ms=FUTURE + 1)
    assert time_known(tmp_path, FUTURE + 1) == NOON + 7
    journal = Journal(tmp_path)
    assert [one.spool_ms for one in journal.clock_checks()] == [FUTURE, FUTURE + 1]
    journal.close()


def test_a_damaged_journal_is_left_to_the_start_that_blocks_the_places(state: Path) -> None:
    (state / FILE).write_bytes(b"no database" * 1_000)
    with pytest.raises(StopService):
        check_clock(state, "Wang Wei", "because", NOON, spool_ms=FUTURE)
    assert time_known(state, FUTURE) == FUTURE
    journal = Journal(state)
    assert journal.damaged
    journal.close()


def test_the_command_needs_a_gateway_that_is_stopped_and_a_journal(tmp_path: Path) -> None:
    command = ["clock-checked", "--state", str(tmp_path), "--name", "Wang Wei", "--why", "because"]
    with only_one(tmp_path):
        assert CliRunner().invoke(app, command).exit_code == 1
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "no_journal" in refused.stderr
    assert not (tmp_path / FILE).exists()
    journal = Journal(tmp_path)
    journal.remember(4_000_000_000_000)
    journal.close()
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    assert "says Wang Wei" in done.stdout
