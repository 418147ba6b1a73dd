"""From the inbox to the log, as a gateway's batches: once, whatever fails on the way."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from cloud.model.platform_tables import lift_platform_inbox
from cloud.platforms.inbox import AGAIN_MS, PlatformInbox
from protocols.messages import Ack
from tests.cloud.ingest.conftest import Rig
from tests.support.http_services import World
from tests.support.platforms import BASE, message, register, status, token_of

GATEWAY = "platform-acme"


class Way:
    """An inbox with items, an ingester, and what is between them."""

    def __init__(self, world: World, rig: Rig) -> None:
        self.world, self.rig, self.owned, self.acks_lost = world, rig, True, False
        self.open()

    def open(self) -> None:
        """Build inbox and ingester anew, as a start of the process does."""
        self.inbox = PlatformInbox(
            self.world.database,
            self.rig.clock,
            owns=lambda gateway: self.owned and gateway == GATEWAY,
            accept=self.rig.ingester.accept,
        )

    async def turn(self) -> int:
        """Hand over, commit, and take the acks back; returns how many were handed over."""
        count = await self.inbox.drain()
        await self.rig.settle()
        acks: list[tuple[str, Ack]] = [] if self.acks_lost else self.rig.acks[:]
        self.rig.acks.clear()
        for gateway, ack in acks:
            assert self.inbox.settled(gateway, ack)
        return count

    def waiting(self) -> int:
        """Return how many envelopes are in the inbox."""
        query = select(func.count()).select_from(lift_platform_inbox)
        return int(self.world.database.read_now(lambda c: c.execute(query).scalar_one()))

    def stored(self) -> list[int]:
        """Return the seconds of all readings in the log, in its order, alarms first."""
        found = [*self.rig.stored("alarm"), *self.rig.stored("data")]
        return [(one.at[0] - self.world.clock.wall_ms()) // 1000 for one in found]


@pytest.fixture
async def way(
    world: World, client: httpx.AsyncClient, nobody: httpx.AsyncClient, tmp_path: Path
) -> AsyncIterator[Way]:
    rig = Rig(f"sqlite:///{tmp_path / 'log.db'}")
    await rig.own()
    headers = await token_of(nobody, await register(client))
    now_ms = world.clock.wall_ms()
    for kind, item in (
        ("status", status(now_ms - 3000)),
        ("status", status(now_ms - 2000)),
        ("messages", message(now_ms - 1000, "90")),
    ):
        body = {"items": [item]}
        answer = await nobody.post(f"{BASE}/acme/{kind}", json=body, headers=headers)
        assert answer.json()["taken"] == 1
    yield Way(world, rig)
    rig.close()


async def test_what_waits_goes_to_the_log_alarms_first_and_is_gone(way: Way) -> None:
    assert await way.turn() == 3
    assert await way.turn() == 0
    assert way.waiting() == 0
    assert way.stored() == [-1, -3, -2]
    assert {one.gateway for one in way.rig.stored("alarm")} == {GATEWAY}


async def test_shard_of_another_process_is_left_alone(way: Way) -> None:
    way.owned = False
    assert await way.turn() == 0
    assert way.waiting() == 3


async def test_ack_that_is_lost_costs_a_duplicate(way: Way) -> None:
    way.acks_lost = True
    assert await way.turn() == 3
    assert await way.turn() == 0  # it is under way, as far as the inbox knows
    way.acks_lost = False
    way.rig.clock.advance(AGAIN_MS)
    assert await way.turn() == 3
    await way.turn()
    assert way.waiting() == 0
    assert way.stored() == [-1, -3, -2]
    assert sum(one.duplicates for one in way.rig.ledger(GATEWAY).values()) == 3


@pytest.mark.parametrize("committed", [True, False])
async def test_process_that_is_killed_on_the_way_loses_and_doubles_nothing(
    way: Way, *, committed: bool
) -> None:
    await way.inbox.drain()
    if committed:
        await way.rig.settle()
    way.rig.acks.clear()
    way.rig.open()
    await way.rig.own()
    way.open()
    assert await way.turn() == 3
    await way.turn()
    assert way.waiting() == 0
    assert way.stored() == [-1, -3, -2]


async def test_ack_of_a_gateway_is_none_of_the_inbox(way: Way) -> None:
    ack = Ack(spool="0" * 32, stream="data", through=9, time=0, backlog_bytes_s=0)
    assert not way.inbox.settled("gw-1", ack)
