"""One run of the edge bench: broker, lifts, ingester and the real daemon, each a process."""

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from edge.status import read_status
from tests.benchmarks.lifts import CONTROLLER, FOLDER, port_and_unit
from tests.benchmarks.rig import Child, Figures, Window, Worker, allow_files, percentile
from tests.support.mosquitto import Mosquitto

START_S = 60.0
WARM_UP_S = 6.0
"""After the first read of every lift: the snapshots of all of them are on their way."""
SLOW_CARD = (
    *(
        "strace",
        "-D",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync",
    ),
    *("-e", "inject=fsync,fdatasync:delay_enter=20000"),
)
"""Each sync of the disk takes 20 ms longer; a detached tracer delays them as they enter."""


class Load(NamedTuple):
    """What the lifts do."""

    lifts: int = 1000
    changing: int = 16
    """Of the 20 values, how many differ from one poll to the next; none of them urgent."""
    urgent_s: float = 0.0
    """Urgent changes per second, of all lifts together."""
    interval_s: float = 1.0
    slow_card: bool = False


def start_lifts(load: Load) -> Worker:
    """Start the simulated lifts; `ready["ports"]` tells where they listen."""
    share = load.urgent_s * load.interval_s / load.lifts
    lifts = ("--lifts", load.lifts, "--changing", load.changing, "--urgent-share", share)
    return Worker("tests.benchmarks.lifts", *map(str, lifts))


def run(load: Load, seconds: float) -> Figures:
    """Run everything for a while and measure `seconds` of it."""
    allow_files(load.lifts + 200)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-edge-")))
        broker = Mosquitto(folder / "broker")
        broker.start()
        stack.callback(broker.stop)
        lifts = start_lifts(load)
        stack.callback(lifts.stop)
        ingester = Worker("tests.benchmarks.edge_ingester", "--port", str(broker.port))
        stack.callback(ingester.stop)
        site = folder / "site.toml"
        site.write_text(site_file(load, lifts.ready["ports"], broker.url))
        gateway = start_gateway(site, folder, slow_card=load.slow_card)
        stack.callback(gateway.stop)
        wait_until_all_answer(gateway, folder / "state", load.lifts)
        time.sleep(WARM_UP_S)
        assert broker.process is not None
        pids = {
            "gateway": gateway.pid,
            "broker": broker.process.pid,
            "lifts": lifts.pid,
            "ingester": ingester.pid,
        }
        return _measure(load, seconds, pids, folder / "state", lifts, ingester)


def site_file(load: Load, ports: list[int], broker: str) -> str:
    """Write a site with one connection per lift."""
    parts = [f'schema = 1\ngateway_id = "bench-edge"\n[uplink]\nbroker = "{broker}"\n']
    for lift in range(load.lifts):
        port, unit = port_and_unit(lift, ports)
        parts.append(
            f'[[buses]]\nid = "lift-{lift}"\nkind = "modbus_tcp"\n'
            f'host = "127.0.0.1"\nport = {port}\n'
            f'[[buses.devices]]\nasset = "elevator:BENCH{lift:05d}"\ncontroller = "{CONTROLLER}"\n'
            f"unit_id = {unit}\npoll_interval_s = {load.interval_s}\n"
        )
    return "".join(parts)


def start_gateway(site: Path, folder: Path, *, slow_card: bool) -> Child:
    """Start the daemon as it ships."""
    command = [
        *(SLOW_CARD if slow_card else ()),
        *(sys.executable, "-m", "edge", "run", "--site", str(site)),
        *("--state", str(folder / "state"), "--overlay", str(FOLDER)),
    ]
    return Child(command, folder / "gateway.log")


def counters(state: Path) -> dict[str, Any]:
    """Ask the daemon for its counters."""
    status = read_status(state)
    if status is None or not status.get("running"):
        raise RuntimeError("the daemon does not answer")
    counted: dict[str, Any] = status["counters"]
    return counted


def wait_until_all_answer(gateway: Child, state: Path, lifts: int) -> None:
    """Wait until every lift was read and the cloud has acknowledged; RuntimeError otherwise."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        gateway.check()
        time.sleep(0.5)
        try:
            counted = counters(state)
        except RuntimeError:
            continue
        if counted.get("polls_done", 0) >= lifts and counted.get("acks", 0) > 0:
            return
    raise RuntimeError("not all lifts were read in time")


def _measure(
    load: Load, seconds: float, pids: dict[str, int], state: Path, lifts: Worker, ingester: Worker
) -> Figures:
    counted, came, read = counters(state), ingester.ask(), lifts.ask()
    window = Window(pids)
    time.sleep(seconds)
    length_s, used = window.close()
    came_after, counted_after, read_after = ingester.ask(), counters(state), lifts.ask()
    made = read_after["urgent"]
    time.sleep(2.0 if made else 0.0)
    values = came_after["values"] - came["values"]
    polls = {name: counted_after[name] - counted[name] for name in counted if "polls" in name}
    gateway = used["gateway"]
    return {
        "core": gateway.core,
        "cpu_s_per_1000": 1000 * gateway.cpu_s / values if values else float("nan"),
        "values_s": values / length_s,
        "polls_s": polls["polls_done"] / length_s,
        "kept_percent": 100 * polls["polls_done"] / max(1, polls["polls_due"]),
        "reads_s": (read_after["reads"] - read["reads"]) / length_s,
        "rss_mb": gateway.rss_mb,
        "rss_growth_mb": gateway.rss_growth_mb,
        "wake_ups_s": gateway.switches_s,
        "written_kb_s": gateway.written_bytes_s / 1000,
        "payload_kb_s": (came_after["bytes"] - came["bytes"]) / length_s / 1000,
        "commits_s": (counted_after["commits"] - counted["commits"]) / length_s,
        "duplicates": came_after["duplicates"] - came["duplicates"],
        **_urgent(
            {number: at for number, at in made.items() if number not in read["urgent"]},
            ingester.ask()["urgent"],
        ),
        **{f"{name}_core": used[name].core for name in ("broker", "lifts", "ingester")},
    }


def _urgent(made: dict[str, int], came: dict[str, int]) -> Figures:
    """Return ms from the reply that told of an urgent change to its arrival at the subscriber.

    `made`: the changes of the window; two seconds later all must have come.
    """
    late = [(came[number] - at) / 1e6 for number, at in made.items() if number in came]
    return {
        "urgent_p50_ms": percentile(late, 0.5),
        "urgent_p99_ms": percentile(late, 0.99),
        "urgent_count": len(late),
        "urgent_missing": len(made) - len(late),
    }
