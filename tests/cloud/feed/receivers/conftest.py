"""A receiver, its courier, and a feed to write into."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from cloud.feed.items import Place, places_of
from cloud.feed.receivers import rows
from cloud.feed.receivers.base import Destination, OpenThing
from cloud.feed.receivers.book import ReceiverBook
from cloud.feed.receivers.courier import Courier
from cloud.feed.receivers.terms import load_terms
from cloud.model.database import Database
from cloud.model.granting import grant
from cloud.model.principal import EVERYTHING, Granted, Scope
from cloud.model.receiver import FeedFilter, Receiver, ReceiverBody, ReceiverMade
from cloud.model.transition import Transition
from protocols.clock import ManualClock
from tests.support.feed_items import FeedWriter
from tests.support.firms import ROOT
from tests.support.receivers import FakeSender, any_host
from tests.support.state_database import open_state
from tests.support.trace_world import OpenSeal, check_address

WEBHOOK = ReceiverBody(name="r", kind="webhook", address="https://p.example.com/hook")


class Stage:
    """All of it, on a clock that moves by hand."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, ManualClock()
        self.write = FeedWriter(database, self.clock)
        self.feed, self.terms = self.write.feed, load_terms()
        self.scope: Scope = EVERYTHING
        self.raised: list[Transition] = []
        self.senders: list[FakeSender] = []
        self.prepare: Callable[[FakeSender], None] = lambda _sender: None
        self.granted: Granted = grant(ROOT, "receivers.write")
        self.book = ReceiverBook(
            database,
            self.clock,
            check_url=check_address,
            check_host=any_host,
            seal=OpenSeal(),
            mail=True,
            make_sender=self.make_sender,
            apply=self.apply,
            on_commit=lambda: None,
        )

    @property
    def sender(self) -> FakeSender:
        """The newest."""
        return self.senders[-1]

    def apply(self, _connection: Connection, transitions: Sequence[Transition]) -> None:
        self.raised += transitions

    def make_sender(
        self, to: Destination, opens: Callable[[], Mapping[str, OpenThing]]
    ) -> FakeSender:
        self.senders.append(FakeSender(to, opens))
        self.prepare(self.sender)
        return self.sender

    async def add(self, body: ReceiverBody = WEBHOOK, **fields: Any) -> ReceiverMade:
        return await self.book.add(self.granted, msgspec.structs.replace(body, **fields))

    async def wants(self, **wanted: Any) -> Receiver:
        return (await self.add(filter=FeedFilter(**wanted))).receiver

    async def courier(self, receiver_id: int = 1) -> Courier:
        standing = await self.database.read(lambda c: rows.load(c, receiver_id))
        assert standing is not None
        await self.feed.load()
        return Courier(
            standing,
            feed=self.feed,
            find=self.find,
            scope=lambda: self.scope,
            make_sender=self.make_sender,
            seal=OpenSeal(),
            terms=self.terms,
            clock=self.clock,
            rng=random.Random(1),
        )

    async def find(self, assets: Sequence[str], scope: Scope) -> dict[str, Place]:
        return await self.database.read(lambda c: places_of(c, assets, scope))

    async def serve(self, courier: Courier) -> float | None:
        """Let it do all that can be done now; return how long it then waits."""
        for _ in range(10_000):
            wait_s = await courier.step()
            if wait_s != 0 or courier.stopped:
                break
        await self.flush(courier)
        return wait_s

    async def flush(self, courier: Courier) -> None:
        progress = courier.progress()
        if progress is not None:
            await self.database.write(lambda c: rows.write_progress(c, [progress]))

    async def shown(self, receiver_id: int = 1) -> Receiver:
        return await self.book.get(self.granted, receiver_id)

    def of(self, receiver_id: int) -> FakeSender:
        """Return the newest sender of a receiver."""
        return [one for one in self.senders if one.to.receiver.id == receiver_id][-1]

    def offsets(self) -> list[int]:
        """What the newest sender took, in its order."""
        return [item.offset for items in self.sender.sent for item in items]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite: what is done to rows is done on PostgreSQL once more in test_postgresql.py."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    database = open_state(database_url)
    yield Stage(database)
    database.close()
