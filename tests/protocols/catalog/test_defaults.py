from pathlib import Path

import pytest

from protocols.catalog.defaults import defaults, load_defaults
from protocols.catalog.files import data_root
from protocols.errors import FixConfiguration
from protocols.limits import SNAPSHOT_INTERVAL_S


def test_shipped_defaults_keep_the_promises() -> None:
    found = defaults()
    assert found.reporting.snapshot_interval_s < SNAPSHOT_INTERVAL_S
    assert found.modbus.gap_max == 8
    assert found is defaults()


def test_defaults_with_faults_name_all_of_them(tmp_path: Path) -> None:
    text = (data_root() / "defaults.toml").read_text(encoding="utf-8")
    path = tmp_path / "defaults.toml"
    path.write_text(
        text.replace("snapshot_interval_s = 57.0", "snapshot_interval_s = 61.0").replace(
            "gap_max = 8", "gap_maxx = 8"
        )
    )
    with pytest.raises(FixConfiguration) as caught:
        load_defaults(path)
    assert {fault.key for fault in caught.value.faults} == {
        "modbus.gap_max",
        "modbus.gap_maxx",
        "reporting.snapshot_interval_s",
    }
