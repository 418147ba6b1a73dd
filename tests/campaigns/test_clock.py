"""A sample of the clock campaign."""

from pathlib import Path

import pytest

from tests.campaigns import clock
from tests.support.mosquitto import Mosquitto


async def test_sample_of_wrong_clocks_is_placed_right(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "STEP_S", 0.18)
    monkeypatch.setattr("edge.uplink.backoff.FIRST_S", 0.1)
    names, faults, _ = await clock.run_agents(tmp_path, mosquitto.port, clock.AT_ONCE, seed=3)
    assert faults == []
    assert names.total() == clock.AT_ONCE
