"""Scans in a log that a follower makes events of; as a program, until it is killed or is through.

`python -m tests.support.field_log URL N`: kills itself when it has counted N outcomes, in the
middle of the transaction.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from zoneinfo import ZoneInfo

from cloud.model.database import Database
from cloud.model.follower import LogFollower
from cloud.model.logged import LoggedBatch, LogGroup, Positions
from cloud.trace.field.event import Mapper
from cloud.trace.field.keep import MARK, NAME, FieldCapture
from cloud.trace.field.steps import load_steps
from protocols.catalog.divisions import load_divisions
from protocols.catalog.files import data_root
from protocols.catalog.schemes import load_schemes
from protocols.clock import SystemClock
from protocols.codes.registry import SchemeRegistry
from protocols.epcis.standard import load_standard
from protocols.records import Code, Scan, Verdict
from tests.support.log_groups import NOON_MS, batch, group
from tests.support.state_database import open_state

STANDARD = load_standard(data_root() / "epcis")
REGISTRY = SchemeRegistry(load_schemes(None)[0], load_divisions())
STEPS = load_steps(STANDARD, REGISTRY.schemes)
MAPPER = Mapper(STEPS, standard=STANDARD, registry=REGISTRY, zone=ZoneInfo("Asia/Shanghai"))
GRAI = "006141411234524"
ITEM = f"https://id.gs1.org/8003/{GRAI}"
BATCHES = 8
SCANS = 3
"""Of one batch: two cylinders, and one that must not be filled."""


class ListLog:
    """A log in memory."""

    def __init__(self, batches: Iterable[LoggedBatch] = ()) -> None:
        self.groups: list[LogGroup] = [group(at, one) for at, one in enumerate(batches, 1)]

    def read(self, partition: str, after: int, limit: int) -> Sequence[LogGroup]:
        """Return what is behind `after`, one at a time so that there are many transactions."""
        return [one for one in self.groups if one.position > after][: min(limit, 1)]

    def at_hand(self, partition: str, after: int, limit: int) -> Sequence[LogGroup] | None:
        """Return nothing: it is never in memory."""
        return None

    def heads(self) -> Positions:
        """Return where it ends."""
        return {"all/data": self.groups[-1].position} if self.groups else {}


def filled(serial: int, decision: str | None = None, *, at: int = NOON_MS) -> Scan:
    """Make the scan of a cylinder at the filling place; without a decision there is no gate."""
    return Scan(
        reader="fill-1",
        at=at,
        codes=[Code("tid", f"E2{serial:022X}"), Code("grai", f"{GRAI}{serial}")],
        step="filling",
        verdict=Verdict(decision) if decision else None,  # type: ignore[arg-type]
    )


def some_batches() -> list[LoggedBatch]:
    """Make batches of `SCANS` scans each."""
    return [
        batch(
            filled(2 * seq, at=NOON_MS + seq),
            filled(1000 + seq, "do_not_fill", at=NOON_MS + seq),
            filled(2 * seq + 1, at=NOON_MS + seq),
            seq=seq,
        )
        for seq in range(1, BATCHES + 1)
    ]


def follower(
    log: ListLog, database: Database, count: Callable[[str], None] = lambda _: None
) -> LogFollower:
    """Build the follower that makes events."""
    capture = FieldCapture(
        MAPPER, standard=STANDARD, registry=REGISTRY, clock=SystemClock(), count=count
    )
    return LogFollower(name=NAME, log=log, database=database, mark=MARK, keep=capture.keep)


async def follow(
    log: ListLog, database: Database, count: Callable[[str], None] = lambda _: None
) -> None:
    """Follow the log to its end."""
    consumer = follower(log, database, count)
    await consumer.start()
    task = asyncio.create_task(consumer.run())
    async with asyncio.timeout(20):
        while consumer.read() != log.heads() and not task.done():
            await asyncio.sleep(0.005)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _killing(after: int) -> Callable[[str], None]:
    counted = []

    def count(outcome: str) -> None:
        counted.append(outcome)
        if len(counted) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


if __name__ == "__main__":
    url, number = sys.argv[1:]
    asyncio.run(follow(ListLog(some_batches()), open_state(url), _killing(int(number))))
