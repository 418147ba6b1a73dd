"""One receiver served: emergencies first, each item once more until it is taken.

The feed itself is the backlog: of what waits only the offsets are held, and a bounded number.
"""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import Literal, Protocol

import msgspec

from cloud.feed.items import Item, Place, read_item, wants
from cloud.feed.receivers.base import LANES, MakeSender, OpenThing, Outcome, Sender
from cloud.feed.receivers.lane import Lane
from cloud.feed.receivers.rows import Opens, Progress, Standing
from cloud.feed.receivers.terms import Terms
from cloud.model.alarm import FeedItem
from cloud.model.principal import Scope
from cloud.model.receiver import StopReason
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

PAGE = 500
BATCH_MAX = 500
OPEN_MAX = 5_000
ERROR_CHARS_MAX = 200
HOUR_MS = 3_600_000
STATEFUL = ("mqtt", "alertmanager")

Find = Callable[[Sequence[str], Scope], Awaitable[dict[str, Place]]]


class Feed(Protocol):
    """What a courier needs of the durable feed."""

    head: int
    oldest: int

    async def read(self, after: int, limit: int = 500) -> Sequence[FeedItem]:
        """Return items with offset > `after`, in order."""
        ...


class Courier:
    """Serves one receiver until it is told to stop, or stops by itself (`stopped`)."""

    def __init__(
        self,
        standing: Standing,
        *,
        feed: Feed,
        find: Find,
        scope: Callable[[], Scope],
        make_sender: MakeSender,
        seal: Opens,
        terms: Terms,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._standing, self._feed, self._find, self._scope = standing, feed, find, scope
        self._terms, self._clock, self._rng = terms, clock, rng
        self.receiver, self._totals = standing.receiver, standing.totals
        self._lanes = {name: Lane(name, standing.lanes[name]) for name in LANES}
        self._open = {one.about: one for one in standing.open}
        self._opened: dict[str, OpenThing] = {}
        self._ended: set[str] = set()
        destination = standing.destination(seal, clock.wall_ms())
        self._sender: Sender = make_sender(destination, lambda: self._open)
        self._keep_at = 0
        self._dirty = False
        self.stopped: StopReason | None = None

    async def step(self) -> float | None:
        """Do the next thing; return after how many seconds to come again, None: when told.

        Raises:
            RetryLater: the database is away.

        """
        scope = self._scope()
        if not scope:
            self._stop("owner")
            return None
        self._see_gap()
        await self._look(self._lanes["urgent"], scope, whole=True)
        await self._look(self._lanes["rest"], scope, whole=False)
        now_ms = self._clock.wall_ms()
        lane = self._due(now_ms)
        if lane is not None:
            await self._serve(lane, scope)
            return 0.0
        return await self._keep_or_wait(now_ms)

    async def close(self) -> None:
        """Let its connections go."""
        await self._sender.close()

    def progress(self) -> Progress | None:
        """Return what became of it since this was asked last; None: nothing."""
        if not self._dirty:
            return None
        opened, ended = tuple(self._opened.values()), tuple(self._ended)
        self._dirty, self._opened, self._ended = False, {}, set()
        return Progress(
            receiver_id=self.receiver.id,
            version=self._standing.version,
            lanes={name: lane.row for name, lane in self._lanes.items()},
            totals=self._totals,
            opened=opened,
            ended=ended,
        )

    def unwritten(self, progress: Progress) -> None:
        """Take back what could not be written."""
        self._dirty = True
        self._opened = {one.about: one for one in progress.opened} | self._opened
        self._ended |= {one for one in progress.ended if one not in self._opened}

    def _see_gap(self) -> None:
        """Say what went from the feed before it was sent; never let it pass in silence."""
        lost = 0
        for lane in self._lanes.values():
            behind = self._feed.oldest - 1 - lane.row.offset
            if behind > 0 and self._feed.head:
                lost = max(lost, behind)
                lane.forget_before(self._feed.oldest)
                lane.settle(self._feed.head)
        if lost:
            self._count(gap_items=self._totals.gap_items + lost, gap_at=self._clock.wall_ms())

    async def _look(self, lane: Lane, scope: Scope, *, whole: bool) -> None:
        """Look further in the feed for what is wanted, as far as may be held."""
        while lane.scanned < self._feed.head and lane.room:
            page = await self._feed.read(lane.scanned, PAGE)
            wanted = await self._choose(lane, page, scope)
            lane.put(wanted)
            lane.scanned = page[-1].offset if page else self._feed.head
            lane.settle(self._feed.head)
            self._dirty = True
            if not whole:
                return

    async def _choose(self, lane: Lane, page: Sequence[FeedItem], scope: Scope) -> list[Item]:
        found = [item for one in page if (item := read_item(one)) is not None]
        mine = [one for one in found if one.urgent == (lane.name == "urgent")]
        wanted = self.receiver.filter
        mine = [
            one for one in mine if wants(msgspec.structs.replace(wanted, districts=()), one, "")
        ]
        if not mine or (scope.everything and not wanted.districts):
            return mine
        places = await self._find(sorted({one.about.asset for one in mine}), scope)
        return [
            one
            for one in mine
            if (place := places.get(one.about.asset)) and wants(wanted, one, place.district)
        ]

    def _due(self, now_ms: int) -> Lane | None:
        for lane in self._lanes.values():
            if lane.waiting and (lane.row.retry_at or 0) <= now_ms:
                if lane.name == "rest" and self._rate_wait_ms(now_ms):
                    continue
                return lane
        return None

    async def _keep_or_wait(self, now_ms: int) -> float | None:
        """Tell again what is open, if it is time for that; return how long there is nothing."""
        if any(one.scanned < self._feed.head and one.room for one in self._each()):
            return 0.0
        keep_s = self._sender.keep_s
        if keep_s is not None and self._open and not any(one.row.attempts for one in self._each()):
            if now_ms >= self._keep_at:
                self._keep_at = now_ms + round(keep_s * 1_000)
                outcome = await self._carefully(self._sender.keep)
                if not outcome.ok:
                    self._note_error(outcome)
            until = [self._keep_at]
        else:
            until = []
        until += [lane.row.retry_at or 0 for lane in self._each() if lane.waiting]
        if self._lanes["rest"].waiting and (wait_ms := self._rate_wait_ms(now_ms)):
            until.append(now_ms + wait_ms)
            until = [one for one in until if one > now_ms]
        return max(0.0, min(until) - now_ms) / 1_000 if until else None

    def _each(self) -> Sequence[Lane]:
        return list(self._lanes.values())

    async def _serve(self, lane: Lane, scope: Scope) -> None:
        items = await self._next(lane, scope)
        if not items:
            return
        started = time.perf_counter()
        outcome = await self._carefully(lambda: self._sender.send(items))
        if outcome.ok:
            self._taken(lane, items, round((time.perf_counter() - started) * 1_000))
        else:
            self._failed(lane, items, outcome)

    async def _next(self, lane: Lane, scope: Scope) -> list[Item]:
        """Read what is next again: it lies in the feed."""
        wanted = [one.offset for one in lane.pick(self._batch(lane))]
        raw = await self._feed.read(wanted[0] - 1, max(1, min(PAGE, wanted[-1] - wanted[0] + 1)))
        found = {one.offset: item for one in raw if (item := read_item(one)) is not None}
        if wanted[0] not in found:  # retention was faster
            self._leave_out(lane, wanted[0])
            return []
        items = [found[one] for one in takewhile(found.__contains__, wanted)]
        places = await self._find(sorted({one.about.asset for one in items}), scope)
        unknown = Place()
        return [
            msgspec.structs.replace(one, place=places.get(one.about.asset, unknown))
            for one in items
        ]

    def _batch(self, lane: Lane) -> int:
        """Return how many are sent as one; of emergencies always one."""
        if not self._sender.batch or lane.name == "urgent":
            return 1
        left = self.receiver.options.mails_an_hour - self._rate(self._clock.wall_ms())[1]
        waiting = len(lane.waiting)
        return 1 if waiting <= left else min(waiting, BATCH_MAX)

    def _rate(self, now_ms: int) -> tuple[int, int]:
        """Return when the present hour began, and how many were sent in it."""
        if now_ms - self._totals.rate_at >= HOUR_MS:
            return now_ms, 0
        return self._totals.rate_at, self._totals.rate_count

    def _rate_wait_ms(self, now_ms: int) -> int:
        """Return how long the rest waits for the next hour's number."""
        if not self._sender.batch:
            return 0
        began, count = self._rate(now_ms)
        full = count >= self.receiver.options.mails_an_hour
        return max(1, began + HOUR_MS - now_ms) if full else 0

    async def _carefully(self, send: Callable[[], Awaitable[Outcome]]) -> Outcome:
        try:
            return await send()
        except (RetryLater, RefuseInput) as error:
            return Outcome(ok=False, detail=str(error))

    def _taken(self, lane: Lane, items: Sequence[Item], took_ms: int) -> None:
        now_ms = self._clock.wall_ms()
        for item in items:
            lane.take(item.offset)
            self._remember(item)
        lane.well(self._feed.head)
        for other in self._each():  # it is back: nobody waits for an hour any more
            other.row = msgspec.structs.replace(other.row, retry_at=None)
        rate_at, rate_count = self._rate(now_ms)
        counted = self._sender.batch and lane.name == "rest"
        self._count(
            last_success_at=now_ms,
            delivered=self._totals.delivered + len(items),
            latency_ms=took_ms,
            rate_at=rate_at,
            rate_count=rate_count + counted,
        )

    def _remember(self, item: Item) -> None:
        """Keep what is open for a receiver that is told of it again."""
        if self.receiver.kind not in STATEFUL:
            return
        if item.ended or (self.receiver.kind == "alertmanager" and item.over):
            self._open.pop(item.thing, None)
            self._opened.pop(item.thing, None)
            self._ended.add(item.thing)
        elif item.thing in self._open or len(self._open) < OPEN_MAX:
            thing = OpenThing(about=item.thing, item=item)
            self._open[item.thing] = self._opened[item.thing] = thing
            self._ended.discard(item.thing)

    def _failed(self, lane: Lane, items: Sequence[Item], outcome: Outcome) -> None:
        now_ms, head = self._clock.wall_ms(), self._feed.head
        since = lane.row.failing_since or now_ms
        self._note_error(outcome)
        if outcome.gone:
            self._stop("gone")
        elif outcome.of_item and lane.refuse(items[0].thing):
            lane.settle(head, failing_since=since)  # others may be taken all the same
        else:
            attempts = lane.row.attempts + 1
            pause_ms = self._terms.pause_ms(lane.name, attempts, outcome.retry_after_s, self._rng)
            retry_at = now_ms + pause_ms
            lane.settle(head, attempts=attempts, failing_since=since, retry_at=retry_at)
            if self._terms.gives_up(lane.name, attempts, now_ms - since):
                if outcome.of_item and (self._totals.last_success_at or 0) > since:
                    self._leave_out(lane, items[0].offset)
                else:
                    self._stop("failed")

    def _leave_out(self, lane: Lane, offset: int) -> None:
        """Give one item up, and say so."""
        lane.take(offset)
        self._count(gap_items=self._totals.gap_items + 1, gap_at=self._clock.wall_ms())
        lane.settle(self._feed.head, attempts=0, failing_since=None, retry_at=None)

    def _note_error(self, outcome: Outcome) -> None:
        detail = outcome.detail[:ERROR_CHARS_MAX]
        self._count(last_error_at=self._clock.wall_ms(), last_error=detail)

    def _count(self, **changed: object) -> None:
        self._totals = msgspec.structs.replace(self._totals, **changed)
        self._dirty = True

    def _stop(self, why: Literal["gone", "failed", "owner"]) -> None:
        self.stopped, self._dirty = why, True
