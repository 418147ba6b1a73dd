"""The filling gate on real stacks: a tag on a serial line opens a gun over Modbus, or does not."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from edge.interlock.base import Cleared
from edge.interlock.journal import FILE
from protocols.records import Fill, Record, Scan
from simulators.weighing import Weight
from tests.support.filling_place import (
    GATEWAY,
    GOOD,
    LIMIT_KG,
    OVERDUE,
    TARE_KG,
    UNKNOWN,
    Daemon,
    Devices,
    Registry,
    devices,
    running,
    tag,
)
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_cloud import MqttCloud


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Devices]:
    with devices(tmp_path / "devices") as found:
        yield found


@pytest.fixture
async def cloud(mosquitto: Mosquitto) -> AsyncIterator[MqttCloud]:
    one = MqttCloud(mosquitto.port, GATEWAY)
    await one.start()
    yield one
    await one.stop()


def fills(records: list[Record]) -> list[Fill]:
    return [one for one in records if isinstance(one, Fill)]


def daemon_of(place: Devices, tmp_path: Path, broker: int = 1) -> Daemon:
    return Daemon(place.site(broker), tmp_path / "state", Registry())


async def test_a_good_cylinder_is_filled_and_all_of_it_is_recorded(
    place: Devices, tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    async with running(daemon_of(place, tmp_path, mosquitto.port)) as daemon:
        place.put(GOOD)
        await daemon.weighed()
        assert not place.gun.open
        daemon.answer_all()
        await daemon.until(lambda: place.gun.open, what="open")
        place.scale.show(Weight(20.0, in_motion=True))
        await daemon.until(lambda: daemon.gate.state.phase == "filling", what="filling")
        place.scale.show(Weight(30.25, in_motion=True))
        await daemon.until(lambda: not place.gun.open, what="closed before the limit")
        place.scale.show(Weight(30.45))
        await daemon.until(lambda: daemon.gate.state.phase == "done", what="weighed again")
        await cloud.until(lambda: any(one.step == "weighed" for one in fills(cloud.records())))
        records = fills(cloud.records())
        by_step = {one.step: one for one in records}
        released, weighed = by_step["released"], by_step["weighed"]
        assert released.asset == weighed.asset == "cylinder:GOOD"
        assert (released.decision, released.snapshot_version) == ("fill", "41")
        assert released.rules_version
        assert released.judged_on
        assert set(released.checks.values()) == {True}
        assert weighed.opening == released.number
        assert (weighed.before_kg, weighed.after_kg, weighed.net_kg) == (16.0, 30.45, 14.45)
        assert weighed.limit_kg == TARE_KG + LIMIT_KG
        numbers = [one.number for one in records]
        assert numbers == sorted(set(numbers))
        await cloud.until(lambda: any(isinstance(one, Scan) for one in cloud.records()))
        scan = next(one for one in cloud.records() if isinstance(one, Scan))
        assert scan.verdict is not None
        assert scan.verdict.decision == "cannot_decide"
        assert "check_open" in scan.verdict.reasons


async def test_bad_ones_are_refused_and_a_swap_closes_the_gun(
    place: Devices, tmp_path: Path
) -> None:
    async with running(daemon_of(place, tmp_path)) as daemon:
        for serial, decision in ((OVERDUE, "do_not_fill"), (UNKNOWN, "cannot_decide")):
            place.put(serial)
            await daemon.until(lambda: daemon.gate.state.phase == "judged", what="judged")
            judged = daemon.gate.state.judged
            assert judged is not None
            assert judged.verdict.decision == decision
            lamp = "lamp_red" if decision == "do_not_fill" else "lamp_yellow"
            await daemon.until(partial(place.gun.value, lamp), what=lamp)
            place.take(serial)
            await daemon.until(lambda: daemon.gate.state.phase == "idle", what="gone")
        place.put(GOOD)
        await daemon.weighed()
        daemon.answer_all()
        await daemon.until(lambda: place.gun.open, what="open")
        place.module.field.put(tag(OVERDUE))
        place.module.field.take(tag(GOOD))
        await daemon.until(lambda: not place.gun.open, within_s=1.0, what="closed after the swap")


async def test_a_tag_that_is_taken_off_and_a_reader_that_breaks_close_the_gun(
    place: Devices, tmp_path: Path
) -> None:
    async with running(daemon_of(place, tmp_path)) as daemon:
        for end in ("tag", "reader"):
            place.put(GOOD)
            await daemon.weighed()
            daemon.answer_all()
            await daemon.until(lambda: place.gun.open, what="open")
            if end == "tag":
                place.module.field.take(tag(GOOD))
            else:
                place.module.unplug()
            await daemon.until(lambda: not place.gun.open, within_s=3.0, what=end)
            place.take(GOOD)
            await daemon.until(lambda: daemon.gate.state.phase == "idle", what="idle")


async def test_an_output_that_cannot_be_reached_decides_nothing_and_comes_back(
    place: Devices, tmp_path: Path
) -> None:
    async with running(daemon_of(place, tmp_path)) as daemon:
        place.put(GOOD)
        await daemon.weighed()
        daemon.answer_all()
        await daemon.until(lambda: place.gun.open, what="open")
        place.server.cut()
        await daemon.until(lambda: not daemon.gate.state.output.reachable, what="lost")
        assert daemon.gate.state.phase in {"settling", "done"}
        await daemon.until(lambda: not place.gun.open, what="closed by its own watchdog")
        place.server.mend()
        await daemon.until(lambda: daemon.gate.state.output.reachable, what="back")
        await asyncio.sleep(0.3)
        assert not place.gun.open


async def test_gas_without_a_verdict_is_an_alarm_and_blocks_the_place(
    place: Devices, tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    async with running(daemon_of(place, tmp_path, mosquitto.port)) as daemon:
        place.put(OVERDUE)
        await daemon.weighed()
        place.scale.show(Weight(18.0, in_motion=True))
        await asyncio.sleep(0.2)
        place.scale.show(Weight(20.0))
        await daemon.until(lambda: daemon.gate.state.phase == "blocked", what="blocked")
        await cloud.until(lambda: fills(cloud.records()))
        alarms = [
            record
            for stream, one in cloud.model.received
            for record in one.records
            if isinstance(record, Fill) and record.step == "without_verdict"
        ]
        assert [one.asset for one in alarms] == ["cylinder:OVERDUE"]
        assert (alarms[0].before_kg, alarms[0].after_kg) == (16.0, 20.0)


def started(site: Path, state: Path) -> subprocess.Popen[bytes]:
    """Start a filling place as a process of its own, which can be killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.filling_place", str(site), str(state)]
    )


