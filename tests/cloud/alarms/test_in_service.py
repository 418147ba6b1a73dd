"""Deadlines inside a running service: what fell due while it was away is done once."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import msgspec
from sqlalchemy import Connection, select, update

from cloud.ingest.subscriber import BrokerAddress
from cloud.migrations import migrate
from cloud.model import tables
from cloud.model.database import Database
from cloud.service import Service
from cloud.settings import Settings
from protocols.clock import SystemClock
from tests.support.alarms import Desk
from tests.support.http_services import TOKEN
from tests.support.mosquitto import free_port


async def _prepare(state: Database) -> None:
    """Leave an emergency that nobody acknowledged, and a shelf, both long overdue."""
    desk = Desk(state)
    desk.tell("fired")
    desk.tell("fired", alert="CarDoorNotClosing", severity="warning", evidence=None)
    until_ms = desk.clock.wall_ms() + 60_000
    await desk.desk.shelve(2, until_ms=until_ms, reason="known", by="Li")
    long_ago = SystemClock().wall_ms() - 3_600_000
    state.write_now(lambda c: c.execute(update(tables.alarm).values(due_at=long_ago)))


def _told(connection: Connection) -> Counter[str]:
    rows = connection.execute(select(tables.feed.c.data)).scalars()
    return Counter(msgspec.json.decode(row).get("change", "") for row in rows)


async def test_what_fell_due_while_it_was_away_is_done_once(tmp_path: Path) -> None:
    state = Database(f"sqlite:///{tmp_path / 'state.db'}", name="state")
    migrate(state.engine, "state")
    await _prepare(state)
    stop, before = asyncio.Event(), sys.getswitchinterval()
    service = Service(
        data=tmp_path,
        http=("127.0.0.1", free_port()),
        broker=BrokerAddress(host="127.0.0.1", port=free_port()),
        settings=Settings(),
        admin_token=TOKEN,
    )
    running = asyncio.create_task(service.run(stop))
    try:
        async with asyncio.timeout(60):
            while (told := state.read_now(_told))["repeated"] + told["unshelved"] < 2:
                await asyncio.sleep(0.1)
        await asyncio.sleep(1)  # a second time would fall into it
        told = state.read_now(_told)
        assert (told["repeated"], told["unshelved"]) == (1, 1)
    finally:
        stop.set()
        await running
        sys.setswitchinterval(before)
        state.close()
