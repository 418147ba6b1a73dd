"""Pulls readers out and lets tags come and go in bursts; counts what was told wrong.

    python -m tests.campaigns.readers --cases 1000 --seed 1

Runs over every kind of reader that the contract knows and this machine can run, several at a time.
Exit 0 only if no tag was told that was not there, no tag that stayed went untold, none was told
twice in one visit, and every reader was back within 5 s.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from pathlib import Path

import msgspec

from edge.sources.base import Scanned
from edge.sources.presence import RESUME_MS
from protocols.records import Code
from tests.support.reader_harnesses import HARNESSES, Kind
from tests.support.readers import Harness, Watched, watching, whole

BACK_S = 5.0
TOLD_S = 5.0
LANES_MAX = 4
"""Readers of one kind that run at a time."""


class Account(msgspec.Struct):
    """What a campaign has found; `faults` names case, reader and what happened."""

    cases: Counter[str] = msgspec.field(default_factory=Counter)
    """By kind of reader, and by kind of case."""
    scans: int = 0
    torn: int = 0
    """Scans that told no more than the tag's own number, and why."""
    slowest_back_s: float = 0.0
    wrong: int = 0
    lost: int = 0
    doubled: int = 0
    late: int = 0
    faults: list[str] = []

    @property
    def breached(self) -> bool:
        """Whether a promise was broken."""
        return bool(self.wrong or self.lost or self.doubled or self.late or self.faults)

    def line(self, seed: int, seconds: float) -> str:
        """Return the result."""
        by = ", ".join(f"{name} {count}" for name, count in sorted(self.cases.items()))
        cases = sum(self.cases[name] for name in CASES)
        return (
            f"{cases} cases, seed {seed}, {seconds:.0f} s ({by}): "
            f"{self.scans} scans, {self.torn} torn; {self.wrong} wrong identities, "
            f"{self.lost} undeclared losses, {self.doubled} told twice, {self.late} not back "
            f"within {BACK_S:.0f} s (slowest {self.slowest_back_s:.1f} s)"
        )


class Lane:
    """One reader, its source, and the tags of the case under way."""

    def __init__(self, harness: Harness, watched: Watched, account: Account) -> None:
        self.harness, self.watched, self._account = harness, watched, account
        self._number = 0
        self._first = 0
        self._before = 0
        """First tag of the case before: a torn one of it may be told late, once it is given up."""
        self._seen = 0
        self._must = Counter[int]()
        """How often a tag must be told whole; one that is not here may be told once."""

    def new(self) -> int:
        """Take a tag that has never been here."""
        self._number += 1
        return self._number - 1

    async def do(self, act: Callable[..., None], *arguments: int) -> None:
        """Do something to the reader, off this loop."""
        await asyncio.to_thread(act, *arguments)

    async def told(self, number: int) -> None:
        """Wait until a tag that stays is told; it must be."""
        self._must[number] += 1
        expected, began = whole(self.harness.told(number)), time.monotonic()
        while self._told_whole()[expected] < self._must[number]:
            if time.monotonic() - began > TOLD_S:
                return  # `close_case` counts it
            await asyncio.sleep(0.01)

    async def back(self) -> None:
        """Wait until the reader is open; it has to be soon."""
        began = time.monotonic()
        while not self.watched.up and time.monotonic() - began < 2 * BACK_S:
            await asyncio.sleep(0.01)
        took_s = time.monotonic() - began
        self._account.late += took_s > BACK_S
        self._account.slowest_back_s = max(self._account.slowest_back_s, took_s)

    async def away(self) -> None:
        """Wait as long as a tag must be gone to have been away."""
        await asyncio.sleep(1.2 * self.watched.away_s)

    async def close_case(self, name: str) -> None:
        """Clear the reader and settle the case's account."""
        await self.do(self.harness.take_away)
        await self.away()
        account, scans = self._account, self.watched.scans[self._seen :]
        there = {n: self.harness.told(n) for n in range(self._first, self._number)}
        present = {told.key.hex(): whole(told) for told in there.values()}
        torn = present.keys() | {
            self.harness.told(n).key.hex() for n in range(self._before, self._first)
        }
        wrong = [scan for scan in scans if not _may_be(scan, present, torn)]
        told_whole = self._told_whole()
        counts = {n: told_whole[whole(told)] for n, told in there.items()}
        lost = [n for n, count in counts.items() if count < self._must[n]]
        doubled = [n for n, count in counts.items() if count > max(1, self._must[n])]
        account.scans += len(scans)
        account.torn += sum(bool(scan.findings) for scan in scans)
        account.wrong += len(wrong)
        account.lost += len(lost)
        account.doubled += len(doubled)
        if wrong or lost or doubled:
            told = [(scan.codes[0].value, scan.findings) for scan in scans]
            where = f"{self.watched.source.name}, {name}, tags {self._first} on"
            status = self.watched.source.status()
            found = f"wrong {wrong}, lost {lost}, twice {doubled}, told {told}"
            account.faults.append(f"{where}: {found}; {status}")
        self._must.clear()
        self._before, self._first = self._first, self._number
        self._seen = len(self.watched.scans)

    def _told_whole(self) -> Counter[tuple[Code, ...]]:
        return Counter(scan.codes for scan in self.watched.scans[self._seen :] if not scan.findings)


def _may_be(scan: Scanned, present: Mapping[str, tuple[Code, ...]], torn: Container[str]) -> bool:
    """Tell whether a scan is of a tag that was there: whole, or its number with a finding."""
    key = scan.codes[0].value
    if scan.codes == present.get(key):
        return True
    return bool(scan.findings) and len(scan.codes) == 1 and key in torn


