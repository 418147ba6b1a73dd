"""Kills the process that keeps alarms' deadlines, again and again; each must fall once, in time.

    python -m tests.campaigns.alarm_deadlines --kills 500 --seed 1 [--lanes 4]

Each lane has a log and a state of its own. Before each start lifts are found shut with people in
them (pending for a second), ordinary alarms are shelved for some moments, and emergencies wait to
be acknowledged (told again each second). Then a process begins, and is killed by SIGKILL at a
random moment. Exit 0 only if each pending alert fired once, each shelf ended once, no deadline was
told twice, and all of it within 1 s after it fell due or, when nobody ran then, after the start.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from cloud.feed.store import FeedStore
from cloud.log.store import LogStore
from cloud.migrations import migrate
from cloud.model import tables
from cloud.model.database import Database
from cloud.model.logged import LoggedBatch
from cloud.model.transition import Transition
from protocols.clock import SystemClock, parse_time
from protocols.records import Readings, encode_records
from tests.campaigns.alarm_child import FOR_MS, REPEAT_MS, live, open_desk, urls

LIMIT_MS = 1_000
WRITING_MS = 300
"""So much later than it was decided an item may be written."""
LIVES_S = (0.05, 1.6)
LAST_LIFE_S = 4.0
TRAPPED, SHELVED, WAITING = 3, 4, 5
PARTITION = "all/data"
STILL = {
    "service_mode": ["normal"],
    "car_status": ["stopped"],
    "door_status": [True],
    "door_zone": [True],
    "passenger_status": [True],
    "message_code": [[]],
}


@dataclass
class Due:
    """One deadline that must fall once."""

    kind: str
    asset: str
    at: int


@dataclass
class Lane:
    """What one lane did, and when its processes lived."""

    lives: list[tuple[int, int]] = field(default_factory=list)
    """(ready, killed) of those that came so far."""
    dues: list[Due] = field(default_factory=list)
    kills: int = 0
    unready: int = 0


@dataclass
class Verdict:
    """Of one lane."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    late_ms: list[int] = field(default_factory=list)


def run_lane(folder: Path, kills: int, seed: int) -> Verdict:
    """Kill so many processes, let the last one live, and judge."""
    rng, lane = random.Random(seed), Lane()
    for url, name in zip(urls(folder), ("log", "state"), strict=True):
        database = Database(url, name=name)
        migrate(database.engine, name)
        database.close()
    for number in range(kills):
        asyncio.run(prepare(folder, lane, number, rng))
        run_child(folder, lane, rng.uniform(*LIVES_S))
        lane.kills += 1
    run_child(folder, lane, LAST_LIFE_S)
    return judge(folder, lane)


