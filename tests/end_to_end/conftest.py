"""Whole systems for end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import Stack, running


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Lifts, gateway, broker and cloud, all running."""
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    with running(Stack(tmp_path)) as one:
        yield one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder."""
    for item in items:
        if "end_to_end" in item.nodeid:
            item.add_marker("end_to_end")
