"""A station's snapshot of 300,000 cylinders: `python -m tests.benchmarks.snapshot [--count N]`.

The service issues it from a stock in memory, and then increments; a child process with nothing else
in it loads what a gateway keeps, as the daemon does at its start (signatures, hashes, heads), looks
for cylinders at random, and merges. A fifth has two tags; a twentieth as many codes of others are
denied. Memory is the child's resident set, with the interpreter.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from cloud.cylinders.facts import Changes
from cloud.cylinders.snapshots import SnapshotBook
from cloud.trust.signing import anchors, sign
from edge.interlock.snapshot import SnapshotKeeper
from edge.remote.anchors import verify
from protocols.catalog.files import data_root
from protocols.clock import ManualClock
from protocols.cylinders.base import Cylinder, MarkedDate, State
from protocols.cylinders.load import load_rules
from tests.benchmarks.rig import Figures, markdown, where_and_when
from tests.benchmarks.snapshot_child import FILLER, code_of
from tests.support.stations import held

COUNT, CHANGED, INCREMENTS = 300_000, 400, 48
PAGE = 5_000
DENIED: tuple[State, ...] = ("blocked", "lost", "scrapped")
TARGETS: dict[str, tuple[str, float | None]] = {
    "whole file on the gateway's disk, MB": ("whole_mb", 20),
    "whole file as it travels, MB": ("packed_mb", 20),
    "increment of 400 as it travels, kB": ("increment_kb", 50),
    "load, s": ("load_s", 1),
    "load with 48 increments, s": ("load_s_48", 1),
    "memory after the load, MB": ("load_mb", 60),
    "memory after 20,000 look-ups, MB": ("find_mb", 60),
    "memory after 20,000 look-ups with 48 increments, MB": ("find_mb_48", 60),
    "look-up p50, ms": ("find_p50_ms", 1),
    "look-up p99, ms": ("find_p99_ms", 1),
    "look-up p99 with 48 increments, ms": ("find_p99_ms_48", 1),
    "of that, processor time p99, ms": ("find_cpu_p99_ms_48", 1),
    "look-up of a tag with 48 increments, mean, ms": ("find_tag_ms_48", 1),
    "memory before anything is loaded, MB": ("bare_mb", None),
    "merge of 48 increments, s": ("merge_s_48", None),
    "most memory while merging, MB": ("merge_mb_48", None),
    "first issue at the service, s": ("begin_s", None),
    "further issue at the service, s": ("go_on_s", None),
}


class Stock:
    """Gives all, and then CHANGED of them again and again."""

    def __init__(self, count: int) -> None:
        self._rng, self._count = random.Random(1), count

    def changed(self, _filler: str, cursor: int) -> Changes:
        """Return all, in parts, or some."""
        rng, count, stop = self._rng, self._count, min(self._count, cursor + PAGE)
        if cursor >= count:
            some = tuple(self._one(one) for one in rng.sample(range(count), CHANGED))
            return Changes(cylinders=some, gone=(), cursor=cursor + 1, more=False)
        denied: dict[str, State] = {
            f"cylinder:9910{number // 20:013}": rng.choice(DENIED)
            for number in range(cursor, stop, 20)
        }
        part = tuple(self._one(one) for one in range(cursor, stop))
        return Changes(cylinders=part, gone=(), denied=denied, cursor=stop, more=stop < count)

    def _one(self, number: int) -> Cylinder:
        rng = self._rng
        made = date(2012, 1, 1) + timedelta(days=rng.randrange(5_000))
        inspected = made + timedelta(days=rng.randrange(1_400))
        uids = [f"04{rng.getrandbits(48):012X}"]
        if rng.random() < 0.2:
            uids.append(f"E280{rng.getrandbits(80):020X}")
        return Cylinder(
            code=code_of(number),
            kind=rng.choice(["lpg_household", "steel_seamless", "lpg_vehicle"]),
            gas=rng.choice(["lpg", "oxygen", "argon", "co2"]),
            standard=rng.choice(["GB 5842-2006", "GB/T 5099.1-2017", "GB 5842-2023"]),
            manufactured_on=MarkedDate(made.year, made.month),
            design_life_years=rng.choice([None, 8, 15]),
            inspected_on=MarkedDate(inspected.year, inspected.month, inspected.day),
            inspection_due_on=MarkedDate(inspected.year + 4, inspected.month),
            last_filled_on=date(2025, 1, 1) + timedelta(days=rng.randrange(690)),
            filler=FILLER,
            tare_kg=round(rng.gauss(16.5, 0.8), 2),
            water_capacity_l=rng.choice([26.2, 118.0, round(rng.gauss(35.5, 0.3), 1)]),
            allowable_fill_kg=rng.choice([14.5, 49.5]),
            tag_uids=tuple(uids),
        )


def main() -> int:
    """Run everything once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    count = parser.parse_args().count
    print(f"{where_and_when()}; {count:,} cylinders", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-snapshot-") as folder:
        figures = run(Path(folder), count)
    missed = [title for title, (name, most) in TARGETS.items() if most and figures[name] > most]
    rows = [
        (title, f"{figures[name]:.3g}", "" if most is None else f"{most:g}")
        for title, (name, most) in TARGETS.items()
    ]
    print(markdown(("", "measured", "at most"), rows))
    print(f"missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def run(folder: Path, count: int) -> Figures:
    """Issue, take, and let children measure."""
    clock = ManualClock()
    book = SnapshotBook(
        folder / "snapshots",
        Stock(count).changed,
        clock,
        sign=partial(sign, folder),
        rules=lambda: load_rules(data_root() / "cylinders"),
        permits=lambda _: held("lpg"),
    )
    keeper = SnapshotKeeper(
        folder / "edge", filler=FILLER, anchors=lambda: anchors(folder), verify=verify
    )
    keeper.load()
    (folder / "keys").write_text("\n".join(one.hex() for one in anchors(folder)))
    begin_s, packed = _take(book, keeper, clock)
    (whole,) = keeper.folder.glob("*.whole")
    figures = {
        "whole_mb": whole.stat().st_size / 1e6,
        "packed_mb": packed / 1e6,
        "begin_s": begin_s,
    }
    figures |= _measured(folder, count)
    taken = []
    for _ in range(INCREMENTS):
        clock.advance(3_600_000)
        taken.append(_take(book, keeper, clock))
    figures["go_on_s"] = max(seconds for seconds, _ in taken)
    figures["increment_kb"] = max(size for _, size in taken) / 1e3
    later = _measured(folder, count, "merge")
    return figures | {f"{name}_{INCREMENTS}": value for name, value in later.items()}


def _take(book: SnapshotBook, keeper: SnapshotKeeper, clock: ManualClock) -> tuple[float, int]:
    """Let the keeper take what is issued; return how long the issue took, and the file's size."""
    began = time.perf_counter()
    signed = book.offer(FILLER, keeper.have, whole=keeper.need_whole)
    took = time.perf_counter() - began
    wanted = keeper.look(signed, clock.wall_ms())
    assert wanted is not None
    file = keeper.folder / f"{wanted.sha256}.packed"
    file.write_bytes(book.file(FILLER, wanted.sha256).read_bytes())
    keeper.take(signed, file, clock.wall_ms())
    return took, wanted.size


def _measured(folder: Path, count: int, *more: str) -> Figures:
    command = [sys.executable, "-m", "tests.benchmarks.snapshot_child", str(folder / "edge")]
    arguments = [str(folder / "keys"), str(count), *more]
    answer = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    found: Figures = json.loads(answer.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
