"""Traces in a repository that is there: its index made from the tables, then asked."""

import time
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from cloud.model.database import Database
from cloud.model.principal import EVERYTHING
from cloud.trace.lineage.base import Bounds, Direction, Question, Trace
from cloud.trace.lineage.desk import LineageDesk
from cloud.trace.lineage.facts import items_of
from cloud.trace.lineage.keeper import Keeper
from cloud.trace.lineage.trace import trace
from tests.benchmarks.lineage import WIDE, anonymous_mib, large, small
from tests.benchmarks.lineage_data import City
from tests.benchmarks.trace_city import item_id
from tests.support.shipped import shipped_schemes

TRACES, ANSWERS, REPEATS = 1_000, 100, 5


async def measure_traces(database: Database, folder: Path, made: City) -> None:
    """Make the index, trace small and large families, and answer some as the service does."""
    keeper, began = Keeper(database, folder), time.monotonic()
    keeper.open()
    while keeper.keep():
        pass
    print(f"index made from the tables in {time.monotonic() - began:.0f} s")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"index: {size / 2**20:.0f} MiB in files, memory {anonymous_mib():.0f} MiB of its own")
    starts, families = small(made, TRACES, 1), large(made)
    desk = LineageDesk(database, keeper, shipped_schemes())
    _traces("under 1,000 items", database, keeper, starts)
    await _answers("the same, named and shown", desk, starts[:ANSWERS])
    if families:
        _traces("250,000 items", database, keeper, families * REPEATS)
        await _answers("the first 10,000 items of them, named and shown", desk, families)


def _traces(
    name: str, database: Database, keeper: Keeper, starts: list[tuple[int, Direction]]
) -> None:
    took, items = Took(), []
    for start, direction in starts:
        with took:
            found = database.read_now(partial(_found, keeper, item_id(start), direction))
        items.append(len(found.nodes))
    took.tell(f"{len(items)} traces, {name}: {min(items):,} to {max(items):,} items")


def _found(keeper: Keeper, start: str, direction: Direction, connection: Connection) -> Trace:
    items = items_of(connection, [start], EVERYTHING)
    return trace(keeper.index(connection), items, direction, bounds=WIDE)


async def _answers(name: str, desk: LineageDesk, starts: list[tuple[int, Direction]]) -> None:
    took = Took()
    for start, direction in starts:
        question = Question(
            start=(item_id(start),), direction=direction, at_us=None, bounds=Bounds()
        )
        with took:
            await desk.trace(question, scope=EVERYTHING)
    took.tell(name)


class Took:
    """What repeated work takes: by the clock, and of the processor in all threads."""

    def __init__(self) -> None:
        self._walls: list[float] = []
        self._works: list[float] = []

    def __enter__(self) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        wall, work = self._begun
        self._walls.append(time.perf_counter() - wall)
        self._works.append(time.process_time() - work)

    def tell(self, name: str) -> None:
        """Print a line."""
        told = [name]
        for what, times in (("elapsed", self._walls), ("processor", self._works)):
            p50, p99 = np.quantile(times, (0.5, 0.99)) * 1000
            told.append(f"{what} p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        print("; ".join(told), flush=True)
