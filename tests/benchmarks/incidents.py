"""Rescues at their worst: 10,000 open ones, their list, acts on them, and deadlines in time.

`python -m tests.benchmarks.incidents [--open 10000] [--seconds 60]`, on a quiet machine; a table.
"""

import asyncio
import random
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import bindparam, select, update

from cloud.feed.store import FeedStore
from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.incident import WantedIncidents
from cloud.model.incident_tables import incident_deadline
from protocols.clock import SystemClock
from tests.support.rescues import Centre, open_centre, operator

LIST = WantedIncidents(open=True, urgent=True, limit=100)
NEWEST = WantedIncidents(open=True, limit=100)
EACH_S = 0.1
"""So often somebody looks, and somebody acts."""


def percentile(found: list[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    return sorted(found)[min(len(found) - 1, int(len(found) * share))]


async def settle(centre: Centre, count: int) -> float:
    """Open so many rescues; return how long it took, in seconds."""
    for number in range(40):
        await centre.unit(f"station-{number:02d}", north_m=number * 100)
    for number in range(count):
        await centre.lift(f"elevator:{number:05d}")
    started = time.perf_counter()
    for number in range(count):
        await centre.call(asset=f"elevator:{number:05d}")
    return time.perf_counter() - started


def spread(centre: Centre, seconds: float, rng: random.Random) -> None:
    """Let one deadline of each fall due within the run, the others long after it."""
    now_ms, one = centre.clock.wall_ms(), incident_deadline.c
    rows = centre.rows(select(one.incident, one.position, one.kind).subquery())
    changes = [
        {
            "of": row.incident,
            "at_position": row.position,
            "due_at": now_ms + 2_000 + int(rng.random() * seconds * 1_000)
            if row.kind == "acknowledge"
            else now_ms + 10**8,
        }
        for row in rows
    ]
    where = (one.incident == bindparam("of"), one.position == bindparam("at_position"))
    centre.database.write_now(lambda c: c.execute(update(incident_deadline).where(*where), changes))


async def timed(work: Callable[[], Awaitable[object]], found: list[float]) -> None:
    """Do something and note how long it took, in ms."""
    started = time.perf_counter()
    await work()
    found.append((time.perf_counter() - started) * 1_000)


async def run(folder: Path, count: int, seconds: float) -> None:
    """Run it in a folder and print the table."""
    rng, clock = random.Random(1), SystemClock()
    database = Database(f"sqlite:///{folder / 'state.db'}", name="state")
    migrate(database.engine, "state")
    centre = await open_centre(database, clock, append_feed=FeedStore(database, clock).append)
    opened_s = await settle(centre, count)
    spread(centre, seconds, rng)
    runner = asyncio.create_task(centre.runner.run())
    urgent, newest, acts, desk = list[float](), list[float](), list[float](), operator()
    end_s = time.perf_counter() + seconds + 4
    while time.perf_counter() < end_s:
        await timed(lambda: centre.desk.find(LIST), urgent)
        await timed(lambda: centre.desk.find(NEWEST), newest)
        number = rng.randrange(1, count + 1)
        await timed(lambda n=number: centre.act(n, "verify", desk, people=rng.randrange(9)), acts)  # type: ignore[misc]
        await asyncio.sleep(EACH_S)
    runner.cancel()
    rows = [row for row in centre.rows(incident_deadline) if row.kind == "acknowledge"]
    lates = [float(row.fired_at - row.due_at) for row in rows if row.fired_at is not None]
    print(f"open rescues           {count}")
    print(f"opened                 {count / opened_s:.0f}/s")
    print(f"deadlines fired        {len(lates)} in {seconds:.0f} s, each asks a unit and tells")
    missed = sum(row.fired_at is None and row.settled_at is None for row in rows)
    print(f"not fired              {missed}")
    for name, found in (
        ("late", lates),
        ("100 most urgent", urgent),
        ("100 newest", newest),
        ("an act", acts),
    ):
        half, most = percentile(found, 0.5), percentile(found, 0.99)
        print(f"{name:22} p50 {half:.1f} ms, p99 {most:.1f} ms, worst {max(found):.1f} ms")
    database.close()


def main() -> None:
    """Run as a command."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), asked.open, asked.seconds))


if __name__ == "__main__":
    main()
