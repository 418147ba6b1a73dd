"""The daemon with a real spool and a real broker; the cloud is the model."""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.agent import Agent
from edge.batches import Draft
from edge.lock import only_one
from edge.settings import Site, SpoolSettings, Uplink
from edge.sources.base import Emit, Sample
from edge.spool.sqlite import FILE
from edge.status import read_status
from protocols.clock import Clock, SystemClock
from protocols.errors import StopService
from protocols.messages import Command
from protocols.readings import Value
from protocols.records import Gap, Readings, Reply, Status
from protocols.topics import Stream
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_cloud import MqttCloud
from tests.support.setups import setup_of

GATEWAY = "gw-test"
LIFT = "elevator:1"


class Script:
    """A source that emits what the test says."""

    name = "script"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._emit: Emit | None = None
        self.running = asyncio.Event()
        self.broken = 0

    async def run(self, emit: Emit) -> None:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("a bug")
        self._emit = emit
        self.running.set()
        await asyncio.Event().wait()

    def status(self) -> dict[str, Any]:
        return {"counters": {"polls_done": 7}}

    def say(self, stream: Stream = "data", **values: Value) -> None:
        assert self._emit is not None
        self._emit(
            Sample(asset=LIFT, at_boot_ms=self._clock.boot_ms(), stream=stream, values=dict(values))
        )


class WrongClock(SystemClock):
    """A machine that was never told the time."""

    def wall_ms(self) -> int:
        return super().boot_ms()


class Gateway:
    """A running daemon and its source."""

    def __init__(
        self,
        folder: Path,
        port: int,
        clock: Clock | None = None,
        time_known: Callable[[int], int] = int,
    ) -> None:
        self.clock = clock or SystemClock()
        self.source = Script(self.clock)
        self.stop = asyncio.Event()
        site = Site(
            schema=1,
            gateway_id=GATEWAY,
            uplink=Uplink(broker=f"mqtt://127.0.0.1:{port}"),
            spool=SpoolSettings(bytes_max=2**20),
        )
        self.agent = Agent(
            setup_of(site),
            lambda _site, _catalog: ([self.source], []),
            state_dir=folder,
            clock=self.clock,
            rng=random.Random(1),
            version="1.2",
            time_known=time_known,
        )


@asynccontextmanager
async def running(folder: Path, port: int, clock: Clock | None = None) -> AsyncIterator[Gateway]:
    """Run a daemon for the length of a block, then stop it cleanly."""
    folder.mkdir(exist_ok=True)
    gateway = Gateway(folder, port, clock)
    task = asyncio.create_task(gateway.agent.run(gateway.stop))
    await asyncio.wait_for(gateway.source.running.wait(), 5)
    try:
        yield gateway
    finally:
        gateway.stop.set()
        await asyncio.wait_for(task, 10)


@pytest.fixture
async def cloud(mosquitto: Mosquitto) -> AsyncIterator[MqttCloud]:
    one = MqttCloud(mosquitto.port, GATEWAY)
    await one.start()
    yield one
    await one.stop()


@pytest.fixture(autouse=True)
def quick_first_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.uplink.backoff.FIRST_S", 0.1)


def floors(cloud: MqttCloud) -> list[Value]:
    return [
        value
        for record in cloud.records()
        if isinstance(record, Readings)
        for value in record.values.get("car_position", [])
    ]


