"""An ingester over a real database, without a broker."""

import asyncio
from collections.abc import AsyncIterator, Collection

import msgspec
import pytest
from sqlalchemy import Connection, select

from cloud.ingest.ingester import Ingester
from cloud.log.store import LogStore, insert_dead_letters
from cloud.migrations import migrate
from cloud.model import ownership, tables
from cloud.model.database import Database
from cloud.model.ledger import SpoolLedger
from cloud.model.logged import LogGroup, PlacedReadings
from cloud.model.shards import ShardMap
from protocols.clock import ManualClock
from protocols.messages import Ack
from protocols.records import Status
from protocols.topics import of

GATEWAY = "gw-1"


class Rig:
    """An ingester that can be stopped and opened again on the same database."""

    def __init__(self, url: str, groups: int = 1) -> None:
        self.url = url
        self.clock = ManualClock()
        self.acks: list[tuple[str, Ack]] = []
        self.statuses: list[Status] = []
        self.boot_id: str | None = None
        self.refuse: dict[str, str] = {}
        self.shards = ShardMap(groups)
        self.let_go: list[Collection[str]] = []
        self.databases: list[Database] = []
        self.open()

    def open(self) -> None:
        """Build everything anew, as a start of the process does."""
        self.database = Database(self.url, name="log")
        self.databases.append(self.database)
        migrate(self.database.engine, "log")
        self.log = LogStore(self.database)
        self.ingester = Ingester(
            database=self.database,
            log=self.log,
            keep_dead=insert_dead_letters,
            clock=self.clock,
            admit=lambda asset, _gateway, _at: self.refuse.get(asset),
            boot_of=lambda _gateway: self.boot_id,
            on_status=lambda _gateway, status: self.statuses.append(status),
            on_committed=lambda: None,
            send_ack=lambda gateway, ack: self.acks.append((gateway, ack)),
            shards=self.shards,
            on_let_go=self.let_go.append,
        )

    def close(self) -> None:
        """Close everything that was opened."""
        for database in self.databases:
            database.close()

    async def own(self) -> None:
        """Own everything, as a keeper sees to at the start."""

        def claim(connection: Connection) -> dict[str, int]:
            ownership.ensure(connection, self.shards.groups)
            epochs = {}
            for row in ownership.read_all(connection):
                epoch = ownership.claim(connection, row, "test")
                assert epoch is not None
                epochs[row.name] = epoch
            return epochs

        for group, epoch in self.database.write_now(claim).items():
            await self.ingester.own(group, epoch)

    async def settle(self) -> None:
        """Commit all that is pending."""
        task = asyncio.create_task(self.ingester.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def send(self, payload: bytes, *, stream: str = "data", gateway: str = GATEWAY) -> None:
        """Hand one message in and commit."""
        self.ingester.accept(of(gateway, f"up/{stream}"), payload)
        await self.settle()

    def stored(self, stream: str = "data") -> list[PlacedReadings]:
        """Read all readings of a stream back from the log."""
        groups = self.log.read(f"all/{stream}", 0, 10_000)
        return [one for group in groups for batch in group.batches for one in batch.readings()]

    def logged(self) -> list[LogGroup]:
        """Read all groups of all partitions back from the log."""
        heads = self.log.heads()
        return [group for name in sorted(heads) for group in self.log.read(name, 0, 10_000)]

    def ledger(self, gateway: str = GATEWAY) -> dict[tuple[str, str], SpoolLedger]:
        """Return the ledger by (spool, stream)."""
        return {(one.spool, one.stream): one for one in self.ingester.ledger(gateway)}

    def dead(self) -> list[tuple[str, int | None]]:
        """Return (reason, record index) of all dead letters."""
        columns = (tables.dead_letter.c.reason, tables.dead_letter.c.record_index)
        with self.database.engine.connect() as connection:
            return [(row[0], row[1]) for row in connection.execute(select(*columns))]

    def last_ack(self) -> Ack:
        """Return the newest ack, as it goes over the wire."""
        return msgspec.json.decode(msgspec.json.encode(self.acks[-1][1]), type=Ack)


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    one = Rig(database_url)
    await one.own()
    yield one
    one.close()
