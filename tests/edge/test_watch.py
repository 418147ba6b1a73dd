"""`status --watch`: what a person at the gateway sees."""

import io
from pathlib import Path

from rich.console import Console

from edge.watch import screen, watch

STATUS = {
    "running": True,
    "gateway_id": "gw-1",
    "version": "1",
    "uptime_s": 5.0,
    "clock": {"state": "free", "now_ms": 5},
    "link": {"up": False, "broker": "mqtt://b", "why": "no route"},
    "spool": {
        "in_memory": False,
        "failing": None,
        "bytes": 2_000_000,
        "bytes_max": 10_000_000,
        "waiting": [{"spool": "x", "stream": "data", "batches": 7}],
    },
    "sources": {
        "shaft-1": {"link": "up", "devices": [{"asset": "elevator:1", "silent": True}]},
        "fill-1": {"link": "down", "why": "no such reader", "devices": []},
    },
    "faults": ["site file: x"],
    "counters": {"scans": 30, "never": 0},
}


def shown(now: dict[str, object] | None, before: dict[str, object] | None = None) -> str:
    written = io.StringIO()
    Console(file=written, width=120).print(screen(now, before, 2.0))
    return written.getvalue()


def test_what_is_wrong_stands_there_in_words() -> None:
    text = shown(STATUS)
    for word in (
        "gw-1",
        "free",
        "no route",
        "7 batches wait",
        "silent: elevator:1",
        "no such reader",
    ):
        assert word in text
    assert "never" not in text


def test_counters_show_their_rate() -> None:
    assert "10.0" in shown(STATUS, {"counters": {"scans": 10}})


def test_a_daemon_that_stopped() -> None:
    assert "stopped" in shown({"running": False}, STATUS)


def test_no_daemon_is_an_exit_code(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    assert watch(tmp_path, console=console, rounds=1) == 1