@pytest.mark.parametrize("when", ["released", "stopped"])
async def test_after_a_kill_the_gun_is_closed_and_the_filling_told_of(
    place: Devices, tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud, when: str
) -> None:
    site, state = place.site(mosquitto.port), tmp_path / "state"
    place.put(GOOD)
    child = started(site, state)
    try:
        await until(lambda: place.gun.open, "open")
        if when == "released":
            os.kill(child.pid, signal.SIGKILL)
        else:
            os.kill(child.pid, signal.SIGSTOP)
        await until(lambda: not place.gun.open, "closed by its own watchdog")
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    async with running(Daemon(site, state, Registry())) as daemon:
        await daemon.until(lambda: daemon.gate.state.phase == "blocked", what="blocked")
        assert daemon.gate.state.blocked == "interrupted"
        assert not place.gun.open
        steps = {"released", "interrupted"}
        await cloud.until(lambda: steps <= {one.step for one in fills(cloud.records())})
        records = fills(cloud.records())
        released = [one for one in records if one.step == "released"]
        (interrupted,) = [one for one in records if one.step == "interrupted"]
        assert [one.number for one in released] == [interrupted.opening]
        assert interrupted.asset == "cylinder:GOOD"
        assert interrupted.number > released[0].number
        daemon.gate.say(Cleared("boss"))
        await daemon.until(lambda: daemon.gate.state.phase != "blocked", what="cleared")


async def until(check: Callable[[], object], what: str, within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while not check():
            await asyncio.sleep(0.01)


async def test_what_the_journal_forgets_is_on_the_disk_when_power_is_cut_at_that_moment(
    place: Devices, tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    site, state = place.site(mosquitto.port), tmp_path / "state"
    place.put(GOOD)
    child = started(site, state)
    try:
        await until(lambda: place.gun.open, "open")
        place.take(GOOD)
        await until(lambda: not remembers(state), "told of")
    finally:
        child.kill()
        child.wait()
    async with running(Daemon(site, state, Registry())) as daemon:
        assert daemon.gate.state.blocked is None
        steps = {"released", "ended", "weighed", "checked"}
        await cloud.until(lambda: steps <= {one.step for one in fills(cloud.records())})
        assert "interrupted" not in {one.step for one in fills(cloud.records())}


def remembers(state: Path) -> bool:
    """Tell whether the journal knows of an opening."""
    with closing(sqlite3.connect(f"{(state / FILE).as_uri()}?mode=ro", uri=True)) as journal:
        return journal.execute("SELECT opening FROM place").fetchone()[0] is not None
