"""Deadlines of rescues under kills: each fires exactly once, and in time.

`python -m tests.campaigns.rescues --kills 250 --seed 1` lets a child open rescues, act on them and
fire their deadlines, which fall every few ms, and kills it at random moments by SIGKILL. At the end
all deadlines, entries and feed items are held against each other. `--postgres`: on PostgreSQL
instead of SQLite.
"""

import asyncio
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import func, select

from cloud.feed.store import FeedStore
from cloud.migrations import migrate
from cloud.model import tables
from cloud.model.database import Database
from cloud.model.incident import Verb, WantedIncidents
from cloud.model.incident_tables import incident, incident_deadline, incident_entry
from cloud.model.rescue_policy import RescueRules, load_rescue
from protocols.clock import SystemClock
from protocols.errors import RefuseInput
from tests.support.postgres import Postgres
from tests.support.rescues import Centre, open_centre, operator

LATE_MS = 1_000
"""So late may a deadline fire after it was due and the process was ready, on a quiet machine."""
LIFTS, STATIONS, OPEN_MAX = 2_000, 20, 400
OPEN_EACH_S = 0.012
ACTS: tuple[Verb, ...] = ("take", "dispatch", "accept", "arrive", "refuse", "false_alarm")


class Life(msgspec.Struct):
    """One life of the child: when it was ready, and when it was killed; ms since 1970."""

    ready_at: int
    killed_at: int


class Ledger(msgspec.Struct):
    """The figures of a campaign; `faults` says what does not add up."""

    kills: int = 0
    rescues: int = 0
    deadlines: int = 0
    fired: int = 0
    settled_first: int = 0
    waiting: int = 0
    entries: int = 0
    feed_items: int = 0
    dispatched_by_clock: int = 0
    late_worst_ms: int = 0
    late_p99_ms: int = 0
    faults: list[str] = []

    def print(self) -> None:
        """Show the ledger."""
        for name in self.__struct_fields__[:-1]:
            print(f"  {name.replace('_', ' '):22} {getattr(self, name)}")
        for fault in self.faults[:20]:
            print(f"  FAULT: {fault}")
        print(f"  faults                 {len(self.faults)}")


def quick_rules() -> RescueRules:
    """Return the shipped rules with seconds for minutes."""
    rules = load_rescue()
    figures = {"acknowledge_s": 1, "accept_s": 1, "warn_s": 2, "next_level_s": 3}
    figures |= {"third_level_s": 2, "breach_s": 4}
    policies = tuple(replace(one, **figures) for one in rules.policies.policy)
    return RescueRules(replace(rules.policies, policy=policies), rules.levels, rules.causes)


async def _centre(url: str) -> Centre:
    database, clock = Database(url, name="state"), SystemClock()
    feed = FeedStore(database, clock)
    return await open_centre(database, clock, quick_rules(), append_feed=feed.append)


async def _settle(url: str) -> None:
    centre = await _centre(url)
    for number in range(LIFTS):
        await centre.lift(f"elevator:{number:04d}")
    for number in range(STATIONS):
        await centre.unit(f"station-{number:02d}", north_m=number * 100)
    centre.database.close()


def _child(url: str, seed: int, ready: Pipe) -> None:
    """Open rescues, act on them and fire their deadlines, until killed."""
    asyncio.run(_live(url, random.Random(seed), ready))


async def _live(url: str, rng: random.Random, ready: Pipe) -> None:
    centre = await _centre(url)
    ready.send(centre.clock.wall_ms())
    async with asyncio.TaskGroup() as group:
        group.create_task(centre.runner.run())
        group.create_task(_open(centre, rng))
        group.create_task(_act(centre, rng))


async def _open(centre: Centre, rng: random.Random) -> None:
    while True:
        await asyncio.sleep(rng.random() * 2 * OPEN_EACH_S)
        asset = f"elevator:{rng.randrange(LIFTS):04d}"
        if rng.random() < 0.5:
            await centre.alarm(rng.choice(["fired", "upgraded", "resolved"]), asset)
        else:
            await centre.call(asset=asset)


async def _act(centre: Centre, rng: random.Random) -> None:
    desk = operator()
    while True:
        await asyncio.sleep(rng.random() * 0.01)
        found = await centre.desk.find(WantedIncidents(open=True, urgent=True, limit=OPEN_MAX))
        if not found:
            continue
        one = rng.choice(found)
        verb: Verb = rng.choice(ACTS) if len(found) < OPEN_MAX else "false_alarm"
        note = {"note": "x"} if verb in ("refuse", "false_alarm") else {}
        try:
            await centre.act(one, verb, desk, **note)
        except RefuseInput:
            continue


