"""What alarms feel while the retention job lets go of many rows: the time to raise one.

    python -m tests.benchmarks.retention [--rows 200000] [--url postgresql://…]

Without a URL the state is a SQLite file in a temporary folder.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import insert

from cloud.alarms.desk import AlarmDesk
from cloud.feed.store import FeedStore
from cloud.model.database import Database
from cloud.model.tables import feed, scan
from cloud.model.transition import Transition
from protocols.clock import SystemClock
from tests.support.retention import DAY_MS, make_job
from tests.support.state_database import open_state

QUIET_S, EACH_S = 8.0, 0.02


async def main(rows: int, url: str) -> None:
    """Measure without the job, then beside it."""
    state, clock = open_state(url), SystemClock()
    fill(state, rows, clock.wall_ms() - 900 * DAY_MS)
    items = FeedStore(state, clock)
    desk = AlarmDesk(
        database=state, clock=clock, append_feed=items.append, on_commit=items.committed
    )
    quiet = await raise_alarms(state, desk, clock, asyncio.create_task(asyncio.sleep(QUIET_S)))
    began = time.monotonic()
    job = asyncio.create_task(make_job({"state": state}, clock, pause=asyncio.sleep).run())
    busy = await raise_alarms(state, desk, clock, job)
    took_s = time.monotonic() - began
    gone = sum(one.rows for one in job.result().report)
    state.close()
    print(f"{state.engine.dialect.name}: {gone} rows went in {took_s:.1f} s")
    print(f"an alarm, without the job: {shown(quiet)}")
    print(f"an alarm, beside it:       {shown(busy)}")


def fill(state: Database, rows: int, at: int) -> None:
    """Put in old scans, and as many old items of the feed as a third of them."""
    row = {"gateway": "gw-1", "spool": "a" * 32, "stream": "data", "record_index": 0}
    row |= {"reader": "fill-1", "observed_at": at, "received_at": at, "time_unknown": False}
    row |= {"codes": '[{"scheme":"tag_uid","value":"04A1"}]', "findings": "[]", "operator": "op-7"}
    scans = rows * 3 // 4
    item = {"event": "alarm", "data": '{"asset":"elevator:1"}' + " " * 400, "recorded_at": at}
    for start in range(0, scans, 10_000):
        part = [row | {"seq": n} for n in range(start, min(scans, start + 10_000))]
        state.write_now(lambda c, p=part: c.execute(insert(scan), p))  # type: ignore[misc]
    state.write_now(lambda c: c.execute(insert(feed), [item] * (rows - scans)))


async def raise_alarms(
    state: Database, desk: AlarmDesk, clock: SystemClock, until: asyncio.Task[object]
) -> list[float]:
    """Raise an alarm every EACH_S until a task is done; return how long each took, ms."""
    took: list[float] = []
    while not until.done():
        transition = Transition(
            asset=f"elevator:{time.monotonic_ns()}",
            alert="Entrapment",
            change="fired",
            severity="emergency",
            at=clock.wall_ms(),
            observed_at=clock.wall_ms(),
        )
        began = time.perf_counter()
        await state.write(lambda c, one=transition: desk.apply(c, [one]))  # type: ignore[misc]
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(EACH_S)
    return took


def shown(took: Sequence[float]) -> str:
    """Write the figures of some times."""
    cuts = statistics.quantiles(took, n=100)
    return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, max {max(took):.1f} ms of {len(took)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--url", default="")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = asked.url or f"sqlite:///{Path(folder) / 'state.db'}"
        asyncio.run(main(asked.rows, place))
