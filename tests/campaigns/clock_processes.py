"""Real daemons under faketime, over TLS, with a clock that is right, wrong, or in 1970."""

import asyncio
import os
import pwd
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge.status import read_status
from protocols.clock import SystemClock
from protocols.envelope import Envelope
from protocols.messages import Command
from protocols.records import Reply, Status
from tests.support.certificates import issue, make_authority
from tests.support.model_cloud import ModelCloud
from tests.support.mosquitto import MOSQUITTO, free_port, wait_for_port
from tests.support.mqtt_cloud import MqttCloud
from tests.support.stack import ROOT

CLOCKS = {
    "1970": "@1970-01-01 00:01:00",
    "two years slow": "@2025-12-01 00:00:00",
    "an hour slow": "-1h",
    "two hours fast": "+2h",
    "in 2060": "@2060-01-01 00:00:00",
    "drifting": "+0 x1.0002",
    "before the build": "@2020-02-29 12:00:00",
}
TOLERANCE_MS = 4_000
AT_ONCE = 4
PINGS = 4


class TwoDoors:
    """mosquitto with a door for gateways, by certificate, and one for the model cloud."""

    def __init__(self, folder: Path, gateways: list[str]) -> None:
        self.folder, self.port, self.inner_port = folder, free_port(), free_port()
        folder.mkdir(parents=True)
        make_authority(folder)
        for name in ("server", *gateways):
            issue(folder, name)
        user = pwd.getpwuid(os.getuid()).pw_name
        (folder / "mosquitto.conf").write_text(
            f"per_listener_settings true\nuser {user}\nset_tcp_nodelay true\n"
            f"listener {self.inner_port} 127.0.0.1\nallow_anonymous true\n"
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nrequire_certificate true\n"
            f"cafile {folder}/ca.crt\ncertfile {folder}/server.crt\nkeyfile {folder}/server.key\n"
        )
        with (folder / "mosquitto.log").open("wb") as log:
            self.process = subprocess.Popen(
                [MOSQUITTO, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        wait_for_port(self.port, self.process)

    def site(self, gateway: str) -> str:
        """Write a site file without devices."""
        return (
            f'schema = 1\ngateway_id = "{gateway}"\n[uplink]\n'
            f'broker = "mqtts://127.0.0.1:{self.port}"\nca_file = "{self.folder}/ca.crt"\n'
            f'cert_file = "{self.folder}/{gateway}.crt"\nkey_file = "{self.folder}/{gateway}.key"\n'
        )

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)


def library() -> str:
    """Find what Debian's package faketime preloads."""
    return str(next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))


class TimedCloud(ModelCloud):
    """Notes when batches came."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.came_ms: list[int] = []

    def take(self, stream: Any, payload: bytes) -> None:
        """Take one message."""
        super().take(stream, payload)
        self.came_ms.append(SystemClock().wall_ms())


def run_processes(folder: Path, count: int, seed: int) -> list[str]:
    """Run `count` daemons; return what was wrong."""
    if not count:
        return []
    names = [f"gw-{seed}-{number}" for number in range(count)]
    broker = TwoDoors(folder, names)
    try:
        return asyncio.run(_run_all(broker, names))
    finally:
        broker.stop()


async def _run_all(broker: TwoDoors, names: list[str]) -> list[str]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, name: str) -> list[str]:
        async with gate:
            about = list(CLOCKS)[number % len(CLOCKS)]
            found = await _run_one(broker, name, CLOCKS[about])
            return [f"process {name} ({about}): {fault}" for fault in found]

    found = await asyncio.gather(*(one(number, name) for number, name in enumerate(names)))
    return [fault for faults in found for fault in faults]


async def _run_one(broker: TwoDoors, name: str, clock: str) -> list[str]:
    state, site = broker.folder / f"{name}-state", broker.folder / f"{name}.toml"
    site.write_text(broker.site(name))
    cloud = MqttCloud(broker.inner_port, name, model=TimedCloud())
    await cloud.start()
    with (broker.folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge", "run"),
            *("--site", str(site), "--state", str(state)),
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={
                **os.environ,
                "LD_PRELOAD": library(),  # the program of that name keeps signals to itself
                "FAKETIME": clock,
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            },
        )
    asked = await _ask(cloud, name)
    process.send_signal(signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), 15)
    faults = _judge(cloud, asked)
    if process.returncode != 0:
        log_text = (broker.folder / f"{name}.log").read_text(errors="replace")
        faults.append(f"ended with {process.returncode}: {log_text[-500:]}")
    if process.returncode is None:
        process.kill()
    left = read_status(state)
    if left is None or left["spool"].get("batches") or left["spool"].get("losses_not_settled"):
        faults.append(f"left on the card: {left}")
    await cloud.stop()
    return faults


async def _ask(cloud: MqttCloud, name: str) -> dict[str, int]:
    """Order some replies, a second apart; return when each was ordered, by the true clock."""
    asked: dict[str, int] = {}
    with suppress(TimeoutError):
        await cloud.until(lambda: cloud.states, 30)
        for number in range(PINGS):
            order = f"{name}-{number}"
            asked[order] = SystemClock().wall_ms()
            cloud.order(Command(id=order, op="ping", expires_at=asked[order] + 3_600_000))
            await asyncio.sleep(1.2)
        await cloud.until(lambda: len(_replies(cloud)) == PINGS, 15)
        await cloud.until(lambda: any(isinstance(one, Status) for one in cloud.records()), 15)
    return asked


def _replies(cloud: MqttCloud) -> list[tuple[Envelope, Reply, int]]:
    assert isinstance(cloud.model, TimedCloud)
    came = zip(cloud.model.received, cloud.model.came_ms, strict=True)
    return [
        (envelope, record, came_ms)
        for (_, envelope), came_ms in came
        for record in envelope.records
        if isinstance(record, Reply)
    ]


def _judge(cloud: MqttCloud, asked: dict[str, int]) -> list[str]:
    faults = []
    replies = {record.command_id: (one, record, came) for one, record, came in _replies(cloud)}
    if set(replies) != set(asked) or not asked:
        faults.append(f"{len(replies)} replies to {len(asked)} commands")
    for number, (order, (envelope, record, came_ms)) in enumerate(sorted(replies.items())):
        at = record.at if envelope.clock == "synced" else came_ms - (envelope.sent_at - record.at)
        off_ms = at - asked[order]
        # until the cloud's first word any clock that can be right is believed, and until its
        # second one that is fast
        unheard = number == 0 or (number < PINGS - 1 and off_ms > 0)
        if abs(off_ms) > TOLERANCE_MS and not unheard:
            faults.append(f"reply {number} is {off_ms} ms off, clock {envelope.clock}")
    for line, account in cloud.model.accounts.items():
        if account.settled.missing(1, account.settled.top):
            faults.append(f"holes in {line}: {account.settled}")
    return faults
