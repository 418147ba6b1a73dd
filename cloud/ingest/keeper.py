"""Keeps an ingester's shard groups: takes them, shows that it lives, notices when they are gone.

A group that another ingester serves is taken over without a pause: it is heard first, what comes is
held back for a moment, then the epoch is raised, and what was held back is dealt with. Whatever the
other one had not committed by then was heard here too, or is sent again by its gateway.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from cloud.ingest.ingester import Ingester
from cloud.ingest.share import to_claim
from cloud.ingest.subscriber import Subscriber
from cloud.model import ownership
from cloud.model.database import Database
from cloud.model.ownership import Holding, Watch
from cloud.model.shards import ShardMap
from protocols.errors import RefuseInput, RetryLater, StopService
from protocols.topics import parse

logger = logging.getLogger("suyuan.cloud.ingest")

POLL_S = 1.0
LEASE_S = 5.0
"""An ingester that gave no sign of life for so long is replaced by the others."""
HEARD_LOOK_S, HEARD_LOOKS_MAX = 0.02, 250
OVERLAP_S = 0.5
"""How long both hear a group before its owner changes: more than two commit groups."""
HELD_BACK_BYTES_MAX = 16 * 1024 * 1024
"""Of one group that is being taken over; what comes beyond it is sent again by its gateways."""


class _HeldBack:
    """Messages of a group that is being taken over."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._bytes = 0

    def add(self, topic: str, payload: bytes) -> None:
        if self._bytes + len(payload) <= HELD_BACK_BYTES_MAX:
            self._bytes += len(payload)
            self.messages.append((topic, payload))


class ShardKeeper:
    """Decides what this ingester owns; everything on the event loop."""

    def __init__(
        self,
        *,
        database: Database,
        shards: ShardMap,
        name: str,
        ingester: Ingester,
        subscriber: Subscriber,
        deliver: Callable[[str, bytes], None],
        on_owned: Callable[[str], Awaitable[None]],
        on_let_go: Callable[[Collection[str]], None],
    ) -> None:
        """Make a keeper; `run` starts it.

        Args:
            database: of the log.
            shards: all groups.
            name: of this ingester; no other may have the same.
            ingester: settles what is owned.
            subscriber: hears what is owned.
            deliver: takes a message (topic, payload) of a group that is owned.
            on_owned: called when a group was taken over, before its first message.
            on_let_go: called with the names of groups that are owned no longer.

        """
        self._database, self._shards, self._name = database, shards, name
        self._ingester, self._subscriber = ingester, subscriber
        self._deliver, self._on_owned, self._on_let_go = deliver, on_owned, on_let_go
        self._watch = Watch(LEASE_S)
        self._held_back: dict[str | None, _HeldBack] = {}
        self._lost: set[str] = set()
        self.settled = False
        """True once it is known what there is to own."""

    def take(self, topic: str, payload: bytes) -> None:
        """Take a message as it came: deliver it, hold it back, or leave it to others."""
        try:
            group = self._shards.of_shard(parse(topic).shard)
        except RefuseInput:
            group = None
        if group in self._held_back:
            self._held_back[group].add(topic, payload)
        elif group is None or group in self._ingester.owned():
            self._deliver(topic, payload)

    async def start(self) -> None:
        """Make the rows of all groups and take what is to be had at once.

        Raises:
            StopService: another ingester has this one's name.

        """
        await self._database.write(lambda c: ownership.ensure(c, self._shards.groups))
        await self._step()

    async def run(self) -> None:
        """Look after the groups until cancelled.

        Raises:
            StopService: another ingester has this one's name.

        """
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self._step()
            except (RetryLater, DBAPIError) as error:
                logger.warning("who owns what cannot be told for now: %s", error)

    async def stop(self) -> None:
        """Give everything up, once the last commit is done."""
        held = dict(self._ingester.owned())
        await self._database.write(lambda c: ownership.release(c, held))

    def part_with(self, groups: Collection[str]) -> None:
        """Hear these groups no longer: another process owns them."""
        logger.warning("owned by another ingester now: %s", ", ".join(sorted(groups)))
        self._lost.update(groups)
        for name in groups:
            self._subscriber.remove(self._shards.groups[name])
        self._on_let_go(groups)

    async def _step(self) -> None:
        held = dict(self._ingester.owned())

        def look(connection: Connection) -> list[Holding]:
            ownership.beat(connection, held)
            return ownership.read_all(connection)

        rows = [row for row in await self._database.write(look) if row.name in self._shards.groups]
        gone = {row.name for row in rows if held.get(row.name, row.epoch) != row.epoch}
        gone &= self._ingester.owned().keys()
        if gone:
            self._ingester.let_go(gone)
            self.part_with(gone)
        owned = self._ingester.owned()
        for row in rows:
            if row.name in self._lost and row.owner == self._name and row.name not in owned:
                raise StopService(f"another ingester is called {self._name!r}: give each its own")
        stale = self._watch.stale(rows, time.monotonic())
        for row in to_claim(rows, me=self._name, held=owned.keys(), stale=stale):
            await self._take_over(row, lives=row.owner is not None and row.name not in stale)
        self.settled = True

    async def _take_over(self, row: Holding, *, lives: bool) -> None:
        group = self._shards.groups[row.name]
        held_back = self._held_back[row.name] = _HeldBack()
        self._subscriber.add(group)
        try:
            if lives and row.owner != self._name and not await self._hears(row.name):
                self._subscriber.remove(group)
                return
            epoch = await self._database.write(lambda c: ownership.claim(c, row, self._name))
            if epoch is None:
                self._subscriber.remove(group)
                return
            self._lost.discard(row.name)
            await self._ingester.own(row.name, epoch)
            await self._on_owned(row.name)
            logger.info("owns shards %s, epoch %d", row.name, epoch)
        finally:
            del self._held_back[row.name]
        for topic, payload in held_back.messages:
            self._deliver(topic, payload)

    async def _hears(self, name: str) -> bool:
        """Wait until a group is heard here as well, and a moment longer."""
        group = self._shards.groups[name]
        for _ in range(HEARD_LOOKS_MAX):
            if self._subscriber.hears(group):
                break
            await asyncio.sleep(HEARD_LOOK_S)
        else:
            return False
        await asyncio.sleep(OVERLAP_S)
        return True