def run(url: str, kills: int, seed: int, late_ms: int = LATE_MS) -> Ledger:
    """Run the campaign on an empty database and return its ledger."""
    rng, lives = random.Random(seed), list[Life]()
    database = Database(url, name="state")
    migrate(database.engine, "state")
    database.close()
    asyncio.run(_settle(url))
    forks = multiprocessing.get_context("fork")  # what was imported need not be again
    for number in range(kills + 1):
        here, there = forks.Pipe(duplex=False)
        child = forks.Process(target=_child, args=(url, rng.randrange(2**32), there))
        child.start()
        ready_at = here.recv()
        last = number == kills
        time.sleep(6 if last else rng.uniform(0.02, 1.1))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        killed_at = SystemClock().wall_ms()
        child.join()
        lives.append(Life(ready_at, killed_at))
    return audit(url, kills, lives, late_ms)


def audit(url: str, kills: int, lives: list[Life], late_ms: int) -> Ledger:
    """Hold all that was written against each other."""
    database = Database(url, name="state")
    rows = database.read_now(lambda c: c.execute(select(incident_deadline)).all())
    entries = database.read_now(lambda c: c.execute(select(incident_entry)).all())
    feed = database.read_now(
        lambda c: c.execute(
            select(func.count()).select_from(tables.feed).where(tables.feed.c.event == "incident")
        ).scalar_one()
    )
    rescues = database.read_now(
        lambda c: c.execute(select(func.count()).select_from(incident)).scalar_one()
    )
    database.close()
    ledger = Ledger(kills=kills, rescues=rescues, deadlines=len(rows), entries=len(entries))
    ledger.feed_items, lates = feed, list[int]()
    told = Counter((one.incident, one.what, one.at) for one in entries)
    due = Counter((one.incident, f"due_{one.kind}", one.due_at) for one in rows if one.fired_at)
    for key, count in due.items():
        if told[key] != count:
            ledger.faults.append(f"{key}: {count} fired, {told[key]} told")
    ledger.faults += [
        f"{key}: told without having fired"
        for key in told
        if key[1][:4] == "due_" and key not in due
    ]
    for one in rows:
        ledger.fired += one.fired_at is not None
        ledger.settled_first += one.fired_at is None and one.settled_at is not None
        ledger.waiting += one.waiting == "y"
        late = _late_ms(one, lives, late_ms)
        if late is None:
            continue
        lates.append(late)
        if late > late_ms:
            ledger.faults.append(f"incident {one.incident} {one.kind}: {late} ms late")
    if feed != len(entries):
        ledger.faults.append(f"{len(entries)} entries, {feed} items of the feed")
    ledger.dispatched_by_clock = sum(
        one.what == "dispatch" and one.by == "system" for one in entries
    )
    lates.sort()
    ledger.late_worst_ms = lates[-1] if lates else 0
    ledger.late_p99_ms = lates[len(lates) * 99 // 100] if lates else 0
    return ledger


def _late_ms(one: Any, lives: list[Life], late_ms: int) -> int | None:
    """Return how late a deadline fired; None: it did not have to.

    It counts from when the process was ready, in the first life that could have fired it: that in
    which it did, or an earlier one that lived on for longer than it may take.
    """
    due_at, fired_at = one.due_at, one.fired_at
    if fired_at is None and one.settled_at is not None:
        return None
    for life in lives:
        begin = max(due_at, life.ready_at)
        if fired_at is not None and life.ready_at <= fired_at <= life.killed_at:
            return max(0, int(fired_at - begin))
        if life.killed_at - begin > late_ms:
            return int((fired_at or life.killed_at) - begin)
    return None


@contextmanager
def _database(folder: Path, postgres: bool) -> Iterator[str]:
    """Yield the URL of an empty database."""
    if not postgres:
        yield f"sqlite:///{folder / 'state.db'}"
        return
    server = Postgres(folder / "postgres")
    server.start()
    try:
        yield server.new_database()
    finally:
        server.stop()


def main() -> int:
    """Run as a command."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--late-ms", type=int, default=LATE_MS)
    parser.add_argument("--postgres", action="store_true")
    asked = parser.parse_args()
    print(f"rescues: {asked.kills} kills, seed {asked.seed}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, _database(Path(folder), asked.postgres) as url:
        ledger = run(url, asked.kills, asked.seed, asked.late_ms)
    ledger.print()
    print(f"  took                   {time.monotonic() - started:.0f} s")
    return 1 if ledger.faults else 0


if __name__ == "__main__":
    sys.exit(main())
