"""How fast lists and figures of alarms are with many of them open, and how fast deadlines fire.

    python -m tests.benchmarks.alarms [--closed 200000] [--open 10000]

Prints milliseconds: the first page of open alarms, of all, of one asset; the figures of a day with
so many raisings; and how long it takes until as many shelved alarms as are open came back together.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import Connection, insert, update

from cloud.alarms.desk import AlarmDesk
from cloud.alarms.figures import FigureBook
from cloud.alarms.rows import to_row
from cloud.feed.store import FeedStore
from cloud.migrations import migrate
from cloud.model import tables
from cloud.model.alarm import Alarm, AlarmState
from cloud.model.alarm_tables import alarm_raise
from cloud.model.database import Database
from cloud.model.principal import EVERYTHING, Remit, Scope
from protocols.clock import SystemClock

RUNS = 50
OPEN: tuple[AlarmState, ...] = ("unacknowledged", "acknowledged", "return_to_normal_unacknowledged")
DISTRICT = Scope(remits=(Remit(districts=frozenset({"chuanying"}), categories=None),))


def fill(connection: Connection, closed: int, count: int, now_ms: int) -> None:
    """Write alarms: those that are closed, and as many open ones of a lift each."""
    rows, raised = [], []
    texts = dict.fromkeys(("summary", "summary_zh", "cause", "response"), "text " * 12)
    for number in range(closed + count):
        is_open = number >= closed
        asset = f"elevator:{number if is_open else number % 20_000:017}"
        at = now_ms - (closed + count - number) * 400
        alarm = Alarm(
            id=0,
            alert="CarDoorNotClosing",
            asset=asset,
            severity="warning",
            state=OPEN[number % 3] if is_open else "normal",
            raised_at=at,
            observed_at=at,
            changed_at=at,
            annotations=texts,
        )
        rows.append(to_row(alarm))
        row = {"alarm": number + 1, "asset": asset, "alert": alarm.alert, "severity": "warning"}
        raised.append(row | {"raised_at": at, "acknowledged_at": at + 60_000})
    for start in range(0, len(rows), 5_000):
        connection.execute(insert(tables.alarm), rows[start : start + 5_000])
        connection.execute(insert(alarm_raise), raised[start : start + 5_000])


async def timed(name: str, ask: Callable[[], Awaitable[object]], runs: int = RUNS) -> None:
    """Ask again and again, and print how long it took."""
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    print(f"  {name:<34}{took[runs // 2]:>9.1f}{took[runs * 99 // 100]:>9.1f}")


async def main(closed: int, count: int) -> None:
    """Fill a database and ask it."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'state.db'}", name="state")
        migrate(database.engine, "state")
        clock = SystemClock()
        database.write_now(lambda c: fill(c, closed, count, clock.wall_ms()))
        feed = FeedStore(database, clock)
        desk = AlarmDesk(
            database=database, clock=clock, append_feed=feed.append, on_commit=feed.committed
        )
        book = FigureBook(database, clock, desk.terms)
        print(f"{closed:,} closed and {count:,} open alarms{'p50 ms':>14}{'p99 ms':>9}")
        await timed("open, newest 100", lambda: desk.find(states=OPEN))
        await timed("open, newest 1,000", lambda: desk.find(states=OPEN, limit=1_000))
        await timed("open, of a district", lambda: desk.find(states=OPEN, scope=DISTRICT))
        await timed("all, newest 100", desk.find)
        await timed("of one lift", lambda: desk.find(asset="elevator:00000000000000007"))
        await timed("figures of a day", lambda: book.figures(24, EVERYTHING), 10)
        await deadlines(database, desk, clock)
        database.close()


async def deadlines(database: Database, desk: AlarmDesk, clock: SystemClock) -> None:
    """Let all open alarms come back from the shelf at one moment."""
    alarm = tables.alarm.c
    now_ms = clock.wall_ms()
    shelved = update(tables.alarm).where(alarm.open == "y")
    values = {"state": "shelved", "due_at": now_ms, "shelve_ends_at": now_ms, "shelved_at": 1}
    database.write_now(lambda c: c.execute(shelved.values(**values)))
    began, fired = time.perf_counter(), 0
    while found := await desk.fire():
        fired += found
    took_s = time.perf_counter() - began
    print(f"  {fired:,} shelves end at once in {took_s:.1f} s, {fired / took_s:,.0f}/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--closed", type=int, default=200_000)
    parser.add_argument("--open", type=int, default=10_000)
    options = parser.parse_args()
    asyncio.run(main(options.closed, options.open))
