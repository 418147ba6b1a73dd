"""All receivers served at once: none waits for another, stops are durable, changes are seen."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from cloud.alarms.desk import AlarmDesk
from cloud.feed.items import Item
from cloud.feed.receivers import runner
from cloud.feed.receivers.base import TAKEN, Outcome
from cloud.feed.receivers.runner import Couriers
from cloud.model.principal import EVERYTHING
from cloud.roles.receivers import guarded
from protocols.clock import SystemClock
from tests.cloud.feed.receivers.conftest import Stage
from tests.support.trace_world import OpenSeal


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOOK_S", 0.02)
    monkeypatch.setattr(runner, "FLUSH_S", 0.02)


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Couriers]:
    desk = AlarmDesk(
        database=stage.database,
        clock=SystemClock(),
        append_feed=stage.feed.append,
        on_commit=stage.feed.committed,
    )
    couriers = Couriers(
        stage.database,
        SystemClock(),
        stage.feed,
        rights=lambda _principal, _account: EVERYTHING,
        make_sender=stage.make_sender,
        seal=OpenSeal(),
        terms=stage.terms,
        apply=desk.apply,
        on_commit=stage.feed.committed,
        guarded=guarded,
        rng=random.Random(1),
    )
    task = asyncio.create_task(couriers.run())
    try:
        yield couriers
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_one_that_hangs_delays_nobody(stage: Stage) -> None:
    hung = asyncio.Event()

    def prepare(sender: object) -> None:
        if len(stage.senders) <= 5:
            sender.send = hang  # type: ignore[attr-defined]

    async def hang(_items: list[Item]) -> Outcome:
        await hung.wait()
        return TAKEN

    stage.prepare = prepare
    for number in range(6):
        await stage.add(name=f"r{number}")
    async with running(stage):
        await until(lambda: len(stage.senders) == 6)
        offset = await stage.write.alarm(1)
        await until(lambda: stage.senders[5].sent)
        assert stage.senders[5].sent[0][0].offset == offset


async def test_change_by_a_person_takes_effect_and_a_pause_holds(stage: Stage) -> None:
    await stage.add()
    async with running(stage):
        await stage.write.alarm(1)
        await until(lambda: stage.senders and stage.sender.sent)
        await stage.book.pause(stage.granted, 1)
        await until(lambda: stage.senders[0].closed)
        await stage.write.alarm(2)
        await asyncio.sleep(0.1)
        assert stage.offsets() == [1]
        await stage.book.resume(stage.granted, 1, skip=False)
        await until(lambda: 2 in stage.offsets())


async def test_gone_stops_with_an_alarm_that_others_hear_of(stage: Stage) -> None:
    def prepare(sender: object) -> None:
        if sender.to.receiver.id == 1:  # type: ignore[attr-defined]
            sender.outcomes = [Outcome(ok=False, gone=True)]  # type: ignore[attr-defined]

    stage.prepare = prepare
    await stage.add(name="gone")
    await stage.add(name="other")
    async with running(stage):
        await stage.write.alarm(1)
        await until(lambda: len(stage.senders) >= 2 and len(stage.of(2).sent) > 1)
        alarm = stage.of(2).sent[-1][0]
        assert (alarm.about.alert, alarm.about.asset) == ("ReceiverStopped", "service:cloud")
    shown = await stage.shown(1)
    assert (shown.state, shown.why, shown.health.waiting) == ("stopped", "gone", 1)
    assert (await stage.shown(2)).state == "active"


async def test_defect_in_one_ends_no_other(stage: Stage) -> None:
    async def broken(_items: list[Item]) -> Outcome:
        raise ZeroDivisionError

    def prepare(sender: object) -> None:
        if sender.to.receiver.id == 1:  # type: ignore[attr-defined]
            sender.send = broken  # type: ignore[attr-defined]

    stage.prepare = prepare
    await stage.add(name="broken")
    await stage.add(name="well")
    async with running(stage):
        await until(lambda: len(stage.senders) >= 2)
        await stage.write.alarm(1)
        await until(lambda: stage.of(2).sent)
