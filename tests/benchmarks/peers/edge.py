"""The edge bench's peer: thingsboard-gateway polls the same lifts, each on its own connection."""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.lifts import controller
from tests.benchmarks.peers import environments, thingsboard
from tests.benchmarks.peers.environments import PeerMissing
from tests.benchmarks.rig import (
    Child,
    Figures,
    Window,
    Worker,
    allow_files,
    markdown,
    median,
    repeat,
    spread,
)
from tests.support.mosquitto import Mosquitto

CHANGING = 16
START_S, WARM_UP_S = 120.0, 30.0
"""With 1,000 lifts it is behind at first, and catches up within this."""


class Row(NamedTuple):
    """One row of the table."""

    title: str
    form: thingsboard.Form
    lifts: int


ROWS = (
    Row("thingsboard-gateway, 100 lifts, one entry per value", "tags", 100),
    Row("thingsboard-gateway, 1,000 lifts, two ranges, no names", "ranges", 1000),
)
HEAD = (
    *("peer", "core", "CPU-s / 1,000 values", "values/s", "polls kept %", "RSS MB"),
    *("RSS growth MB", "ours (`heavy`) : peer, CPU per value"),
)


def table(runs: int, seconds: float, ours: float) -> str:
    """Measure the peer; write a Markdown table. `ours`: our CPU-s per 1,000 values delivered."""
    try:
        rows = [_cells(row, repeat(runs, partial(run, row, seconds)), ours) for row in ROWS]
    except PeerMissing as error:
        return f"thingsboard-gateway left out: {error}"
    return markdown(HEAD, rows)


def _cells(row: Row, runs: Sequence[Figures], ours: float) -> list[str]:
    return [
        row.title,
        spread(runs, "core", "{:.4f}"),
        spread(runs, "cpu_s_per_1000", "{:.5f}"),
        f"{median(runs, 'values_s'):,.0f}",
        spread(runs, "kept_percent", "{:.2f}"),
        spread(runs, "rss_mb", "{:.1f}"),
        spread(runs, "rss_growth_mb", "{:.1f}"),
        f"1 : {median(runs, 'cpu_s_per_1000') / ours:.1f}",
    ]


def run(row: Row, seconds: float) -> Figures:
    """Make one run.

    Raises:
        PeerMissing: it cannot be run on this machine.

    """
    python = environments.python_of(environments.HERE / "thingsboard.txt")
    allow_files(2 * row.lifts + 200)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-peer-")))
        broker = Mosquitto(folder / "broker")
        broker.start()
        stack.callback(broker.stop)
        options = ("--lifts", row.lifts, "--changing", CHANGING, "--lifts-per-port", 1)
        lifts = Worker("tests.benchmarks.lifts", *map(str, options))
        stack.callback(lifts.stop)
        server = Worker("tests.benchmarks.peers.thingsboard_server", f"--port={broker.port}")
        stack.callback(server.stop)
        command = thingsboard.write(
            folder / "peer",
            python,
            lifts=_lifts(lifts.ready["ports"]),
            points=controller().points,
            form=row.form,
            broker_port=broker.port,
        )
        gateway = Child(command, folder / "peer.log")
        stack.callback(gateway.stop)
        _wait_for_first(gateway, server)
        time.sleep(WARM_UP_S)
        return _measure(row, seconds, gateway, server)


def _lifts(ports: list[int]) -> list[thingsboard.Lift]:
    return [
        thingsboard.Lift(f"BENCH{number:05d}", "127.0.0.1", port, 1)
        for number, port in enumerate(ports)
    ]


def _wait_for_first(gateway: Child, server: Worker) -> None:
    end = time.monotonic() + START_S
    while not server.ask()["polls"]:
        gateway.check()
        if time.monotonic() > end:
            raise RuntimeError("thingsboard-gateway sent nothing")
        time.sleep(0.2)


def _measure(row: Row, seconds: float, gateway: Child, server: Worker) -> Figures:
    came, window = server.ask(), Window({"gateway": gateway.pid})
    time.sleep(seconds)
    length_s, used = window.close()
    came_after = server.ask()
    values, polls = (came_after[name] - came[name] for name in ("values", "polls"))
    return {
        "core": used["gateway"].core,
        "cpu_s_per_1000": 1000 * used["gateway"].cpu_s / values,
        "values_s": values / length_s,
        "kept_percent": 100 * polls / length_s / row.lifts,
        "rss_mb": used["gateway"].rss_mb,
        "rss_growth_mb": used["gateway"].rss_growth_mb,
    }
