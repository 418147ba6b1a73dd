"""A few of the campaign's pushes and updates, so that it cannot rot between its full runs."""

from pathlib import Path

import pytest

from tests.campaigns.configuration import run_pushes, run_updates

pytestmark = pytest.mark.end_to_end


def test_some_pushes_with_kills(tmp_path: Path) -> None:
    assert run_pushes(tmp_path, 6, seed=5) == []


@pytest.mark.long
@pytest.mark.timeout(600)
def test_some_updates_with_kills(tmp_path: Path) -> None:
    assert run_updates(tmp_path, 4, seed=5) == []
