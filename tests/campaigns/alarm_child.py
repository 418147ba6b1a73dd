"""One process of `tests.campaigns.alarm_deadlines`: judges, and keeps deadlines until killed."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import msgspec

from cloud.alarms.call_watch import CallWatch
from cloud.alarms.desk import AlarmDesk
from cloud.alarms.runner import AlarmDeadlines
from cloud.feed.store import FeedStore
from cloud.log.store import LogStore
from cloud.model.alarm_terms import AlarmTerms, load_terms
from cloud.model.database import Database
from cloud.rules.consumer import RulesConsumer
from cloud.rules.load import load_rules
from cloud.rules.rule import RuleSet
from protocols.clock import SystemClock

REPEAT_MS = FOR_MS = 1_000
"""A minute and 20 s of the shipped data are too long for a campaign."""


def urls(folder: Path) -> tuple[str, str]:
    """Return the databases of a lane: log and state."""
    return f"sqlite:///{folder / 'log.db'}", f"sqlite:///{folder / 'state.db'}"


def terms() -> AlarmTerms:
    """Return the shipped terms with a second between two repetitions."""
    shipped = load_terms()
    repeat = msgspec.structs.replace(shipped.repeat, emergency_s=REPEAT_MS // 1000)
    return msgspec.structs.replace(shipped, repeat=repeat)


def rules() -> RuleSet:
    """Return the entrapment alone, a second after the doors closed."""
    rule = load_rules().by_alert["Entrapment"]
    proofs = tuple(replace(one, for_ms=FOR_MS if one.for_ms else 0) for one in rule.proofs)
    return RuleSet((replace(rule, proofs=proofs),))


def open_desk(database: Database, feed: FeedStore, clock: SystemClock) -> AlarmDesk:
    """Return the desk of a process."""
    return AlarmDesk(
        database=database,
        clock=clock,
        append_feed=feed.append,
        on_commit=feed.committed,
        terms=terms(),
    )


def live(folder: Path, ready: int) -> None:
    """Run until killed; writes the moment of its readiness into the pipe."""
    asyncio.run(_live(folder, ready))


async def _live(folder: Path, ready: int) -> None:
    log_url, state_url = urls(folder)
    log_db, state, clock = (
        Database(log_url, name="log"),
        Database(state_url, name="state"),
        SystemClock(),
    )
    feed, log = FeedStore(state, clock), LogStore(log_db)
    desk = open_desk(state, feed, clock)
    consumer = RulesConsumer(
        log=log,
        database=state,
        rules=rules(),
        clock=clock,
        apply=desk.apply,
        dead_letter=lambda *_: None,
        on_commit=feed.committed,
        values_every_ms=500,
    )
    await consumer.start()
    calls = CallWatch(state, clock, desk.terms, apply=desk.apply, on_commit=feed.committed)
    os.write(ready, f"{clock.wall_ms()}\n".encode())
    await asyncio.gather(consumer.run(), AlarmDeadlines(desk, clock, calls).run())
