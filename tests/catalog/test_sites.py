"""Every shipped site file is one that a gateway would take."""

from pathlib import Path

import pytest

from edge.check import check
from edge.settings import load_site
from protocols.catalog.files import data_root

SITES = sorted((data_root() / "sites").glob("*.toml"))


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_site_is_free_of_faults(path: Path) -> None:
    assert check(path) == []


def test_sample_site_shows_every_kind_of_bus_and_every_controller() -> None:
    site = load_site(data_root() / "sites" / "sample.toml")
    assert {bus.kind for bus in site.buses} == {"modbus_tcp", "modbus_rtu", "modbus_rtu_over_tcp"}
    shown = {device.controller for bus in site.buses for device in bus.devices}
    assert shown == {path.stem for path in (data_root() / "controllers").glob("*.toml")}
