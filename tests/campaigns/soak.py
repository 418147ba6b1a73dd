"""A daemon under several times the normal load, for long: does it grow?

    python -m tests.campaigns.soak --minutes 30 --factor 5 [--site FILE]

100 simulated lifts behind Modbus TCP, polled `--factor` times as often as the usual once a second,
a real broker, and an ingester that acknowledges. Memory, descriptors and threads of the daemon are
sampled each 5 s; after the warm-up (a quarter of the time, 5 minutes at most) the least-squares
slope of the memory must be below 1 MB/h, and neither descriptors nor threads may grow. `--site`
runs another site file instead; its broker must be there already. Exit 0 only if nothing grew.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.edge_run import Load, counters, site_file, start_lifts
from tests.benchmarks.lifts import FOLDER
from tests.benchmarks.rig import Child, Worker
from tests.support.mosquitto import Mosquitto

LIFTS, CHANGING, URGENT_S = 100, 4, 2.0
SAMPLE_S = 5.0
WARM_UP_S = 300.0
SLOPE_MB_H_MAX = 1.0
PRINT_EACH = 12


class Sample(NamedTuple):
    """What the daemon takes at a moment."""

    at_s: float
    rss_mb: float
    descriptors: int
    threads: int


def sample(pid: int, began_s: float) -> Sample:
    """Look at a process; RSS in MB of 10^6 bytes."""
    process = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Sample(
        time.monotonic() - began_s,
        int(fields["VmRSS"].split()[0]) * 1024 / 1e6,
        len(list((process / "fd").iterdir())),
        int(fields["Threads"]),
    )


def slope_h(points: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope, per hour, of (s, value)."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def watch(gateway: Child, minutes: float) -> list[Sample]:
    """Sample a daemon until the time is over."""
    samples, began_s = list[Sample](), time.monotonic()
    while time.monotonic() - began_s < minutes * 60:
        time.sleep(SAMPLE_S)
        gateway.check()
        samples.append(sample(gateway.pid, began_s))
        if len(samples) % PRINT_EACH == 1:
            last = samples[-1]
            print(
                f"  {last.at_s / 60:5.1f} min: {last.rss_mb:.1f} MB,"
                f" {last.descriptors} descriptors, {last.threads} threads",
                flush=True,
            )
    return samples


def run(folder: Path, minutes: float, factor: float, site: Path | None) -> tuple[list[Sample], str]:
    """Run the daemon; return its samples and what it says of its work."""
    with ExitStack() as stack:
        if site is None:
            site = folder / "site.toml"
            broker = Mosquitto(folder / "broker")
            broker.start()
            stack.callback(broker.stop)
            load = Load(LIFTS, CHANGING, urgent_s=URGENT_S, interval_s=1 / factor)
            lifts = start_lifts(load)
            stack.callback(lifts.stop)
            ingester = Worker("tests.benchmarks.edge_ingester", "--port", str(broker.port))
            stack.callback(ingester.stop)
            site.write_text(site_file(load, lifts.ready["ports"], broker.url))
        state = folder / "state"
        command = [sys.executable, "-m", "edge", "run", "--site", str(site), "--state", str(state)]
        gateway = Child([*command, "--overlay", str(FOLDER)], folder / "gateway.log")
        stack.callback(gateway.stop)
        samples = watch(gateway, minutes)
        counted = counters(state)
    work = f"{counted.get('polls_done', 0):,} polls of {counted.get('polls_due', 0):,}"
    return samples, f"{work}, {counted['commits']:,} commits, {counted['acks']:,} acks"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--factor", type=float, default=5.0)
    parser.add_argument("--site", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="suyuan-soak-") as name:
        samples, work = run(Path(name), options.minutes, options.factor, options.site)
    warm_up_s = min(WARM_UP_S, options.minutes * 15)
    later = [one for one in samples if one.at_s >= warm_up_s]
    slope = slope_h([(one.at_s, one.rss_mb) for one in later])
    half = len(later) // 2
    grown = {
        what: max(getattr(one, what) for one in later[half:])
        - max(getattr(one, what) for one in later[:half])
        for what in ("descriptors", "threads")
    }
    print(
        f"soak: {options.minutes:g} min at {options.factor:g} times the load: {work}; RSS"
        f" {later[0].rss_mb:.1f} to {later[-1].rss_mb:.1f} MB, slope {slope:+.2f} MB/h after"
        f" {warm_up_s:.0f} s; descriptors {grown['descriptors']:+d}, threads {grown['threads']:+d}"
    )
    return 1 if slope >= SLOPE_MB_H_MAX or max(grown.values()) > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