async def test_readings_arrive_and_are_deleted_when_settled(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    async with running(tmp_path / "edge", mosquitto.port) as gateway:
        gateway.source.say(car_position=3, speed=1.5)
        gateway.source.say(car_position=4, speed=1.5)
        await cloud.until(lambda: floors(cloud) == [3, 4])
        (record,) = [one for one in cloud.records() if isinstance(one, Readings)]
        assert abs(record.at[1] - SystemClock().wall_ms()) < 5_000
        assert cloud.model.received[0][1].clock == "synced"
    with sqlite3.connect(tmp_path / "edge" / FILE) as connection:
        assert connection.execute("SELECT count(*) FROM batch").fetchone() == (0,)
    connection.close()


async def test_urgent_change_does_not_wait_for_the_group(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    async with running(tmp_path / "edge", mosquitto.port) as gateway:
        await cloud.until(lambda: cloud.states)
        gateway.source.say(car_position=1)
        began = asyncio.get_running_loop().time()
        gateway.source.say("alarm", message_code=["90"])
        await cloud.until(lambda: cloud.model.received)
        assert asyncio.get_running_loop().time() - began < 0.5
        assert [stream for stream, _ in cloud.model.received] == ["alarm"]
        await cloud.until(lambda: len(cloud.model.received) == 2)


async def test_state_online_then_offline_at_a_clean_stop(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    async with running(tmp_path / "edge", mosquitto.port):
        await cloud.until(lambda: cloud.states)
    await cloud.until(lambda: len(cloud.states) == 2)
    on, off = cloud.states
    assert (on.online, on.version, on.site_sha256) == (True, "1.2", "ab")
    assert (off.online, off.boot_id) == (False, on.boot_id)


async def test_broker_away_alarm_first_then_newest(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    await cloud.stop()
    mosquitto.kill()
    async with running(tmp_path / "edge", mosquitto.port) as gateway:
        for floor in range(5):
            gateway.source.say(car_position=floor)
            await gateway.agent._writer.flush()
        gateway.source.say("alarm", message_code=["90"])
        await gateway.agent._writer.flush()
        mosquitto.start()
        await cloud.start()
        await cloud.until(lambda: len(floors(cloud)) == 5)
        assert cloud.model.received[0][0] == "alarm"
        assert floors(cloud) == [4, 3, 2, 1, 0]


async def test_kill_keeps_batches_and_their_keys(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    cloud.deaf = True
    folder, copy = tmp_path / "edge", tmp_path / "copy"
    async with running(folder, mosquitto.port) as gateway:
        gateway.source.say(car_position=3)
        await cloud.until(lambda: floors(cloud) == [3])
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.sock"))
        first = cloud.model.received[0][1]
    async with running(copy, mosquitto.port):  # deaf: its greeting would settle the batch unsent
        await cloud.until(lambda: len(cloud.model.received) >= 2)
    again = cloud.model.received[1][1]
    assert (again.spool, again.seq, again.crc) == (first.spool, first.seq, first.crc)
    assert cloud.model.conflicts == 0


async def test_card_deleted_its_tail_is_declared_unknown(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    async with running(tmp_path / "edge", mosquitto.port) as gateway:
        gateway.source.say(car_position=3)
        await cloud.until(lambda: floors(cloud) == [3])
        spool = cloud.model.received[0][1].spool
    shutil.rmtree(tmp_path / "edge")
    async with running(tmp_path / "edge", mosquitto.port):
        await cloud.until(lambda: cloud.model.accounts[spool, "data"].unknown_tail)
    async with running(tmp_path / "edge", mosquitto.port) as gateway:  # told once
        gateway.source.say(car_position=4)
        await cloud.until(lambda: 4 in floors(cloud))
    gaps = [record for record in cloud.records() if isinstance(record, Gap)]
    assert [(gap.from_seq, gap.to_seq, gap.reason) for gap in gaps] == [(2, None, "card_replaced")]


async def test_card_put_back_its_holes_are_declared(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    folder, copy = tmp_path / "edge", tmp_path / "copy"
    async with running(folder, mosquitto.port) as gateway:
        gateway.source.say(car_position=1)
        await cloud.until(lambda: floors(cloud) == [1])
        await gateway.agent._writer.flush()
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.sock"))
        for floor in (2, 3):
            gateway.source.say(car_position=floor)
            await cloud.until(lambda floor=floor: floor in floors(cloud))  # type: ignore[misc]
        spool = cloud.model.received[0][1].spool
    async with running(copy, mosquitto.port):
        await cloud.until(lambda: cloud.model.accounts[spool, "data"].unknown_tail)
    assert cloud.model.accounts[spool, "data"].lost.count() == 0
    assert cloud.model.conflicts == 0


async def test_cloud_put_back_its_loss_is_declared(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    async with running(tmp_path / "edge", mosquitto.port) as gateway:
        gateway.source.say(car_position=1)
        await cloud.until(lambda: floors(cloud) == [1])
        backup = cloud.model.backup()
        gateway.source.say(car_position=2)
        await cloud.until(lambda: 2 in floors(cloud))
        gateway.source.say(car_position=3)  # with its commit 2 is deleted
        await cloud.until(lambda: 3 in floors(cloud))
        cloud.model.put_back(backup)
        cloud.send(cloud.model.greet())
        spool = cloud.model.received[0][1].spool
        account = cloud.model.accounts[spool, "data"]
        await cloud.until(lambda: account.lost.count() == 1)
        assert list(account.lost) == [(2, 2)]
        await cloud.until(lambda: account.settled.through == 3)  # 3 was still on the card


async def test_gateway_without_a_clock_is_placed_by_the_first_ack(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    async with running(tmp_path / "edge", mosquitto.port, WrongClock()) as gateway:
        gateway.source.say("alarm", message_code=["90"])
        await cloud.until(lambda: cloud.model.received)
        _, first = cloud.model.received[0]
        assert first.clock == "free"
        (record,) = [one for one in first.records if isinstance(one, Readings)]
        assert 0 <= first.sent_at - record.at[0] < 2_000
        async with asyncio.timeout(5):
            while gateway.agent.status()["clock"]["state"] != "synced":
                await asyncio.sleep(0.01)
        gateway.source.say("alarm", message_code=[])
        await cloud.until(lambda: len(cloud.model.received) > 1)
        _, second = cloud.model.received[-1]
        assert second.clock == "synced"
        assert abs(second.sent_at - SystemClock().wall_ms()) < 2_000
    async with running(tmp_path / "edge", mosquitto.port, WrongClock()) as gateway:
        assert gateway.agent._spool.known_time_ms() > 1_700_000_000_000


def test_what_a_person_found_wrong_does_not_keep_a_clock_from_being_trusted(
    tmp_path: Path,
) -> None:
    now_ms = SystemClock().wall_ms()
    written: list[int] = []

    def known(spool_ms: int) -> int:
        written.append(spool_ms)
        return now_ms

    first = Gateway(tmp_path, port=1)
    ahead = Draft(
        stream="data",
        clock="synced",
        boot_id="boot-1",
        created_ms=5,
        from_at=now_ms + 86_400_000,
        to_at=now_ms + 86_400_000,
        records=1,
        records_raw=b"[]",
    )
    first.agent._spool.append([ahead])
    assert first.agent.time()[0] == "synced", "of this start"
    first.agent._spool.close()
    for time_known, clock in ((int, "free"), (known, "synced")):
        again = Gateway(tmp_path, port=1, time_known=time_known)
        assert again.agent.time()[0] == clock
        again.agent._spool.close()
    assert written == [ahead.to_at]


async def test_commands_are_answered_once(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    later = SystemClock().wall_ms() + 60_000
    async with running(tmp_path / "edge", mosquitto.port):
        await cloud.until(lambda: cloud.states)
        for command in (
            Command(id="a", op="ping", expires_at=later),
            Command(id="a", op="ping", expires_at=later),
            Command(id="b", op="open_doors", expires_at=later),
            Command(id="c", op="ping", expires_at=5),
            b"no command",
            Command(id="", op="ping", expires_at=later),
            Command(id="d", op="ping", expires_at=later),
        ):
            cloud.order(command)

        def replies() -> list[Reply]:
            return [record for record in cloud.records() if isinstance(record, Reply)]

        await cloud.until(lambda: len(replies()) == 4)
    assert [(one.command_id, one.ok) for one in replies()] == [
        ("a", True),
        ("b", False),
        ("c", False),
        ("d", True),
    ]
    assert [one.result["reason"] for one in replies()[1:3]] == ["unknown_op", "expired"]


async def test_status_by_socket_record_and_spool_file(
    tmp_path: Path,
    mosquitto: Mosquitto,
    cloud: MqttCloud,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.agent.STATUS_FIRST_S", 0.05)
    folder = tmp_path / ("a-deep-folder-" * 8)
    async with running(folder, mosquitto.port) as gateway:
        gateway.source.say("alarm", message_code=[])
        await cloud.until(lambda: any(isinstance(one, Status) for one in cloud.records()))
        found = await asyncio.to_thread(read_status, folder)
        assert found is not None
        assert found["running"] is True
        assert found["link"]["up"] is True
        assert found["sources"]["script"]["counters"] == {"polls_done": 7}
        (record,) = [one for one in cloud.records() if isinstance(one, Status)]
        assert record.counters["polls_done"] == 7
        assert record.counters["samples"] == 1
    found = read_status(folder)
    assert found is not None
    assert found["running"] is False
    assert {line["last_seq"] for line in found["spool"]["lines"]} == {1}
    assert read_status(tmp_path / "elsewhere-that-is-not" / "..") is None


async def test_source_that_breaks_is_started_again(
    tmp_path: Path,
    mosquitto: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("edge.running.RESTART_FIRST_S", 0.01)
    (tmp_path / "edge").mkdir()
    gateway = Gateway(tmp_path / "edge", mosquitto.port)
    gateway.source.broken = 3
    task = asyncio.create_task(gateway.agent.run(gateway.stop))
    await asyncio.wait_for(gateway.source.running.wait(), 5)
    assert gateway.agent.counters()["source_failures"] == 3
    gateway.stop.set()
    await asyncio.wait_for(task, 10)
    assert "a bug" in caplog.text


async def test_disk_that_takes_nothing_spools_in_memory(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    folder = tmp_path / "edge"
    folder.mkdir()
    (folder / FILE).symlink_to(tmp_path / "nowhere" / FILE)  # no file can be opened there
    async with running(folder, mosquitto.port) as gateway:
        gateway.source.say(car_position=3)
        await cloud.until(lambda: floors(cloud) == [3])
        assert gateway.agent.status()["spool"]["in_memory"] is True


def test_second_daemon_on_a_folder_is_refused(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(StopService, match="another"), only_one(tmp_path):
        pass


SITE = """\
schema = 1
gateway_id = "{gateway}"
[uplink]
broker = "mqtt://127.0.0.1:{port}"
"""


def _edge(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )


async def test_process_runs_until_sigterm_and_salvages_what_it_finds(
    tmp_path: Path, mosquitto: Mosquitto, cloud: MqttCloud
) -> None:
    site, state = tmp_path / "site.toml", tmp_path / "state"
    site.write_text(SITE.format(gateway=GATEWAY, port=mosquitto.port))
    state.mkdir()
    (state / FILE).write_bytes(os.urandom(20_000))
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge", "run"),
            *("--site", str(site), "--state", str(state)),
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[2],
        )
    try:
        await cloud.until(lambda: cloud.states, 20)
        answer = await asyncio.to_thread(_edge, "status", "--state", state)
        assert msgspec.json.decode(answer.stdout, type=dict[str, Any])["running"] is True
        second = await asyncio.to_thread(_edge, "run", "--site", site, "--state", state)
        assert (second.returncode, "another" in second.stderr) == (1, True)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0, (tmp_path / "log").read_text()
        await cloud.until(lambda: not cloud.states[-1].online)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (state / "damaged" / "1" / FILE).exists()


def test_faults_of_the_site_file_stop_run_with_one_line_each(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('schema = 1\ngateway_id = "NO"\nbuss = 1\n[uplink]\nbroker = "http://x"\n')
    answer = _edge("run", "--site", site, "--state", tmp_path / "state")
    assert answer.returncode == 2
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 3
    assert all(line.startswith(str(site)) and "expected" in line for line in lines)
    answer = _edge("check", "--site", site)
    assert answer.returncode == 2
    answer = _edge("status", "--state", tmp_path / "nothing")
    assert answer.returncode == 1


async def test_a_record_is_on_the_disk_when_a_commit_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, 1) as gateway:
        assert await gateway.agent.commit("data", 5, lambda at: Status(at=at, uptime_s=7.0))
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in (FILE, f"{FILE}-wal"):  # as a power cut leaves them
            shutil.copy(tmp_path / name, copy / name)
        with sqlite3.connect(copy / FILE) as spool:
            assert spool.execute("SELECT count(*) FROM batch").fetchone()[0] == 1
        large = "x" * 300_000
        assert not await gateway.agent.commit(
            "data", 5, lambda at: Reply(at=at, command_id="c", ok=True, result=large)
        )
