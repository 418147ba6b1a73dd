"""Servers of the contract suites: one of each engine for all tests of a process."""

from collections.abc import Iterator

import pytest

from tests.support.telemetry_engines import (
    EngineServer,
    InfluxDbServer,
    VictoriaMetricsServer,
    missing_for,
)


@pytest.fixture(scope="session")
def influxdb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    yield from _running(InfluxDbServer, tmp_path_factory)


@pytest.fixture(scope="session")
def victoriametrics_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    yield from _running(VictoriaMetricsServer, tmp_path_factory)


def _running(
    kind: type[InfluxDbServer] | type[VictoriaMetricsServer], folders: pytest.TempPathFactory
) -> Iterator[EngineServer]:
    missing = missing_for(kind)
    if missing:
        pytest.skip(missing)
    server = kind(folders.mktemp(kind.__name__))
    server.start()
    yield server
    server.stop()
