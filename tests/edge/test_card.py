"""The real daemon on a card that fails: alarms get through, and it comes back by itself."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.status import read_status
from protocols.clock import SystemClock
from protocols.messages import Command
from protocols.records import Reply
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_cloud import MqttCloud
from tests.support.small_disk import small_disk

ROOT = Path(__file__).parents[2]
GATEWAY = "gw-card"
SITE = """\
schema = 1
gateway_id = "{gateway}"
[uplink]
broker = "mqtt://127.0.0.1:{port}"
"""


class Daemon:
    """`edge run` on a card."""

    def __init__(self, folder: Path, card: Path, port: int) -> None:
        self._folder, self._card = folder, card
        self._site = folder / "site.toml"
        self._site.write_text(SITE.format(gateway=GATEWAY, port=port))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with (self._folder / "edge.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edge", "run"),
                *("--site", str(self._site), "--state", str(self._card)),
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    async def end(self, number: int) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), 12)


@pytest.fixture
async def cloud(mosquitto: Mosquitto) -> AsyncIterator[MqttCloud]:
    one = MqttCloud(mosquitto.port, GATEWAY)
    await one.start()
    yield one
    await one.stop()


def answered(cloud: MqttCloud) -> set[str]:
    return {one.command_id for one in cloud.records() if isinstance(one, Reply)}


def order(cloud: MqttCloud, name: str) -> None:
    """Order a reply, which travels as an alarm does."""
    cloud.order(Command(id=name, op="ping", expires_at=SystemClock().wall_ms() + 60_000))


async def test_read_only_card_runs_in_memory_until_the_card_is_back(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    with small_disk(tmp_path / "card", 4096) as disk:
        disk.writable(yes=False)
        daemon = Daemon(tmp_path, disk.folder, mosquitto.port)
        await daemon.start()
        await cloud.until(lambda: cloud.states, 20)
        order(cloud, "in memory")
        await cloud.until(lambda: "in memory" in answered(cloud))
        starts = len(cloud.states)
        disk.writable(yes=True)
        await asyncio.sleep(5)
        order(cloud, "on disk")
        await cloud.until(lambda: len(cloud.states) >= starts + 2, 20)  # a new start in itself
        async with asyncio.timeout(20):  # an order that comes while it starts again is not heard
            while not {"on disk", "afterwards"} <= answered(cloud):
                order(cloud, "on disk")
                order(cloud, "afterwards")
                await asyncio.sleep(1)
        status = await asyncio.to_thread(read_status, disk.folder)
        assert status is not None
        assert status["spool"]["in_memory"] is False
        assert await daemon.end(signal.SIGTERM) == 0
        assert cloud.model.conflicts == 0


async def test_alarms_of_a_full_card_outlive_a_power_cut(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    with small_disk(tmp_path / "card", 24 * 1024) as disk:
        daemon = Daemon(tmp_path, disk.folder, mosquitto.port)
        await daemon.start()
        await cloud.until(lambda: cloud.states, 20)
        disk.fill()
        cloud.deaf = True
        for number in range(20):
            order(cloud, f"order {number}")
            await cloud.until(lambda number=number: f"order {number}" in answered(cloud))  # type: ignore[misc]
            disk.fill()
        await daemon.end(signal.SIGKILL)
        cloud.deaf = False
        cloud.model.crash()
        before = {key: set(one.stored) for key, one in cloud.model.accounts.items()}
        cloud.model.accounts.clear()  # what was never acknowledged must come again
        await daemon.start()
        await cloud.until(
            lambda: all(
                key in cloud.model.accounts and seqs <= set(cloud.model.accounts[key].stored)
                for key, seqs in before.items()
                if key[1] == "alarm"
            ),
            20,
        )
        assert await daemon.end(signal.SIGTERM) == 0