async def stays_through_unplug(lane: Lane, rng: random.Random) -> None:
    """Pull the reader out and plug it in; the tag at it stays."""
    number = lane.new()
    lane.harness.bring(number)
    await lane.told(number)
    await lane.do(lane.harness.unplug)
    await asyncio.sleep(rng.uniform(0, 1.5))
    await lane.do(lane.harness.plug_in)
    await lane.back()
    await asyncio.sleep(0.5)


async def changes_during_unplug(lane: Lane, rng: random.Random) -> None:
    """While the reader is away, another tag takes the place of the first."""
    first, second = lane.new(), lane.new()
    lane.harness.bring(first)
    await lane.told(first)
    await lane.do(lane.harness.unplug)
    await lane.do(lane.harness.take_away)
    lane.harness.bring(second)
    await asyncio.sleep(rng.uniform(0, 0.5))
    await lane.do(lane.harness.plug_in)
    await lane.back()
    await lane.told(second)


async def comes_back(lane: Lane, rng: random.Random) -> None:
    """A tag leaves, perhaps while the reader is away, and comes back later: told twice."""
    number, outage = lane.new(), rng.random() < 0.5
    lane.harness.bring(number)
    await lane.told(number)
    if outage:
        await lane.do(lane.harness.unplug)
    await lane.do(lane.harness.take_away)
    if outage:
        await lane.do(lane.harness.plug_in)
        await lane.back()
        await asyncio.sleep(RESUME_MS / 1000)
    await lane.away()
    lane.harness.bring(number)
    await lane.told(number)


async def unplugged_while_reading(lane: Lane, rng: random.Random) -> None:
    """Pull the reader out at any moment after a tag has come."""
    number = lane.new()
    lane.harness.bring(number)
    await asyncio.sleep(rng.uniform(0, 0.6))
    await lane.do(lane.harness.unplug)
    await lane.do(lane.harness.plug_in)
    await lane.back()
    await lane.told(number)


async def daemon_restarts(lane: Lane, rng: random.Random) -> None:
    """Restart what stands between reader and driver, with a tag there or none."""
    number = lane.new()
    before = rng.random() < 0.5
    if before:
        lane.harness.bring(number)
        await lane.told(number)
    await lane.do(lane.harness.restart_daemon)
    if not before:
        lane.harness.bring(number)
    await lane.back()
    if not before:
        await lane.told(number)
    await asyncio.sleep(0.3)


async def burst(lane: Lane, rng: random.Random) -> None:
    """Tags come and go faster than they can be read, some torn, some two at once; one stays."""
    for _ in range(rng.randint(2, 5)):
        if rng.random() < 0.3:
            await lane.do(lane.harness.tear, lane.new())
        elif rng.random() < 0.3:
            await lane.do(lane.harness.two_at_once, lane.new(), lane.new())
        else:
            lane.harness.bring(lane.new())
        await asyncio.sleep(rng.uniform(0, 0.6))
        await lane.do(lane.harness.take_away)
    number = lane.new()
    lane.harness.bring(number)
    await lane.told(number)


async def garbled(lane: Lane, rng: random.Random) -> None:
    """What the reader sends is garbled for a while."""
    number = lane.new()
    lane.harness.spoil(on=True)
    lane.harness.bring(number)
    await asyncio.sleep(rng.uniform(0.1, 1.0))
    lane.harness.spoil(on=False)
    await lane.told(number)


Case = Callable[[Lane, random.Random], Awaitable[None]]
CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        stays_through_unplug,
        changes_during_unplug,
        comes_back,
        unplugged_while_reading,
        daemon_restarts,
        burst,
        garbled,
    )
}


async def run(folder: Path, cases: int, seed: int, kinds: Sequence[str] = ()) -> Account:
    """Run so many cases over the kinds of reader given, or all that this machine has."""
    account = Account()
    rng = random.Random(seed)
    names = list(CASES)
    queue = [(names[number % len(names)], rng.randrange(2**32)) for number in range(cases)]
    rng.shuffle(queue)
    chosen = {name: HARNESSES[name] for name in kinds or HARNESSES}
    lanes = [
        _lane(account, queue, name, kind, folder / f"{name}-{number}")
        for name, kind in chosen.items()
        if kind.missing() is None
        for number in range(min(kind.lanes_max, LANES_MAX))
    ]
    await asyncio.gather(*lanes)
    if queue:
        account.faults.append(f"{len(queue)} cases were not run: no kind of reader")
    return account


async def _lane(
    account: Account, queue: list[tuple[str, int]], kind_name: str, kind: Kind, folder: Path
) -> None:
    """Take cases until none is left."""
    folder.mkdir(parents=True)
    harness = kind.make(folder)
    try:
        async with watching(harness) as watched:
            lane = Lane(harness, watched, account)
            await lane.back()
            while queue:
                name, seed = queue.pop()
                await CASES[name](lane, random.Random(seed))
                await lane.close_case(name)
                account.cases.update((name, kind_name))
    finally:
        harness.close()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=list(HARNESSES), default=[])
    options = parser.parse_args()
    for name, kind in HARNESSES.items():
        if (missing := kind.missing()) is not None:
            print(f"{name}: left out, {missing}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="suyuan-readers-") as folder:
        account = asyncio.run(run(Path(folder), options.cases, options.seed, options.kind))
    for fault in account.faults:
        print(f"FAULT: {fault}")
    print(account.line(options.seed, time.monotonic() - began))
    return 1 if account.breached else 0


if __name__ == "__main__":
    sys.exit(main())
