<<<<<<< HEAD
"""A gateway at many times its load for a long time: memory, descriptors and threads stay flat.

    python -m tests.campaigns.soak --minutes 30 --factor 5

The real daemon reads 100 lifts, 4 readers, 2 scanners and 2 scales, each `--factor` times as often
as usual, and sends to a broker and an ingester that acknowledges. Every 5 s its resident memory,
descriptors and threads are read; after a warm-up a line is laid through the memory by least
squares. Exit 0 only if it rises by less than 1 MB/h, descriptors and threads end as they began, all
polls were kept and every scan arrived.
=======
"""A daemon under several times the normal load, for long: does it grow?

    python -m tests.campaigns.soak --minutes 30 --factor 5 [--site FILE]

100 simulated lifts behind Modbus TCP, polled `--factor` times as often as the usual once a second,
a real broker, and an ingester that acknowledges. Memory, descriptors and threads of the daemon are
sampled each 5 s; after the warm-up (a quarter of the time, 5 minutes at most) the least-squares
slope of the memory must be below 1 MB/h, and neither descriptors nor threads may grow. `--site`
runs another site file instead; its broker must be there already. Exit 0 only if nothing grew.
>>>>>>> card
"""

import argparse
import sys
import tempfile
<<<<<<< HEAD
import threading
import time
=======
import time
from collections.abc import Sequence
>>>>>>> card
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

<<<<<<< HEAD
from tests.benchmarks.edge_run import Load, counters, site_file, start_gateway, start_lifts
from tests.benchmarks.field import plugged, use
from tests.benchmarks.rig import Worker, allow_files, usage
from tests.support.mosquitto import Mosquitto
from tests.support.stack import wait_until

LIFTS, CHANGING = 100, 4
SAMPLE_S = 5.0
WARM_UP_SHARE = 0.2
"""Of the time, 60 s at least: caches fill, and the allocator finds its level."""
SLOPE_MAX_MB_H = 1.0


class Sample(NamedTuple):
    """The daemon at one moment."""
=======
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
>>>>>>> card

    at_s: float
    rss_mb: float
    descriptors: int
    threads: int


<<<<<<< HEAD
def main() -> None:
    """Run it and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--factor", type=float, default=5.0)
    options = parser.parse_args()
    samples, before, after, length_s = _run(options.minutes * 60, options.factor)
    slope = slope_mb_h(samples)
    first, last = samples[0], samples[-1]
    grown = {name: after[name] - before[name] for name in ("polls_due", "polls_done", "scans")}
    kept = 100 * grown["polls_done"] / max(1, grown["polls_due"])
    print(
        f"soak of {length_s / 60:.0f} min at {options.factor:g} times the load: memory "
        f"{first.rss_mb:.1f} to {last.rss_mb:.1f} MB, slope {slope:+.2f} MB/h; descriptors "
        f"{first.descriptors} to {last.descriptors}; threads {first.threads} to {last.threads}; "
        f"polls kept {kept:.2f} %; {grown['scans']} scans; "
        f"spool {before['spool_batches']} to {after['spool_batches']} batches"
    )
    flat = last.descriptors <= first.descriptors + 2 and last.threads <= first.threads + 1
    sys.exit(not (slope < SLOPE_MAX_MB_H and flat and kept > 99))


def slope_mb_h(samples: list[Sample]) -> float:
    """Return the rise of resident memory in MB/h, by least squares."""
    count = len(samples)
    mean_s = sum(one.at_s for one in samples) / count
    mean_mb = sum(one.rss_mb for one in samples) / count
    over = sum((one.at_s - mean_s) * (one.rss_mb - mean_mb) for one in samples)
    under = sum((one.at_s - mean_s) ** 2 for one in samples)
    return 3600 * over / under if under else 0.0


def _run(
    seconds: float, factor: float
) -> tuple[list[Sample], dict[str, int], dict[str, int], float]:
    allow_files(LIFTS + 500)
    load = Load(LIFTS, CHANGING, urgent_s=0.5 * factor, interval_s=1.0 / factor)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        devices, text = stack.enter_context(plugged(folder))
        broker = Mosquitto(folder / "broker")
        broker.start()
        stack.callback(broker.stop)
        lifts = start_lifts(load)
        stack.callback(lifts.stop)
        ingester = Worker("tests.benchmarks.edge_ingester", "--port", str(broker.port))
        stack.callback(ingester.stop)
        site, state = folder / "site.toml", folder / "state"
        site.write_text(site_file(load, lifts.ready["ports"], broker.url) + text)
        gateway = start_gateway(site, folder, slow_card=False)
        stack.callback(gateway.stop)
        stop = threading.Event()
        threading.Thread(target=use, args=(devices, stop, factor), daemon=True).start()
        stack.callback(stop.set)
        wait_until((state / "status.sock").exists, timeout_s=30, what="the daemon answers")
        time.sleep(max(min(60.0, seconds / 2), seconds * WARM_UP_SHARE))
        before, began, samples = counters(state), time.monotonic(), []
        while time.monotonic() - began < seconds * (1 - WARM_UP_SHARE):
            gateway.check()
            samples.append(_sample(gateway.pid, began))
            if len(samples) % 60 == 0:
                print(f"{samples[-1].at_s / 60:5.0f} min  {samples[-1].rss_mb:.1f} MB", flush=True)
            time.sleep(SAMPLE_S)
        return samples, before, counters(state), seconds


def _sample(pid: int, began: float) -> Sample:
    folder = Path(f"/proc/{pid}")
    descriptors = len(list((folder / "fd").iterdir()))
    threads = len(list((folder / "task").iterdir()))
    return Sample(time.monotonic() - began, usage(pid).rss_bytes / 1e6, descriptors, threads)


if __name__ == "__main__":
    main()
=======
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
>>>>>>> card
