"""A `/metrics` page on this machine, where the site file asks for one."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric, UntypedMetricFamily
from prometheus_client.registry import Collector

ANSWER_S = 5.0
HELP = "a counter of the gateway, see docs/gateway.md"


class AgentCollector(Collector):
    """Turns the daemon's status into metrics; asked from the thread of the HTTP server."""

    def __init__(
        self, status: Callable[[], dict[str, Any]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._status, self._loop = status, loop

    def collect(self) -> Iterator[Metric]:
        """Yield all counters by name, the link, and each source's link."""
        asked = asyncio.run_coroutine_threadsafe(self._ask(), self._loop)
        status = asked.result(ANSWER_S)
        for name, value in status["counters"].items():
            yield UntypedMetricFamily(
                f"suyuan_edge_{name}", "see docs/gateway.md, counters", value=value
            )
        yield GaugeMetricFamily(
            "suyuan_edge_link_up", "1: connected to the broker", value=float(status["link"]["up"])
        )
        sources = GaugeMetricFamily(
            "suyuan_edge_source_up", "1: the device or bus is open", labels=["source"]
        )
        for name, source in status["sources"].items():
            sources.add_metric([name], float(source["link"] != "down"))
        yield sources

    async def _ask(self) -> dict[str, Any]:
        return self._status()


class MetricsServer:
    """The page, in a thread of its own."""

    def __init__(self, host: str, port: int, status: Callable[[], dict[str, Any]]) -> None:
        self._host, self._port, self._status = host, port, status
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; the event loop must be running.

        Raises:
            OSError: the address is taken, or not of this machine.

        """
        registry = CollectorRegistry()
        collector = AgentCollector(self._status, asyncio.get_running_loop())
        registry.register(collector)
        self._server, self._thread = start_http_server(self._port, self._host, registry)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is None or self._thread is None:
            return
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()
