"""An authority for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.authority import Bureau, open_bureau


@pytest.fixture
def bureau(tmp_path: Path) -> Iterator[Bureau]:
    """A fresh one."""
    one = open_bureau(tmp_path)
    yield one
    one.database.close()
