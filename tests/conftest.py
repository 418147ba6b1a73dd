"""Fixtures of all tests."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

from tests.support.mosquitto import MOSQUITTO, Mosquitto

settings.register_profile("suyuan", deadline=None)  # the time of a busy machine tells nothing
settings.load_profile("suyuan")
# It would read the source of every module of ours for numbers to try: ten seconds of each worker.
providers._get_local_constants = lambda: providers._local_constants

TESTS = Path(__file__).parent
SLOW = {"end_to_end", "simulators", "contracts"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with its share of the long walks, so that none is left for the end."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    slow = [file for file in files if file.relative_to(TESTS).parts[0] in SLOW]
    quick = [item for file, found in files.items() if file not in slow for item in found]
    share, ordered = len(items) // workers, list[pytest.Item]()
    for worker in range(workers):
        ordered += [item for file in slow[worker::workers] for item in files[file]]
        room = max(0, (worker + 1) * share - len(ordered))
        ordered += quick[:room]
        quick = quick[room:]
    items[:] = ordered + quick


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
