"""All receivers served at once, by the one process that consumes: a slow one delays nobody."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from cloud.feed.items import Place, places_of
from cloud.feed.receivers import courier, rows
from cloud.feed.receivers.base import MakeSender
from cloud.feed.receivers.courier import Courier
from cloud.feed.receivers.rows import Opens, Standing
from cloud.feed.receivers.stopped import Apply, stop
from cloud.feed.receivers.terms import Terms
from cloud.model.database import Database
from cloud.model.principal import Scope
from protocols.clock import Clock
from protocols.errors import RetryLater

logger = logging.getLogger("suyuan.cloud")
LOOK_S = 1.0
"""So often it is looked what people changed."""
FLUSH_S = 0.2
"""So often it is written how far receivers were served, of all in one transaction; what was sent
since is sent again after a kill, by the same id."""
PULSE_S = 1.0
BUSY_S = 0.05
Guarded = Callable[[Awaitable[None]], Awaitable[None]]


class Feed(courier.Feed, Protocol):
    """What the couriers need of the durable feed."""

    async def load(self) -> None:
        """Learn where the feed begins and ends."""
        ...

    async def wait(self, after: int, timeout_s: float) -> bool:
        """Wait for an item with offset > `after`."""
        ...


class Couriers:
    """Serves until cancelled; one process at a time may."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        feed: Feed,
        *,
        rights: Callable[[str, int | None], Scope],
        make_sender: MakeSender,
        seal: Opens,
        terms: Terms,
        apply: Apply,
        on_commit: Callable[[], None],
        guarded: Guarded,
        rng: random.Random,
        division_of: Callable[[str], str] = lambda _asset: "",
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            feed: what is sent.
            rights: how far a principal's reading of the feed reaches now.
            make_sender: builds what carries items to a receiver.
            seal: opens secrets.
            terms: when it is tried again.
            apply: the alarm desk's, for receivers that are stopped.
            on_commit: called after a commit that appended to the feed.
            guarded: carries out one receiver's turn; a defect in it must end no other.
            rng: jitter.
            division_of: tells of an asset its division of GB/T 2260, empty: not known.

        """
        self._database, self._clock, self._feed = database, clock, feed
        self._rights, self._make_sender, self._seal = rights, make_sender, seal
        self._terms, self._apply, self._on_commit = terms, apply, on_commit
        self._guarded, self._rng, self._division_of = guarded, rng, division_of
        self._tasks: dict[int, tuple[int, asyncio.Task[None]]] = {}
        self._serving: dict[int, Courier] = {}
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Serve, until cancelled."""
        await self._first_load()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pulse())
                group.create_task(self._keep_writing())
                group.create_task(self._keep_looking())
        finally:
            await self._end(list(self._tasks))
            with contextlib.suppress(RetryLater):
                await self.flush()

    async def _first_load(self) -> None:
        while True:
            try:
                await self._feed.load()
            except RetryLater as error:
                logger.warning("receivers wait: %s", error)
                await asyncio.sleep(LOOK_S)
            else:
                return

    async def _pulse(self) -> None:
        """Tell all couriers at once of what is new; one question to the database for all."""
        while True:
            try:
                await self._feed.wait(self._feed.head, PULSE_S)
            except RetryLater:
                await asyncio.sleep(PULSE_S)
            self._news.set()
            self._news = asyncio.Event()

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            with contextlib.suppress(RetryLater):
                await self.flush()

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
            except RetryLater as error:
                logger.warning("receivers wait: %s", error)
            await asyncio.sleep(LOOK_S)

    async def flush(self) -> None:
        """Write how far everybody was served."""
        found = [one for each in self._serving.values() if (one := each.progress())]
        if not found:
            return
        try:
            await self._database.write(lambda c: rows.write_progress(c, found))
        except RetryLater:
            for one in found:
                if one.receiver_id in self._serving:
                    self._serving[one.receiver_id].unwritten(one)
            raise

    async def look(self) -> None:
        """Begin with receivers that are new or changed, and end those that are not to be served."""
        wanted = await self._database.read(rows.versions)
        done = [one for one, (version, _) in self._tasks.items() if wanted.get(one) != version]
        done += [one for one, (_, task) in self._tasks.items() if task.done() and one not in done]
        if done:
            await self._end(done)
            await self.flush()
        for receiver_id, version in wanted.items():
            if receiver_id not in self._tasks:
                standing = await self._database.read(partial(rows.load, receiver_id=receiver_id))
                if standing is not None and standing.version == version:
                    work = self._guarded(self._serve(standing))
                    self._tasks[receiver_id] = version, asyncio.ensure_future(work)

    async def _end(self, ids: Sequence[int]) -> None:
        """Let couriers go; what they did is written first."""
        tasks = [self._tasks[one][1] for one in ids]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(RetryLater):
            await self.flush()
        for one in ids:
            del self._tasks[one]
            self._serving.pop(one, None)

    async def _serve(self, standing: Standing) -> None:
        """Serve one receiver until cancelled, or until it stops."""
        try:
            serving = self._courier(standing)
        except RetryLater as error:  # its secrets were sealed by another key
            logger.warning("receiver %s waits: %s", standing.receiver.id, error)
            await asyncio.sleep(LOOK_S)
            return
        self._serving[standing.receiver.id] = serving
        try:
            while serving.stopped is None:
                await self._turn(serving)
            await self._stop(serving)
        finally:
            await serving.close()

    def _courier(self, standing: Standing) -> Courier:
        return Courier(
            standing,
            feed=self._feed,
            find=self._find,
            scope=lambda: self._rights(standing.principal, standing.account),
            make_sender=self._make_sender,
            seal=self._seal,
            terms=self._terms,
            clock=self._clock,
            rng=self._rng,
        )

    async def _turn(self, serving: Courier) -> None:
        news = self._news
        try:
            wait_s = await serving.step()
        except RetryLater as error:  # ours: the database is away
            logger.warning("receiver %s waits: %s", serving.receiver.id, error)
            wait_s = LOOK_S
        if wait_s == 0 or serving.stopped:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if wait_s is None else max(BUSY_S / 10, wait_s)):
                await news.wait()

    async def _stop(self, serving: Courier) -> None:
        """Stop one for good, with an alarm, in one transaction."""
        why, version = serving.stopped, self._tasks[serving.receiver.id][0]
        assert why is not None  # noqa: S101  # or it would not be here
        while True:
            try:
                await self.flush()
                work = partial(
                    stop, one=serving.receiver, version=version, why=why, apply=self._apply
                )
                now_ms = self._clock.wall_ms()
                await self._database.write(partial(work, now_ms=now_ms))
            except RetryLater as error:
                logger.warning("receiver %s waits: %s", serving.receiver.id, error)
                await asyncio.sleep(LOOK_S)
            else:
                self._on_commit()
                return

    async def _find(self, assets: Sequence[str], scope: Scope) -> dict[str, Place]:
        def work(connection: Connection) -> dict[str, Place]:
            return places_of(connection, assets, scope, self._division_of)

        return await self._database.read(work)
