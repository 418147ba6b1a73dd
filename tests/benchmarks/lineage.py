"""How fast a lineage is found among many events, and what it costs.

python -m tests.benchmarks.lineage --batches 2000000        10 million events, 30 million uses
python -m tests.benchmarks.lineage --batches 200000 --sql   beside tables and a recursive query
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cloud.trace.lineage.base import Bounds, Direction, Index
from cloud.trace.lineage.files import open_segment, write_segment
from cloud.trace.lineage.layers import Layers
from cloud.trace.lineage.segment import Segment, build
from cloud.trace.lineage.trace import trace
from tests.benchmarks.lineage_data import EVENTS, ITEMS, City, city, columns
from tests.benchmarks.lineage_sql import beside

FILE_BATCHES = 800_000
"""4 million events: the largest file that is made of smaller ones."""
WIDE = Bounds(items=1_000_000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=200_000)
    parser.add_argument("--traces", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    databases = ("all", "postgresql")
    parser.add_argument(
        "--sql", nargs="?", const="all", choices=databases, help="databases beside it"
    )
    options = parser.parse_args()
    big = max(1, options.batches // 200_000)
    made = city(options.batches, big=big, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        index = _index(made, Path(folder))
        starts = small(made, options.traces, options.seed)
        _report("index, under 1,000 items", index, starts)
        _report("index, 250,000 items", index, large(made))
        print(f"memory: {anonymous_mib():.0f} MiB of its own, {_peak_mib():.0f} MiB at most")
        if options.sql:
            asked = [*starts[:50], *large(made)[:1]]
            beside(made, asked, index, Path(folder), sqlite=options.sql == "all")


def _index(made: City, folder: Path) -> Index:
    begun = time.monotonic()
    segments: list[Segment] = []
    for first in range(0, len(made.time_us), FILE_BATCHES):
        end = min(len(made.time_us), first + FILE_BATCHES)
        rows, uses = columns(made, first, end)
        segment = build(first * EVENTS + 1, end * EVENTS + 1, rows, uses)
        path = folder / f"{first}.segment"
        write_segment(path, segment, b"")
        segments.append(open_segment(path)[0])
    size = sum(segment.nbytes for segment in segments)
    uses_count = sum(len(segment.columns["use_event"]) for segment in segments)
    print(
        f"{len(made.time_us) * EVENTS:,} events, {uses_count:,} uses, {len(segments)} files, "
        f"{size / 2**20:.0f} MiB, built in {time.monotonic() - begun:.0f} s"
    )
    return Layers(segments)


def small(made: City, count: int, seed: int) -> list[tuple[int, Direction]]:
    """Return random items of the smaller families, and first units of whole ones."""
    random = np.random.default_rng(seed)
    roots = made.roots[made.sizes < 240]
    chosen: list[tuple[int, Direction]] = []
    for root in random.choice(roots, size=count // 2).tolist():
        chosen.append((root * ITEMS, "forward"))
        chosen.append((root * ITEMS + 1, "back"))
    return chosen


def large(made: City) -> list[tuple[int, Direction]]:
    """Return all that the first batch of a big family was made of, as one unit of it."""
    return [(int(root) * ITEMS, "forward") for root in made.roots[made.sizes > 240][:10]]


def _report(name: str, index: Index, starts: Sequence[tuple[int, Direction]]) -> None:
    walls, works, items = [], [], []
    for start, direction in starts:
        wall, work = time.perf_counter(), time.process_time()
        answer = trace(index, [start], direction, bounds=WIDE)
        walls.append(time.perf_counter() - wall)
        works.append(time.process_time() - work)
        items.append(len(answer.nodes))
    print(f"{name}: {len(items)} traces of {min(items):,} to {max(items):,} items")
    for what, times in (("elapsed", walls), ("processor", works)):
        p50, p99 = np.quantile(times, (0.5, 0.99)) * 1000
        print(f"  {what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {max(times) * 1000:.0f} ms")


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def anonymous_mib() -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
