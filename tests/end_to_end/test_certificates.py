"""A sample of the campaign: each kind of certificate and request once."""

from pathlib import Path

import pytest

from tests.campaigns.certificates import CASES, REQUESTS, run
from tests.support.mosquitto import MOSQUITTO


@pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # as in test_mqtt
async def test_each_kind_ends_as_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.uplink.backoff.FIRST_S", 0.05)
    found = await run(tmp_path, len(CASES) + len(REQUESTS), seed=1)
    assert found.faults == []
    assert found.crashes == 0
    assert found.batches == found.stored > 0
    assert found.declared_lost == 0