def run_child(folder: Path, lane: Lane, life_s: float) -> None:
    """Fork a process and kill it after so long; a start of Python takes longer than that."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            live(folder, writing)
        finally:
            os._exit(1)
    os.close(writing)
    time.sleep(life_s)
    os.kill(pid, signal.SIGKILL)
    killed = time.time_ns() // 1_000_000
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        told = pipe.read().strip()
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"the process ended by itself: {status}")
    if told:
        lane.lives.append((int(told), killed))
    else:
        lane.unready += 1


async def prepare(folder: Path, lane: Lane, number: int, rng: random.Random) -> None:
    """Set deadlines while nobody keeps them; the databases are closed before the fork."""
    log_url, state_url = urls(folder)
    clock, state = SystemClock(), Database(state_url, name="state")
    desk = open_desk(state, FeedStore(state, clock), clock)
    for alarm in (await desk.find(states=["unacknowledged"], limit=1000))[WAITING:]:
        await desk.acknowledge(alarm.id, by="campaign")
    for index in range(SHELVED):
        asset, now_ms = f"elevator:S{number}-{index}", clock.wall_ms()
        fired = Transition(
            asset=asset,
            alert="CarDoorNotClosing",
            severity="warning",
            change="fired",
            at=now_ms,
            observed_at=now_ms,
        )
        await state.write(lambda c, one=fired: desk.apply(c, [one]))  # type: ignore[misc]
        (alarm,) = await desk.find(asset=asset)
        until_ms = clock.wall_ms() + rng.randint(500, 3_000)
        await desk.shelve(alarm.id, until_ms=until_ms, reason="campaign", by="campaign")
        lane.dues.append(Due("unshelved", asset, until_ms))
    trap(log_url, lane, number, clock)
    state.close()


def trap(log_url: str, lane: Lane, number: int, clock: SystemClock) -> None:
    """Write into the log that lifts stand shut with people in them."""
    database = Database(log_url, name="log")
    log, now_ms = LogStore(database), clock.wall_ms()
    assets = [f"elevator:T{number}-{index}" for index in range(TRAPPED)]
    records = [Readings(asset=asset, at=[now_ms], values=STILL) for asset in assets]  # type: ignore[arg-type]
    batch = LoggedBatch(
        gateway="gw-1",
        spool="0123456789abcdef" * 2,
        stream="data",
        seq=number + 1,
        boot_id="boot",
        clock="synced",
        received_at=now_ms,
        placing="as_sent",
        records_raw=encode_records(records),
    )
    key = (batch.gateway, batch.spool, "data", batch.seq, 1)
    database.write_now(lambda c: log.append(c, [(PARTITION, [batch], [key])], now_ms))
    database.close()
    lane.dues += [Due("fired", asset, now_ms + FOR_MS) for asset in assets]


def judge(folder: Path, lane: Lane) -> Verdict:
    """Compare what the feed tells with the deadlines and the lives."""
    verdict = Verdict()
    told: dict[tuple[str, str], list[int]] = {}
    raised: dict[str, int] = {}
    counted: dict[str, list[int]] = {}
    for at, item in read_feed(folder):
        told.setdefault((item["change"], item["asset"]), []).append(at)
        raised[item["asset"]] = parse_time(item["raised_at"])
        if item["change"] == "repeated":
            counted.setdefault(item["asset"], []).append(item["repeats"])
    for due in lane.dues:
        moments = told.get((due.kind, due.asset), [])
        verdict.counts[due.kind] += 1
        if len(moments) != 1:
            verdict.faults.append(f"{due.kind} of {due.asset} {len(moments)} times")
            continue
        check_time(lane, verdict, due, moments[0])
    for asset in sorted({due.asset for due in lane.dues if due.kind == "fired"} & raised.keys()):
        stood = raised[asset], told.get(("acknowledged", asset), [2**62])[0]
        numbers = counted.get(asset, [])
        if numbers != list(range(1, len(numbers) + 1)):
            verdict.faults.append(f"{asset} told again by these counts: {numbers}")
        check_repeats(lane, verdict, asset, stood, told.get(("repeated", asset), []))
    verdict.counts["kills"] = lane.kills
    verdict.counts["killed before ready"] = lane.unready
    return verdict


def read_feed(folder: Path) -> list[tuple[int, dict[str, Any]]]:
    """Read (when it was written, item) of the whole feed."""
    database = Database(urls(folder)[1], name="state")
    query = select(tables.feed.c.recorded_at, tables.feed.c.data).order_by(tables.feed.c.offset)
    rows = database.read_now(lambda c: c.execute(query).all())
    database.close()
    return [(row[0], msgspec.json.decode(row[1])) for row in rows]


def check_time(lane: Lane, verdict: Verdict, due: Due, at: int) -> None:
    """Find when somebody could keep a deadline first, and how long it took him."""
    for ready, killed in lane.lives:
        able = max(ready, due.at)
        if killed <= able:
            continue
        if at <= killed:
            verdict.late_ms.append(at - able)
            if at - able > LIMIT_MS or at < due.at:
                verdict.faults.append(f"{due.kind} of {due.asset} after {at - able} ms")
            return
        if killed - able > LIMIT_MS:
            verdict.faults.append(f"{due.kind} of {due.asset} not within {killed - able} ms")
            return
    # a process that was killed before it could say that it was ready may have kept it


def check_repeats(
    lane: Lane, verdict: Verdict, asset: str, stood: tuple[int, int], moments: list[int]
) -> None:
    """Find deadlines that were told twice, and those that passed in silence while a process lived.

    `stood`: when the emergency was raised and when it was acknowledged.
    """
    verdict.counts["repeated"] += len(moments)
    for earlier, later in pairwise([stood[0], *moments]):
        if later - earlier < REPEAT_MS - WRITING_MS:
            verdict.faults.append(f"{asset} told again after {later - earlier} ms")
    for ready, killed in lane.lives:
        begin, end = max(ready, stood[0] + REPEAT_MS), min(killed, stood[1])
        if end - begin <= REPEAT_MS + LIMIT_MS:
            continue
        at = bisect_right(moments, begin - 1)
        if at == len(moments) or moments[at] > begin + REPEAT_MS + LIMIT_MS:
            verdict.faults.append(f"{asset} silent from {begin} on")


def main() -> int:
    """Run the lanes beside each other and print the ledger."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=4)
    options = parser.parse_args()
    began = time.monotonic()
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as root:
        work = []
        for number in range(options.lanes):
            folder = Path(root) / str(number)
            folder.mkdir()
            kills = (options.kills + number) // options.lanes
            work.append((folder, kills, options.seed * 1000 + number))
        with context.Pool(options.lanes) as pool:
            verdicts = pool.starmap(run_lane, work)
    return report(verdicts, options.seed, time.monotonic() - began)


def report(verdicts: list[Verdict], seed: int, took_s: float) -> int:
    """Print the ledger; 0 when all was kept."""
    counts: Counter[str] = sum((one.counts for one in verdicts), Counter())
    late = sorted(at for one in verdicts for at in one.late_ms)
    faults = [fault for one in verdicts for fault in one.faults]
    print(f"alarm deadlines, seed {seed}, {took_s:.0f} s")
    for name in sorted(counts):
        print(f"  {name:<22}{counts[name]:>8,}")
    if late:
        print(
            f"  late by, ms: p50 {late[len(late) // 2]}, p99 {late[len(late) * 99 // 100]},", end=""
        )
        print(f" most {late[-1]} of {len(late):,}")
    print(f"  faults                {len(faults):>8,}")
    for fault in faults[:20]:
        print(f"    {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
