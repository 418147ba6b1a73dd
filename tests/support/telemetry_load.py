"""A load for telemetry stores that can be written again from any position, and its writer.

Group n of a partition is always the same. Most readings lie around a midnight, every fifth group
brings late history of other days, so that flushes touch several days. No two readings of one asset
have the same time, up to position 500: on the wire a reading is (asset, point, time).

As a program: writes to the store of a URL until it is killed, and prints each position.
"""

import random
import sys
from collections import Counter
from pathlib import Path

from cloud.model.logged import LogGroup
from cloud.telemetry.base import TelemetryStore
from cloud.telemetry.open import open_store
from protocols.clock import Clock, ManualClock
from protocols.readings import Value
from tests.support.log_groups import DAY_MS, NOON_MS, batch, group, readings

PARTITIONS = ("all/alarm", "all/data")
ASSETS = [f"elevator:{number}" for number in range(4)] + ["mystery:1"]
MIDNIGHT_MS = NOON_MS - DAY_MS // 2
_SPEEDS: list[Value] = [0.1, 1.75, 2, None]
_FLOORS: list[Value] = [7, 12, "B1"]
Key = tuple[str, str, int, str]
"""(asset, point, at, value as text)."""


def load_group(partition: str, position: int) -> LogGroup:
    """Make group `position` of a partition."""
    rng = random.Random(f"{partition} {position}")
    late = position % 5 == 0
    seconds = range(-3 * 24 * 3600 if late else -2, 2)
    slot = (2 * position + PARTITIONS.index(partition)) % 1_000
    records = []
    for asset in rng.sample(ASSETS, 3):
        start = MIDNIGHT_MS + 1_000 * rng.choice(seconds) + slot
        values: dict[str, list[Value]] = {
            "speed": rng.choices(_SPEEDS, k=3),
            "car_position": rng.choices(_FLOORS, k=3),
            "door_zone": [rng.random() < 0.5 for _ in range(3)],
            "unheard_of": [rng.randrange(2**60) for _ in range(3)],
        }
        records.append(readings(asset, [start, start + 1_000, start + 2_000], values))
    return group(position, batch(*records, seq=position), partition=partition)


def expected(last: int) -> Counter[Key]:
    """Count the values of groups 1..last of both partitions."""
    return Counter(
        (one.asset, name, at, repr(value))
        for partition in PARTITIONS
        for position in range(1, last + 1)
        for logged in load_group(partition, position).batches
        for one in logged.readings()
        for name, column in one.columns().items()
        for at, value in zip(one.at, column, strict=True)
        if value is not None
    )


def stored(store: TelemetryStore) -> Counter[Key]:
    """Count the values that a store holds."""
    found: Counter[Key] = Counter()
    for asset in ASSETS:
        start: int | None = MIDNIGHT_MS - 30 * DAY_MS
        while start is not None:
            series = store.readings(asset, [], start, MIDNIGHT_MS + 30 * DAY_MS, 1_000)
            for name, pairs in series.points.items():
                found.update((asset, name, at, repr(value)) for at, value in pairs)
            start = series.next
    return found


def feed(store: TelemetryStore, last: int, size: int = 3) -> None:
    """Write all groups up to `last` that the store lacks, some at a time."""
    while True:
        positions = store.positions()
        groups = [
            load_group(partition, position)
            for partition in PARTITIONS
            for position in range(
                positions.get(partition, 0) + 1, min(last, positions.get(partition, 0) + size) + 1
            )
        ]
        if not groups:
            return
        store.append(groups)


def open_at(url: str, folder: Path, clock: Clock, retention_days: int = 30) -> TelemetryStore:
    """Open the store of a URL; empty: DuckDB in `folder`."""
    return open_store(
        url, folder=folder, clock=clock, retention_days=retention_days, memory_limit_mb=512
    )


def _write_until_killed(url: str, folder: Path, last: int) -> None:
    store = open_at(url, folder, ManualClock(NOON_MS))
    while (position := min(store.positions().get(name, 0) for name in PARTITIONS)) < last:
        feed(store, position + 1)
        print(position + 1, flush=True)
    print("done", flush=True)
    sys.stdin.read()  # wait for the kill with everything in the write-ahead logs


if __name__ == "__main__":
    _write_until_killed(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
