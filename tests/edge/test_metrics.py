"""The local `/metrics` page: asked over HTTP, as Prometheus does."""

import asyncio
import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.metrics import MetricsServer


def status() -> dict[str, object]:
    return {
        "counters": {"scans": 3, "spool_bytes": 7},
        "link": {"up": True},
        "sources": {"fill-1": {"link": "down"}, "shaft-1": {"link": "up"}},
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def test_counters_and_links_are_shown() -> None:
    port = free_port()
    server = MetricsServer("127.0.0.1", port, status)
    server.start()
    try:
        text = await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/metrics")
    finally:
        await server.stop()
    found = {
        (sample.name, sample.labels.get("source")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["suyuan_edge_scans", None] == 3
    assert found["suyuan_edge_link_up", None] == 1
    assert found["suyuan_edge_source_up", "fill-1"] == 0
    assert found["suyuan_edge_source_up", "shaft-1"] == 1


async def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        MetricsServer("127.0.0.1", taken.getsockname()[1], status).start()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
        return text
