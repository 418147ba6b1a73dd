"""The watch at work: follows cylinders, scans, fillings and stations, and keeps the lists right.

Each thing that is followed has a place of its own in the database, written in the transaction of
what was found up to it: after any end of the process it goes on there, and what comes again is
known by its key. What is written at a time is little, for alarms of lifts are written to the same
database.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.cylinders.find_fills import fills_changed
from cloud.cylinders.watch.alarms import CaseAlarms
from cloud.cylinders.watch.cases import Raised
from cloud.cylinders.watch.filled import GAS_IN, judge_fills
from cloud.cylinders.watch.handhelds import read_handhelds
from cloud.cylinders.watch.missing import FOUND_MAX, end_found, judge_missing
from cloud.cylinders.watch.sightings import (
    judge_sightings,
    keep_sightings,
    local_day,
    places_of,
    read_scans,
    seen_of_fill,
)
from cloud.cylinders.watch.stations import (
    end_read,
    end_stale,
    is_settled,
    judge_day,
    judge_snapshots,
)
from cloud.cylinders.watch.terms import (
    Page,
    Standing,
    group_cylinder,
    parts,
    read_page,
    read_standing,
    write_page,
    write_standing,
)
from cloud.model.cylinder_fill import CylinderFill
from cloud.model.database import Database
from protocols.clock import Clock
from protocols.cylinders.book import RuleBook
from protocols.cylinders.due_list import DueList
from protocols.cylinders.watch import HOUR_MS, Watch
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger("suyuan.cloud")
POLL_S, SLOW_MS = 5.0, 300_000
FILLS = 100
"""Judged in one transaction."""
DAYS_BACK = 7
"""A watch that begins counts no older days."""
LISTED = "listed"
"""Its day is the last on which all cylinders were looked at."""


class CylinderWatch:
    """Looks until cancelled; one process at a time may."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        zone: ZoneInfo,
        watch: Watch,
        book: RuleBook,
        alarms: CaseAlarms,
        on_commit: Callable[[], None],
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            zone: in which days are counted.
            watch: the terms.
            book: by which cylinders are judged.
            alarms: puts cases on the lists.
            on_commit: called after alarms were raised.

        """
        self._database, self._clock, self._zone = database, clock, zone
        self._watch, self._book, self._alarms = watch, book, alarms
        self._on_commit, self._alarmed = on_commit, 0
        self._listed: tuple[date, DueList] | None = None
        self._slow_at_ms = 0

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except RetryLater as error:
                logger.warning("the watch over cylinders waits: %s", error)
            except RefuseInput:  # one file that cannot be read must not end alarms of lifts
                logger.exception("the watch over cylinders cannot go on")
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Look at all that changed since the look before."""
        now_ms = self._clock.wall_ms()
        await self._look_at_terms(now_ms)
        while await self._database.write(lambda c: self._scans(c, now_ms)):
            pass
        while await self._database.write(self._handhelds):
            pass
        while await self._database.write(lambda c: self._fills(c, now_ms)):
            pass
        if now_ms - self._slow_at_ms >= SLOW_MS or now_ms < self._slow_at_ms:
            await self._database.write(lambda c: self._stations(c, now_ms))
            await self._database.write(lambda c: self._missing(c, now_ms))
            self._slow_at_ms = now_ms
        if self._alarmed:
            self._alarmed = 0
            self._on_commit()

    async def _look_at_terms(self, now_ms: int) -> None:
        today = local_day(now_ms, self._zone)
        standing = await self._database.read(lambda c: read_standing(c, "terms"))
        if standing.day != today.isoformat():
            standing = Standing(today.isoformat(), 0)
        while True:
            listed, after = self._list_of(today), standing.position
            stages = self._watch.due.days
            read = partial(read_page, listed=listed, after=after, on=today, stages=stages)
            page = await self._database.read(read)
            standing = Standing(standing.day, page.position)
            await self._write_page(page, standing, now_ms, end=page.position == after)
            if page.position == after:
                return

    async def _write_page(self, page: Page, standing: Standing, now_ms: int, *, end: bool) -> None:
        for part in parts(page):
            await self._database.write(partial(write_page, page=part, now_ms=now_ms))

        def work(connection: Connection) -> None:
            if read_standing(connection, "terms") != standing:
                write_standing(connection, "terms", standing)
            done = Standing(standing.day, 0)
            if end and read_standing(connection, LISTED) != done:
                write_standing(connection, LISTED, done)

        await self._database.write(work)

    def _list_of(self, today: date) -> DueList:
        if self._listed is None or self._listed[0] != today:
            self._listed = today, DueList(group_cylinder, self._book, today)
        return self._listed[1]

    def _scans(self, connection: Connection, now_ms: int) -> bool:
        """Take scans; tell whether there may be more."""
        after = read_standing(connection, "scans").position
        seen, last = read_scans(connection, after)
        if last == after:
            return False
        keep_sightings(connection, seen)
        found = judge_sightings(connection, seen, self._watch.places, self._zone)
        self._alarmed += self._alarms.raise_new(connection, list(found), now_ms)
        write_standing(connection, "scans", Standing("", last))
        return True

    def _handhelds(self, connection: Connection) -> bool:
        """Take what was seen with handhelds; tell whether there may be more.

        Nothing comes upon a list by it: it moves, and has no chip's counter. It ends a wait.
        """
        after = read_standing(connection, "handhelds").position
        seen, last = read_handhelds(connection, after)
        if last == after:
            return False
        keep_sightings(connection, seen)
        write_standing(connection, "handhelds", Standing("", last))
        return True

    def _fills(self, connection: Connection, now_ms: int) -> bool:
        """Take fillings that changed; tell whether there may be more."""
        after = read_standing(connection, "fills").position
        fills = fills_changed(connection, after, FILLS)
        if not fills:
            return False
        places = places_of(connection, {one.gateway for one in fills})
        told = [one for one in fills if one.known and not one.time_unknown and one.state in GAS_IN]
        seen = [seen_of_fill(one, places) for one in told]
        keep_sightings(connection, seen)
        found = [
            *judge_fills(connection, fills, self._book, self._zone),
            *judge_sightings(connection, seen, self._watch.places, self._zone),
            *self._late(connection, fills, now_ms),
        ]
        self._alarmed += self._alarms.raise_new(connection, found, now_ms)
        write_standing(connection, "fills", Standing("", fills[-1].change))
        return True

    def _late(
        self, connection: Connection, fills: list[CylinderFill], now_ms: int
    ) -> Iterator[Raised]:
        """Count days again that were counted before these fillings came."""
        days: dict[date, set[str]] = {}
        for fill in fills:
            if not fill.time_unknown:
                days.setdefault(local_day(fill.began_at, self._zone), set()).add(fill.gateway)
        for day, gateways in sorted(days.items()):
            if is_settled(day, now_ms, self._watch.station, self._zone):
                yield from judge_day(connection, day, self._zone, frozenset(gateways))

    def _stations(self, connection: Connection, now_ms: int) -> None:
        terms, zone = self._watch.station, self._zone
        stale = judge_snapshots(connection, now_ms, terms, zone)
        end_stale(connection, stale, now_ms)
        end_read(connection, zone, now_ms)
        found = list(stale)
        last = read_standing(connection, "counted").day
        today = local_day(now_ms, zone)
        day = date.fromisoformat(last) if last else today - timedelta(days=DAYS_BACK)
        day = max(day, today - timedelta(days=DAYS_BACK))
        while is_settled(day + timedelta(days=1), now_ms, terms, zone):
            day += timedelta(days=1)
            found += judge_day(connection, day, zone)
        self._alarmed += self._alarms.raise_new(connection, found, now_ms)
        if day.isoformat() != last:
            write_standing(connection, "counted", Standing(day.isoformat(), 0))

    def _missing(self, connection: Connection, now_ms: int) -> None:
        since, terms = read_standing(connection, "missing").position, self._watch.delivery
        found = judge_missing(connection, since, now_ms, terms, self._zone)
        self._alarmed += self._alarms.raise_new(connection, found, now_ms)
        end_found(connection, now_ms)
        full = len(found) == FOUND_MAX  # the next look goes on behind the last of them
        until = found[-1].facts["left_at"] + terms.missing_after_h * HOUR_MS - 1 if full else now_ms
        write_standing(connection, "missing", Standing("", until))
