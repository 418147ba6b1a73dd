"""A process that does nothing but deliver the feed, by the service's own parts; it gets killed.

Run as `python -m tests.support.delivery_process FOLDER BROKER_PORT SEED`. Names are looked up by a
resolver of our own: it fails as often as the file `dns_faults` in the folder says.
"""

import asyncio
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cloud.alarms.desk import AlarmDesk
from cloud.ingest.subscriber import BrokerAddress
from cloud.outbound.caller import Caller
from cloud.outbound.policy import read_policy
from cloud.roles import receivers
from cloud.roles.common import Common
from cloud.settings import OutboundSettings, load_settings
from protocols.clock import SystemClock

HOST = "hook.test"
LOOPBACK = "127.0.0.1"


def flaky_caller(folder: Path, rng: random.Random) -> Callable[[OutboundSettings], Caller]:
    """Return what stands in for `open_caller`: a name that leads to loopback, or nowhere."""
    file = folder / "dns_faults"

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        left = int(file.read_text() or "0") if file.exists() else 0
        if left > 0 and rng.random() < 0.3:
            file.write_text(str(left - 1))
            raise OSError("no such name")
        return [LOOPBACK]

    def opened(settings: OutboundSettings) -> Caller:
        policy = read_policy(settings.ports, settings.allowed)
        size = settings.answer_bytes_max
        return Caller(policy, timeout_s=settings.timeout_s, answer_bytes_max=size, resolve=resolve)

    return opened


async def deliver(folder: Path, broker_port: int, seed: int) -> None:
    """Deliver until killed."""
    vars(receivers)["open_caller"] = flaky_caller(folder, random.Random(seed))
    common = Common(
        data=folder,
        settings=load_settings(folder / "cloud.toml"),
        name="deliver",
        admin_token="t",
        clock=SystemClock(),
    )
    common.broker = BrokerAddress(host=LOOPBACK, port=broker_port)
    desk = AlarmDesk(
        database=common.state_db,
        clock=common.clock,
        append_feed=common.feed.append,
        on_commit=common.feed.committed,
    )
    await common.load()
    cap = receivers.open_cap(common)
    async with asyncio.TaskGroup() as group:
        group.create_task(cap.run(common.feed))
        group.create_task(receivers.open_couriers(common, desk, cap).run())


if __name__ == "__main__":
    asyncio.run(deliver(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
