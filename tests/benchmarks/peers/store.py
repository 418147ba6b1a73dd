"""The cloud peers' store: InfluxDB 1.6 behind an nginx that gives it the write call of 2.x."""

import time
from pathlib import Path

from tests.benchmarks.peers.environments import PeerMissing
from tests.support.telemetry_engines import InfluxDbServer, missing_for

DATABASE, MEASUREMENT, TOPIC_FILTER = "bench", "elevator", "suyuan/v1/+/+/up/#"


class Store:
    """One server with one database; `stop` ends it.

    Raises:
        PeerMissing: it is not installed.

    """

    def __init__(self, folder: Path) -> None:
        if why := missing_for(InfluxDbServer):
            raise PeerMissing(why)
        self._server = InfluxDbServer(folder)
        self._server.start()
        self._server.ask(f"CREATE DATABASE {DATABASE}")
        self.port, self.stop = self._server.port, self._server.stop
        [self.pid] = self._server.pids
        """Of InfluxDB itself."""

    def count(self, point: str) -> int:
        """Count the values of one point that a query sees."""
        answer = self._server.ask(f'SELECT count("{point}") FROM {MEASUREMENT}', DATABASE)
        series = answer.json()["results"][0].get("series")
        return int(series[0]["values"][0][1]) if series else 0

    def wait_for(self, point: str, count: int, timeout_s: float) -> float:
        """Wait until `count` values of `point` are seen, or no longer; return the seconds."""
        began = time.monotonic()
        while self.count(point) < count and time.monotonic() - began < timeout_s:
            time.sleep(0.1)
        return time.monotonic() - began
