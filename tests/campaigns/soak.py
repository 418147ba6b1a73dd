"""A gateway at many times its load for a long time: memory, descriptors and threads stay flat.

    python -m tests.campaigns.soak --minutes 50 --factor 5

The real daemon reads 100 lifts, 4 readers, 2 scanners and 2 scales, each `--factor` times as often
as usual, and sends to a broker and an ingester that acknowledges. Every 5 s its resident memory,
descriptors and threads are read; after a warm-up a line is laid through the memory by least
squares. The heap's high water rises for the first quarter of an hour (live blocks stay the same all
the while): a run of less than 50 minutes tells of that. Exit 0 only if it rises by less than
1 MB/h, descriptors and threads end as they began, all polls were kept and every scan arrived.
"""

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.edge_run import Load, counters
from tests.benchmarks.field import busy_hall
from tests.benchmarks.rig import allow_files, usage

LIFTS, CHANGING = 100, 4
SAMPLE_S = 5.0
WARM_UP_SHARE = 0.2
"""Of the time, 60 s at least: caches fill, and the allocator finds its level."""
SLOPE_MAX_MB_H = 1.0


class Sample(NamedTuple):
    """The daemon at one moment."""

    at_s: float
    rss_mb: float
    descriptors: int
    threads: int


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
        gateway, state = busy_hall(stack, load, factor)
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
