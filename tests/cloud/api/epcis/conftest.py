"""The binding over a real repository, asked as the administrator and as people of firms."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.epcis import Asked, open_asked


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    async with open_asked(tmp_path) as asked:
        yield asked
