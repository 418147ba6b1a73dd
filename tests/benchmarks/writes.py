"""What the gateway writes to its card: `python -m tests.benchmarks.writes [--seconds 60]`.

The real daemon with simulated lifts, a broker and an ingester that acknowledges; all rows run at
once, each with its own. Bytes are the kernel's: pages of 4 KiB made dirty by the process, as its
`/proc/PID/io` counts them; what the file system adds for its own journal is not in it. Calls are
counted by strace. The budget: at 1 kB/s of payload and more 10 bytes a payload byte at most, below
that 100 kB an hour; 1 fsync a second at most without urgent changes.
"""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.edge_run import Load, counters, site_file, start_lifts
from tests.benchmarks.lifts import FOLDER
from tests.benchmarks.rig import Child, Figures, Window, Worker, markdown, where_and_when
from tests.support.mosquitto import Mosquitto

ROWS = {
    "1 lift, nothing changes": Load(1, 0),
    "1 lift, 4 of 20 change": Load(1, 4),
    "10 lifts, 4 of 20 change": Load(10, 4),
    "100 lifts, 4 of 20 change": Load(100, 4),
    "100 lifts, 16 of 20 change": Load(100, 16),
}
WARM_UP_S = 45.0
"""The commits that may be quick after a start are used up by then."""
BUSY_BYTES_S = 1000
RATIO_MAX, QUIET_KB_H_MAX, FSYNC_S_MAX = 10.0, 100.0, 1.0
HEAD = (
    *("load", "payload B/s", "written B/s", "per payload byte", "written kB/h", "commits/s"),
    *("fsync/s", "bytes given to pwrite/s", "within the budget"),
)


def main() -> int:
    """Run all rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    print(f"{where_and_when()}; one run of {seconds:g} s after {WARM_UP_S:g} s", flush=True)
    with ThreadPoolExecutor(len(ROWS)) as threads:
        found = threads.map(lambda load: run(load, seconds), ROWS.values())
        runs = dict(zip(ROWS, found, strict=True))
    print(markdown(HEAD, [_row(title, found) for title, found in runs.items()]))
    return 0 if all(_within(found) for found in runs.values()) else 1


def run(load: Load, seconds: float) -> Figures:
    """Run one daemon for a while and measure `seconds` of it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-writes-")))
        broker = Mosquitto(folder / "broker")
        broker.start()
        stack.callback(broker.stop)
        lifts = start_lifts(load)
        stack.callback(lifts.stop)
        ingester = Worker("tests.benchmarks.edge_ingester", "--port", str(broker.port))
        stack.callback(ingester.stop)
        site, calls = folder / "site.toml", folder / "calls"
        site.write_text(site_file(load, lifts.ready["ports"], broker.url))
        command = [
            *("strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", str(calls)),
            *("-e", "trace=fsync,fdatasync,pwrite64"),
            *(sys.executable, "-m", "edge", "run", "--site", str(site)),
            *("--state", str(folder / "state"), "--overlay", str(FOLDER)),
        ]
        gateway = Child(command, folder / "gateway.log")
        stack.callback(gateway.stop)
        time.sleep(WARM_UP_S)
        gateway.check()
        return _measure(gateway.pid, folder / "state", calls, ingester, seconds)


def _measure(pid: int, state: Path, calls: Path, ingester: Worker, seconds: float) -> Figures:
    came, commits, begun = ingester.ask()["bytes"], counters(state)["commits"], calls.stat().st_size
    window = Window({"gateway": pid})
    time.sleep(seconds)
    length_s, used = window.close()
    with calls.open("rb") as log:
        log.seek(begun)
        lines = log.read().splitlines()
    written = [line.rsplit(b"= ", 1)[-1] for line in lines if b"pwrite64" in line]
    return {
        "payload_s": (ingester.ask()["bytes"] - came) / length_s,
        "written_s": used["gateway"].written_bytes_s,
        "commits_s": (counters(state)["commits"] - commits) / length_s,
        "fsyncs_s": sum(b"sync(" in line for line in lines) / length_s,
        "given_s": sum(int(size) for size in written if size.isdigit()) / length_s,
    }


def _within(found: Figures) -> bool:
    if found["fsyncs_s"] > FSYNC_S_MAX:
        return False
    if found["payload_s"] >= BUSY_BYTES_S:
        return found["written_s"] <= RATIO_MAX * found["payload_s"]
    return found["written_s"] * 3.6 <= QUIET_KB_H_MAX


def _row(title: str, found: Figures) -> list[str]:
    payload_s, written_s = found["payload_s"], found["written_s"]
    return [
        title,
        f"{payload_s:,.0f}",
        f"{written_s:,.0f}",
        f"{written_s / payload_s:.1f}" if payload_s else "-",
        f"{written_s * 3.6:,.0f}",
        f"{found['commits_s']:.2f}",
        f"{found['fsyncs_s']:.2f}",
        f"{found['given_s']:,.0f}",
        "yes" if _within(found) else "no",
    ]


if __name__ == "__main__":
    sys.exit(main())
