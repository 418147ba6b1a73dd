"""What a gateway does with a snapshot, and nothing else: STATE KEYS COUNT [merge]; prints figures.

KEYS: file of the anchors. Memory is this process's resident set, with the interpreter.
"""

import gc
import json
import random
import sys
import time
from pathlib import Path

from edge.interlock.snapshot import SnapshotKeeper
from edge.remote.anchors import verify

FILLER, FINDS = "gas-1", 20_000


def code_of(number: int) -> str:
    """The code of one cylinder of the stock: as many makers' numbers there are, by year."""
    return f"cylinder:2310{2012 + number % 14}{number * 37 % 10**9:09}"


def rss_mb(name: str = "VmRSS") -> float:
    """Resident memory, or the most that it ever was (`VmHWM`)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


def main(state: Path, keys: Path, count: int, merge: bool) -> None:
    """Measure and print."""
    anchors = [bytes.fromhex(line) for line in keys.read_text().split()]
    keeper = SnapshotKeeper(state, filler=FILLER, anchors=lambda: anchors, verify=verify)
    figures = {"bare_mb": rss_mb()}
    began = time.perf_counter()
    keeper.load()
    gc.freeze()  # as the daemon does after its start
    figures["load_s"] = time.perf_counter() - began
    figures["load_mb"] = rss_mb()
    snapshot, rng = keeper.snapshot, random.Random(2)
    assert snapshot is not None
    took, cpu = list[float](), list[float]()
    for _ in range(FINDS):
        code = code_of(rng.randrange(count))
        began, began_cpu = time.perf_counter(), time.thread_time()
        found = snapshot.find(code)
        cpu.append(time.thread_time() - began_cpu)
        took.append(time.perf_counter() - began)
        assert found
    assert found
    began = time.perf_counter()
    for uid in found.tag_uids * 1000:
        assert snapshot.find_tag(uid) == found.code
    figures["find_tag_ms"] = (time.perf_counter() - began) / max(1, len(found.tag_uids))
    figures["find_mb"] = rss_mb()
    took.sort()
    cpu.sort()
    figures["find_p50_ms"] = took[FINDS // 2] * 1e3
    figures["find_p99_ms"] = took[-FINDS // 100] * 1e3
    figures["find_cpu_p99_ms"] = cpu[-FINDS // 100] * 1e3
    if merge:
        began = time.perf_counter()
        keeper.merge()
        figures["merge_s"] = time.perf_counter() - began
        figures["merge_mb"] = rss_mb("VmHWM")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), merge="merge" in sys.argv)
