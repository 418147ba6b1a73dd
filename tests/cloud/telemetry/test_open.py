"""Which URLs name a telemetry store, and what the others are told."""

import sys
from pathlib import Path

import pytest

from cloud.telemetry.duckdb import DuckDbStore
from cloud.telemetry.open import check_url, open_store
from cloud.telemetry.remote.store import EngineStore
from protocols.clock import ManualClock
from protocols.errors import FixConfiguration, RetryLater
from tests.support.telemetry_load import open_at

GOOD = [
    "influxdb://127.0.0.1:8086/lifts",
    "influxdb://influx/lifts?org=city",
    "influxdb+https://[::1]:443/lifts?org=",
    "victoriametrics://vm",
    "victoriametrics://vm:8428/city-1",
    "victoriametrics+https://vm.example.org/",
]
BAD = [
    "duckdb",
    "/var/lib/telemetry",
    "http://127.0.0.1:8086",
    "influxdb://127.0.0.1:8086",
    "influxdb://127.0.0.1:8086/",
    "influxdb://127.0.0.1:8086/a/b",
    "influxdb://127.0.0.1:8086/a b",
    "influxdb://127.0.0.1:99999/lifts",
    "influxdb://127.0.0.1:x/lifts",
    "influxdb:///lifts",
    "influxdb+tls://h/lifts",
    "influxdb://user:secret@h/lifts",
    "influxdb://h/lifts?organisation=x",
    "influxdb://h/lifts#x",
    "victoriametrics://h?org=x",
    "victoriametrics://h/'x",
]


@pytest.mark.parametrize("url", GOOD)
def test_good_urls_open_though_nothing_answers(url: str, tmp_path: Path) -> None:
    check_url(url)
    store = open_at(url, tmp_path, ManualClock())
    assert isinstance(store, EngineStore)
    store.close()


@pytest.mark.parametrize("url", BAD)
def test_bad_urls_are_told_what_is_expected(url: str, tmp_path: Path) -> None:
    with pytest.raises(FixConfiguration) as caught:
        open_at(url, tmp_path, ManualClock())
    (fault,) = caught.value.faults
    shown = url.replace("user:secret", "***")
    assert (fault.key, fault.found) == ("telemetry.url", shown)
    assert "influxdb://HOST:8086/BUCKET" in fault.expected


def test_no_url_is_duckdb_in_the_folder(tmp_path: Path) -> None:
    store = open_at("", tmp_path / "telemetry", ManualClock())
    assert isinstance(store, DuckDbStore)
    store.close()


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("cloud.telemetry.remote")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("cloud.telemetry.influxdb", "cloud.telemetry.victoriametrics"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "influxdb_client.client.influxdb_client", None)
    with pytest.raises(FixConfiguration, match=r"suyuan\[cloud,influxdb\]"):
        open_at(GOOD[0], tmp_path, ManualClock())


def test_nobody_there_is_to_be_tried_again(tmp_path: Path) -> None:
    store = open_store(
        "influxdb://127.0.0.1:9/lifts",
        folder=tmp_path,
        clock=ManualClock(),
        retention_days=1,
        memory_limit_mb=64,
    )
    with pytest.raises(RetryLater, match="is away"):
        store.positions()
    store.close()
