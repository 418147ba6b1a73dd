"""A sample of the damage campaign."""

import shutil
from pathlib import Path

import pytest

from tests.campaigns import damage


def test_sample_of_damaged_cards_loses_nothing_without_a_word(tmp_path: Path) -> None:
    sums, faults = damage.run(tmp_path, 24, 0, seed=11)
    assert faults == []
    assert sums["cases"] == 24


def test_failing_system_calls_of_a_process_lose_nothing_without_a_word(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (Debian: apt-get install strace)")
    sums, faults = damage.run(tmp_path, 3, 3, seed=5)
    assert faults == []
    assert sums["processes"] == 3
