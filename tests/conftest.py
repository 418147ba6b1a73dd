"""Fixtures of all tests."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.mosquitto import MOSQUITTO, Mosquitto

settings.register_profile("suyuan", deadline=None)  # the time of a busy machine tells nothing
settings.load_profile("suyuan")


def pytest_collection_finish() -> None:
    """Look for cycles less often, and not in what stays: tests make whole applications."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker of the test's own."""
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()
