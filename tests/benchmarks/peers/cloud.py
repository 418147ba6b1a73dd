"""The cloud bench's peers: bridges from the same broker, under the same load, into a store.

Each takes the envelopes as they are on the wire and writes every value. They acknowledge to the
broker at receipt, so what they hold in memory when they are killed is lost; that is counted too.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.benchmarks.peers import environments, node_red_flow
from tests.benchmarks.peers.environments import PeerMissing
from tests.benchmarks.peers.store import DATABASE, MEASUREMENT, TOPIC_FILTER, Store
from tests.benchmarks.rig import Child, Figures, Window, Worker, markdown, median, repeat, spread
from tests.benchmarks.stage import broker_running
from tests.support.mosquitto import free_port

PEERS = {
    "lines": "paho + influxdb-client, line text",
    "points": "paho + influxdb-client, Point objects",
    "batch": "Node-RED, influxdb batch",
    "single": "Node-RED, a POST for each message",
}
ALWAYS_THERE = "safety_circuit"
"""A point of which every record of the load has a value: its count is that of the records."""
START_S, STORED_S = 4.0, 30.0
HELD_S = 5.0
"""A rate is held when all of it is queryable so soon after its end."""
KILLS, BETWEEN_KILLS_S, AWAY_S = 3, 4.0, 2.0
HEAD = (
    *("peer", "bridge, core", "CPU ms per 1,000 values", "ours : peer", "RSS MB"),
    *("its store, core", "behind s", "records lost", "lost by 3 kills", "highest rate held"),
)


class Shape(Protocol):
    """A load of the bench."""

    @property
    def name(self) -> str:
        """What the table calls it."""

    @property
    def records(self) -> int:
        """In each message."""

    @property
    def messages_s(self) -> float:
        """Of all gateways."""

    @property
    def warm_up_s(self) -> float:
        """Before it is measured."""

    @property
    def values_s(self) -> float:
        """Of all gateways."""

    def load(self, port: int) -> Worker:
        """Start it."""


def table(
    peers: Sequence[str], shapes: Sequence[Shape], *, runs: int, seconds: float, ours: float
) -> str:
    """Measure peers at the first shape, then try the others in turn; write a Markdown table.

    `ours`: CPU ms per 1,000 values of the whole service at the first shape.
    """
    rows = []
    for name in peers:
        try:
            rows.append(_row(name, shapes, runs, seconds, ours))
        except PeerMissing as error:
            rows.append(
                [PEERS[name], f"left out: {error}".splitlines()[0], *[""] * (len(HEAD) - 2)]
            )
    return markdown(HEAD, rows)


def _row(name: str, shapes: Sequence[Shape], runs: int, seconds: float, ours: float) -> list[str]:
    found = repeat(runs, lambda: run(name, shapes[0], seconds))
    held = shapes[0].name if all(map(_held, found)) else "none"
    return [
        PEERS[name],
        spread(found, "bridge_core"),
        spread(found, "ms_per_1000", "{:.2f}"),
        f"1 : {median(found, 'ms_per_1000') / ours:.2f}",
        spread(found, "rss_mb", "{:.0f}"),
        spread(found, "store_core"),
        spread(found, "behind_s", "{:.1f}"),
        f"{sum(one['missing'] for one in found):.0f}",
        f"{lost_by_kills(name, shapes[0]):,}",
        _highest(name, shapes[1:], seconds, held),
    ]


def _held(run: Figures) -> bool:
    return run["missing"] == 0 and run["behind_s"] <= HELD_S


def _highest(name: str, shapes: Sequence[Shape], seconds: float, held: str) -> str:
    for shape in shapes:
        if held == "none" or not _held(run(name, shape, seconds)):
            break
        held = shape.name
    return held


def run(name: str, shape: Shape, seconds: float) -> Figures:
    """Measure one run.

    Raises:
        PeerMissing: the peer cannot be run on this machine.

    """
    with _stage(name, shape) as (bridge, store, load):
        window = Window({"bridge": bridge.child.pid, "store": store.pid})
        load.ask(f"send {seconds}")
        _, used = window.close()
        records = _records(shape, seconds)
        return {
            "bridge_core": used["bridge"].core,
            "store_core": used["store"].core,
            "ms_per_1000": used["bridge"].cpu_s * 1e6 / (shape.values_s * seconds),
            "rss_mb": used["bridge"].rss_mb,
            "behind_s": store.wait_for(ALWAYS_THERE, records, STORED_S),
            "missing": records - store.count(ALWAYS_THERE),
        }


def lost_by_kills(name: str, shape: Shape) -> int:
    """Kill the bridge KILLS times under load, start it again each time; count the lost records."""
    seconds = KILLS * (BETWEEN_KILLS_S + AWAY_S) + BETWEEN_KILLS_S
    with _stage(name, shape) as (bridge, store, load), ThreadPoolExecutor(1) as thread:
        sent = thread.submit(load.ask, f"send {seconds}")
        for _ in range(KILLS):
            time.sleep(BETWEEN_KILLS_S)
            bridge.kill()
            time.sleep(AWAY_S)
            bridge.start()
        sent.result()
        records = _records(shape, seconds)
        store.wait_for(ALWAYS_THERE, records, STORED_S)
        return records - store.count(ALWAYS_THERE)


def _records(shape: Shape, seconds: float) -> int:
    messages = int(shape.messages_s * shape.warm_up_s) + int(shape.messages_s * seconds)
    return shape.records * messages


class Bridge:
    """A peer as a process."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command, self._log = command, log
        self.start()

    def start(self) -> None:
        """Start it, again after a kill."""
        self.child = Child(self._command, self._log)

    def kill(self) -> None:
        """End it with SIGKILL."""
        os.kill(self.child.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End it."""
        self.child.stop()


class Stage(NamedTuple):
    """What takes part in a run, warmed up."""

    bridge: Bridge
    store: Store
    load: Worker


@contextmanager
def _stage(name: str, shape: Shape) -> Iterator[Stage]:
    with broker_running() as (folder, broker), ExitStack() as stack:
        store = Store(folder / "store")
        stack.callback(store.stop)
        bridge = Bridge(
            _command(name, folder / "bridge", broker.port, store), folder / "bridge.log"
        )
        stack.callback(bridge.stop)
        load = shape.load(broker.port)
        stack.callback(load.stop)
        time.sleep(START_S)  # what is sent before the bridge has subscribed is lost
        bridge.child.check()
        load.ask(f"send {shape.warm_up_s}")
        yield Stage(bridge, store, load)


def _command(name: str, folder: Path, broker_port: int, store: Store) -> list[str]:
    if name in {"batch", "single"}:
        node, program = environments.node_red()
        form: node_red_flow.Form = "batch" if name == "batch" else "single"
        ports = {"broker_port": broker_port, "store_port": store.port, "ui_port": free_port()}
        node_red_flow.write(folder, form, **ports)
        (folder / "node_modules").symlink_to(program.parents[1])
        return [str(node), str(program), "-u", str(folder)]
    python = environments.python_of(environments.HERE / "script.txt")
    addresses = [
        str(broker_port),
        TOPIC_FILTER,
        f"http://127.0.0.1:{store.port}",
        DATABASE,
        MEASUREMENT,
    ]
    return [str(python), "-P", str(environments.HERE / "script.py"), name, *addresses]
