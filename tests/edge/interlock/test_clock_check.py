"""A clock that was set to the future and is right again: a person says so, and nothing is lost."""

from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.__main__ import app
from edge.interlock.base import Entry
from edge.interlock.clock_check import check_clock
from edge.interlock.day import moment
from edge.interlock.decide import clock_checked
from edge.interlock.journal import FILE, Journal
from edge.interlock.record import fill_record
from edge.interlock.state import State
from edge.lock import only_one
from protocols.errors import RefuseInput

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
    told = check_clock(state, " Wang Wei ", "set to 2027 by mistake", NOON)
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
        ("not_set_back", "Wang Wei", "set by mistake", FUTURE),
    ],
)
def test_what_clears_nothing_is_refused(
    state: Path, reason: str, name: str, why: str, now_ms: int
) -> None:
    with pytest.raises(RefuseInput) as error:
        check_clock(state, name, why, now_ms)
    assert error.value.reason == reason


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
