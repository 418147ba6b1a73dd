"""The telemetry engines side by side: `make bench-engines`.

The load is one hour of LIFTS lifts with all that a device says of itself, every 20 s, encoded
beforehand as the log holds it: a group per 20 s, batches of 20 lifts. Each run writes it all, group
by group as fast as it is taken, into a fresh engine, then asks for an hour of one lift.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud.model.logged import LoggedBatch, LogGroup
from cloud.telemetry.base import TelemetryStore
from protocols.catalog.points import Point, load_points
from protocols.clock import SystemClock
from protocols.readings import Value
from protocols.records import Readings, encode_records
from tests.benchmarks.rig import markdown, median, repeat, usage, where_and_when
from tests.support.telemetry_engines import InfluxDbServer, VictoriaMetricsServer, missing_for
from tests.support.telemetry_load import open_at

HOUR_S, PERIOD_S, LIFTS_PER_BATCH = 3_600, 20, 20
QUERIES = 30
SETTLE_S = 2.0
"""The engine's own work after the last write counts too."""
SERVERS: dict[str, type[InfluxDbServer] | type[VictoriaMetricsServer]] = {
    "influxdb": InfluxDbServer,
    "victoriametrics": VictoriaMetricsServer,
}
HEAD = (
    "engine",
    "append, values/s",
    "our CPU, s per 1,000 values",
    "engine's CPU, s per 1,000 values",
    "1 hour of a lift, raw, ms",
    "1 hour, mean by 5 min, ms",
)


class Load:
    """Groups of the log in bytes, and how many values they hold."""

    def __init__(self, lifts: int) -> None:
        self.start_ms = time.time_ns() // 1_000_000 - HOUR_S * 1_000
        self.lifts = [f"elevator:{number:017d}" for number in range(lifts)]
        points = [one for one in load_points("elevator").values() if one.reporter == "device"]
        self.values = HOUR_S // PERIOD_S * lifts * len(points)
        self._raw = list(self._encoded(points, random.Random(1)))

    def groups(self) -> Iterator[LogGroup]:
        """Yield the groups, not yet decoded."""
        per_group = -(-len(self.lifts) // LIFTS_PER_BATCH)
        for position in range(1, len(self._raw) // per_group + 1):
            raw = self._raw[(position - 1) * per_group : position * per_group]
            at = self.start_ms + position * PERIOD_S * 1_000
            yield LogGroup(
                partition="all/data",
                position=position,
                committed_at=at,
                batches=tuple(_batch(number, position, at, one) for number, one in enumerate(raw)),
            )

    def _encoded(self, points: list[Point], rng: random.Random) -> Iterator[bytes]:
        for second in range(0, HOUR_S, PERIOD_S):
            at = self.start_ms + second * 1_000
            for first in range(0, len(self.lifts), LIFTS_PER_BATCH):
                yield encode_records(
                    [
                        Readings(
                            asset=asset,
                            at=[at + rng.randrange(PERIOD_S * 1_000)],
                            values={point.name: [_value(point, rng, second)] for point in points},
                        )
                        for asset in self.lifts[first : first + LIFTS_PER_BATCH]
                    ]
                )


def _value(point: Point, rng: random.Random, second: int) -> Value:
    if point.type == "bool":
        return rng.random() < 0.5
    if point.type == "word":
        return rng.choice(point.words[:3])
    if point.type == "codes":
        return [] if rng.random() < 0.95 else [rng.choice(point.words)]
    if point.type == "text":
        return rng.choice(["", "E01", "E37"])
    if point.type == "float":
        return round(rng.uniform(0, 100), 2)
    return rng.randrange(30) if point.type == "floor" else 100_000 + second + rng.randrange(3)


def _batch(number: int, seq: int, at: int, raw: bytes) -> LoggedBatch:
    return LoggedBatch(
        gateway=f"gw-{number}",
        spool=f"{number:032x}",
        stream="data",
        seq=seq,
        boot_id="boot",
        clock="synced",
        received_at=at,
        records_raw=raw,
    )


@contextmanager
def running(name: str) -> Iterator[tuple[TelemetryStore, list[int]]]:
    """Open a store over a fresh engine; yields it and the engine's processes."""
    folder = Path(tempfile.mkdtemp())
    server = SERVERS[name](folder / "server") if name in SERVERS else None
    try:
        if server is not None:
            server.start()
        url = server.new_url() if server is not None else ""
        store = open_at(url, folder / "telemetry", SystemClock())
        try:
            yield store, server.pids if server is not None else []
        finally:
            store.close()
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)


def one_run(name: str, load: Load) -> dict[str, float]:
    """Write the load and ask; returns the figures of one run."""
    with running(name) as (store, pids):
        store.rewind({})
        engine_before = sum(usage(pid).cpu_s for pid in pids)
        began, own_before = time.perf_counter(), time.process_time()
        for group in load.groups():
            store.append([group])
        wall_s, own_s = time.perf_counter() - began, time.process_time() - own_before
        time.sleep(SETTLE_S)
        engine_s = sum(usage(pid).cpu_s for pid in pids) - engine_before
        return {
            "rate": load.values / wall_s,
            "own": own_s / load.values * 1_000,
            "engine": engine_s / load.values * 1_000,
            "raw": _query_ms(
                load, lambda lift, low, high: store.readings(lift, [], low, high, 10**6)
            ),
            "mean": _query_ms(
                load,
                lambda lift, low, high: store.aggregate(
                    lift, ["speed"], low, high, 300_000, "mean"
                ),
            ),
        }


def _query_ms(load: Load, ask: Callable[[str, int, int], object]) -> float:
    """Return the median time of a question for the whole hour."""
    times = []
    for lift in random.Random(2).sample(load.lifts, QUERIES):
        began = time.perf_counter()
        ask(lift, load.start_ms, load.start_ms + (HOUR_S + PERIOD_S) * 1_000)
        times.append(time.perf_counter() - began)
    return sorted(times)[QUERIES // 2] * 1_000


def decoding(load: Load) -> dict[str, float]:
    """Decode the load and nothing else: what every engine pays."""
    began = time.process_time()
    for group in load.groups():
        for batch in group.batches:
            for _ in batch.readings():
                pass
    return {"own": (time.process_time() - began) / load.values * 1_000}


def main() -> None:
    """Run all engines that are installed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--lifts", type=int, default=1_000)
    arguments = parser.parse_args()
    load = Load(arguments.lifts)
    print(f"{where_and_when()}; {load.values:,} values; medians of {arguments.runs} runs\n")
    rows = []
    for name in ("duckdb", *SERVERS):
        missing = missing_for(SERVERS[name]) if name in SERVERS else None
        if missing:
            print(f"{name}: {missing}")
            continue
        runs = repeat(arguments.runs, lambda name=name: one_run(name, load))  # type: ignore[misc]
        rows.append(
            (
                name,
                f"{median(runs, 'rate'):,.0f}",
                f"{median(runs, 'own'):.5f}",
                f"{median(runs, 'engine'):.5f}" if name in SERVERS else "in ours",
                f"{median(runs, 'raw'):.1f}",
                f"{median(runs, 'mean'):.1f}",
            )
        )
    own = f"{median(repeat(arguments.runs, lambda: decoding(load)), 'own'):.5f}"
    rows.append(("decoding alone", "", own, "", "", ""))
    print(markdown(HEAD, rows))


if __name__ == "__main__":
    main()
