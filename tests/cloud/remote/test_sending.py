"""From the order to the broker, and from the log to the answer: each durable, each once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from cloud.log.store import LogStore
from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.follower import LogFollower
from cloud.remote import outcomes
from cloud.remote.book import RemoteBook
from cloud.remote.outbox import Outbox
from cloud.remote.releases import Releases
from protocols.clock import ManualClock
from protocols.messages import Command
from protocols.records import Reply
from protocols.topics import of
from tests.support.log_groups import batch

SITE = 'schema = 1\ngateway_id = "gw-1"\n[uplink]\nbroker = "mqtt://x"\n'


class Stage:
    """A book with an outbox whose broker is a list."""

    def __init__(self, url: str, folder: Path) -> None:
        self.clock = ManualClock()
        self.database = Database(url, name="state")
        migrate(self.database.engine, "state")
        self.book = RemoteBook(
            self.database,
            self.clock,
            sign=lambda _: [(b"k" * 32, b"s" * 64)],
            releases=Releases(folder),
        )
        self.sent: list[tuple[str, bytes, bool]] = []
        self.up, self.online = True, {"gw-1"}
        self.outbox = Outbox(
            self.database,
            self.clock,
            publish=self._publish,
            owns=lambda gateway: gateway != "gw-elsewhere",
            online=lambda gateway: gateway in self.online,
        )

    def _publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        if self.up:
            self.sent.append((topic, payload, retain))
        return self.up

    async def order(self, gateway: str = "gw-1", op: str = "ping") -> str:
        entry = await self.book.command(gateway, op=op, args={}, expires_in_s=60, by="me")
        return entry.id

    async def push(self) -> int:
        pushed = await self.book.push("gw-1", site=SITE, overlay={}, not_after=None, by="me")
        return pushed.version


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(database_url, tmp_path)
    yield stage
    stage.database.close()


async def test_commands_are_sent_once_to_who_is_online_and_ours(stage: Stage) -> None:
    wanted = await stage.order()
    for gateway in ("gw-offline", "gw-elsewhere"):
        await stage.order(gateway)
    stage.up = False
    await stage.outbox.send()
    stage.up = True
    for _ in range(3):
        await stage.outbox.send()
    ((topic, payload, retain),) = stage.sent
    assert (topic, retain) == (of("gw-1", "down/command"), False)
    command = msgspec.json.decode(payload, type=Command)
    assert (command.id, command.op) == (wanted, "ping")
    stage.online.add("gw-offline")
    await stage.outbox.send()
    assert len(stage.sent) == 2
    stage.clock.advance(61_000)
    stage.online.add("gw-late")
    found = await stage.book.commands("gw-elsewhere", 5)
    assert [one.state for one in found] == ["expired"]


async def test_a_command_that_waited_too_long_is_not_sent(stage: Stage) -> None:
    stage.online.clear()
    await stage.order()
    stage.clock.advance(61_000)
    stage.online.add("gw-1")
    await stage.outbox.send()
    assert stage.sent == []
    assert [one.state for one in await stage.book.commands("gw-1", 5)] == ["expired"]


async def test_only_the_newest_configuration_is_retained_and_again_at_a_new_broker(
    stage: Stage,
) -> None:
    await stage.push()
    second = await stage.push()
    await stage.outbox.send()
    await stage.outbox.send()
    assert [(topic, retain) for topic, _, retain in stage.sent] == [
        (of("gw-1", "down/config"), True)
    ]
    states = [(one.version, one.state) for one in await stage.book.pushes("gw-1", 5)]
    assert states == [(second, "sent"), (1, "replaced")]
    stage.outbox.broker_is_new()
    await stage.outbox.send()
    assert len(stage.sent) == 2


async def test_replies_in_the_log_answer_each_once(stage: Stage, tmp_path: Path) -> None:
    command = await stage.order()
    version = await stage.push()
    log_database = Database(f"sqlite:///{tmp_path / 'log.db'}", name="log")
    migrate(log_database.engine, "log")
    log = LogStore(log_database)
    replies = [
        Reply(at=1, command_id=command, ok=True, result={"a": 1}),
        Reply(at=1, command_id="nobody-asked", ok=True),
        Reply(at=1, command_id=f"config:{version}", ok=True, result={"state": "applied"}),
    ]
    one = msgspec.structs.replace(batch(*replies, stream="alarm"), gateway="gw-1")

    def append(seq: int) -> None:
        again = msgspec.structs.replace(one, seq=seq)
        log.committed(
            log_database.write_now(lambda c: log.append(c, [("all/alarm", [again], [])], 5))
        )

    append(1)
    for _ in range(2):  # a second time from the cursor
        consumer = LogFollower(
            name=outcomes.NAME,
            log=log,
            database=stage.database,
            mark=outcomes.MARK,
            keep=outcomes.take_replies,
            streams=("alarm",),
        )
        await consumer.start()
        task = asyncio.create_task(consumer.run())
        async with asyncio.timeout(5):
            while consumer.positions().get("all/alarm", 0) < log.heads()["all/alarm"]:
                consumer.wake()
                await asyncio.sleep(0.01)
        task.cancel()
        append(2)
    found = await stage.book.find_command("gw-1", command)
    assert found is not None
    assert (found.state, found.result) == ("done", {"a": 1})
    assert [push.state for push in await stage.book.pushes("gw-1", 5)] == ["applied"]
    log_database.close()
