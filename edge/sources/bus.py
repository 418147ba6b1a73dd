"""A bus: one actor that asks one question at a time and gives every unit its fair turn."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from edge.sources.base import Columns, Sample
from edge.sources.line import Line, ReadFailed
from edge.sources.plan import Block, single
from edge.sources.sift import REASONS
from edge.sources.ticker import Ticker
from edge.sources.unit import SILENT_AFTER_S, SILENT_FAILURES, Unit, back_off_s
from protocols.catalog.point_map import Table
from protocols.clock import Clock
from protocols.errors import RefuseInput

_PROBE_REST = 14
"""After a try of a silent unit none is tried for so many times as long: at most 1/15 of the line
goes to the silent, so that the others keep their polls however many these are."""
_LINK_REST_S = 1.0
_ASKED_MAX = 4
_COUNTERS = ("polls_due", "polls_done", "polls_failed", "polls_skipped", "polls_resting")

_Reads = list[tuple[Block, list[int]]]


class ModbusBus:
    """A source: all devices of one connection or serial line.

    A poll that finds its predecessor still waiting is skipped and counted, never queued.
    """

    def __init__(
        self,
        *,
        name: str,
        kind: str,
        units: Sequence[Unit],
        line: Line,
        ticker: Ticker,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.name = name
        self._kind = kind
        self._line = line
        self._ticker = ticker
        self._clock = clock
        self._rng = rng
        self._units = tuple(units)
        self._queue: deque[Unit] = deque()
        self._asked: deque[tuple[Unit, Block, asyncio.Future[list[int]]]] = deque()
        """What a person asks for; it takes its turn between polls."""
        self._probes: deque[Unit] = deque()
        """Units that did not answer last time; they share what `_PROBE_REST` leaves them."""
        self._probe_after = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._emit: Callable[[Sample], None] | None = None
        self._link_failures = 0
        self._link_rest_until = 0.0
        self._link_failing_since = 0.0
        names = (*_COUNTERS, *(f"read_{reason}" for reason in REASONS), "unconfirmed")
        self._counts: Counter[str] = Counter(dict.fromkeys(names, 0))
        for unit in self._units:
            ticker.add(unit.period_s, _Turn(self, unit))

    async def run(self, emit: Callable[[Sample], None]) -> None:
        """Read until cancelled; device and link errors are counted and survived."""
        self._queue.clear()
        self._probes.clear()
        for one in self._units:
            one.waiting = False
        self._emit = emit
        self._ticker.join()
        task = asyncio.current_task()
        try:
            # before Python 3.12 wait_for, inside pymodbus, may swallow a cancellation
            while task is None or not task.cancelling():
                if self._asked:
                    await self._answer(*self._asked.popleft())
                    continue
                unit = self._next()
                if unit is None:
                    await self._wait()
                else:
                    await self._poll(unit)
                    unit.waiting = False
            raise asyncio.CancelledError
        finally:
            self._ticker.leave()
            self._emit = None
            self._stop_waiting()
            self._line.close()
            for _, _, answer in self._asked:
                if not answer.done():
                    answer.set_exception(ReadFailed("link_down"))
            self._asked.clear()

    def status(self) -> dict[str, Any]:
        """Return health and counters as plain JSON data."""
        now = asyncio.get_running_loop().time()
        return {
            "kind": self._kind,
            "link": "down" if self._link_failures else "up",
            "counters": {**self._counts, "unasked_bytes": self._line.unasked_bytes},
            "devices": [_status(unit, now) for unit in self._units],
        }

    async def ask(self, asset: str, table: Table, address: int, count: int) -> list[int]:
        """Read registers once, in turn with the polls.

        Raises:
            RefuseInput: `unknown_asset`, or `busy`.
            ReadFailed: no reply that can be believed.

        """
        unit = next((one for one in self._units if one.asset == asset), None)
        if unit is None:
            raise RefuseInput("unknown_asset", f"{self.name} has no {asset[:80]!r}")
        if len(self._asked) >= _ASKED_MAX:
            raise RefuseInput("busy", f"{_ASKED_MAX} questions wait for {self.name}")
        answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._asked.append((unit, single(table, address, count), answer))
        self._wake()
        return await answer

    async def _answer(self, unit: Unit, block: Block, answer: asyncio.Future[list[int]]) -> None:
        if answer.cancelled():
            return
        try:
            if not self._line.connected:
                await self._line.open()
            words = await self._line.read(unit.unit_id, block)
        except ReadFailed as error:
            unit.rest_until = asyncio.get_running_loop().time() + self._line.rest_s
            if not answer.done():
                answer.set_exception(error)
        except asyncio.CancelledError:
            if not answer.done():
                answer.set_exception(ReadFailed("link_down"))
            raise
        else:
            if not answer.done():
                answer.set_result(words)

    def due(self, unit: Unit, now: float) -> None:
        """Let a unit have its turn as soon as the line is free."""
        if self._emit is None:
            return
        self._counts["polls_due"] += 1
        if unit.waiting:
            self._counts["polls_resting" if unit.failures else "polls_skipped"] += 1
        elif now < unit.rest_until or now < self._link_rest_until:
            self._counts["polls_resting"] += 1
        else:
            unit.waiting = True
            (self._probes if unit.failures else self._queue).append(unit)
            self._wake()

    def missed(self) -> None:
        """Count a poll for which the loop was too late."""
        self._counts["polls_due"] += 1
        self._counts["polls_skipped"] += 1

    def _next(self) -> Unit | None:
        if self._probes:
            after = self._probe_after
            if asyncio.get_running_loop().time() >= after:
                return self._probes.popleft()
            if not self._queue and self._timer is None:
                self._timer = asyncio.get_running_loop().call_at(after, self._wake)
        return self._queue.popleft() if self._queue else None

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._stop_waiting()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_waiting(self) -> None:
        self._waiter = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _poll(self, unit: Unit) -> None:
        """Read all blocks of a unit and report what is worth it."""
        began = asyncio.get_running_loop().time()
        blocks = unit.due_blocks(began)
        if not blocks:
            self._counts["polls_resting"] += 1
            return
        unit.polls += 1
        if not self._line.connected:
            try:
                await self._line.open()
            except ReadFailed:
                self._link_failed(began)
                return
        self._link_failures = 0
        reads, failed = await self._read(unit, blocks)
        at_boot_ms = self._clock.boot_ms()
        doubtful: list[Block] = []
        if self._line.confirms:
            doubtful = [block for block, words in reads if await self._doubts(unit, block, words)]
        if failed:
            self._settle_failures(unit, reads, failed, began)
        else:
            self._answered(unit, reads)
            self._counts["polls_done"] += 1
        if not unit.failures:
            columns = unit.decoder.observe(reads, at_boot_ms, doubtful)
            self._report(unit, columns, at_boot_ms)

    async def _read(
        self, unit: Unit, blocks: Sequence[Block]
    ) -> tuple[_Reads, list[tuple[Block, ReadFailed]]]:
        reads: _Reads = []
        failed = []
        for block in tuple(blocks):
            try:
                reads.append((block, await self._line.read(unit.unit_id, block)))
            except ReadFailed as error:
                self._counts[f"read_{error.reason}"] += 1
                failed.append((block, error))
                if error.reason != "exception":
                    break
        return reads, failed

    async def _doubts(self, unit: Unit, block: Block, words: list[int]) -> bool:
        """Read a changed urgent value a second time; it is in doubt unless both agree."""
        span = unit.decoder.urgent_span(block, words)
        if span is None:
            return False
        try:
            where, again = await self._line.read_again(unit.unit_id, block, span)
        except ReadFailed as error:
            self._counts[f"read_{error.reason}"] += 1
            unit.rest_until = asyncio.get_running_loop().time() + self._line.rest_s
        else:
            if unit.decoder.agree(block, words, where, again):
                return False
        self._counts["unconfirmed"] += 1
        return True

    def _answered(self, unit: Unit, reads: _Reads) -> None:
        unit.answered(asyncio.get_running_loop().time())
        if unit.troubles:
            for block, _ in reads:
                unit.block_read(block)

    def _settle_failures(
        self, unit: Unit, reads: _Reads, failed: list[tuple[Block, ReadFailed]], began: float
    ) -> None:
        now = asyncio.get_running_loop().time()
        self._counts["polls_failed"] += 1
        if reads or failed[0][1].reason == "exception":
            self._answered(unit, reads)
            for block, error in failed:
                if error.reason != "exception":
                    unit.rest_until = now + self._line.rest_s
                if unit.block_failed(block, now, error.exception_code):
                    self._report(unit, unit.decoder.lose(block), self._clock.boot_ms())
            return
        unit.failed(now, self._line.rest_s)
        if any(not other.failures for other in self._units):
            self._probe_after = now + _PROBE_REST * (now - began)
        if not unit.silent and unit.is_silent(now):
            self._put_aside(unit)

    def _link_failed(self, now: float) -> None:
        """Try the whole line again later, up to a minute later; its units may count as silent."""
        self._counts["read_link_down"] += 1
        self._counts["polls_failed"] += 1
        if not self._link_failures:
            self._link_failing_since = now
        self._link_failures += 1
        wait_s = back_off_s(self._link_failures, _LINK_REST_S)
        self._link_rest_until = now + wait_s * self._rng.uniform(0.8, 1.0)
        long = self._link_failures > 1 and now - self._link_failing_since >= SILENT_AFTER_S
        if self._link_failures >= SILENT_FAILURES or long:
            for unit in self._units:
                if not unit.silent:
                    self._put_aside(unit)

    def _put_aside(self, unit: Unit) -> None:
        unit.silent = True
        self._report(unit, unit.decoder.silence(), self._clock.boot_ms())

    def _report(self, unit: Unit, columns: list[Columns], at_boot_ms: int) -> None:
        if self._emit is None:
            return
        for stream, values, quality in columns:
            self._emit(
                Sample(
                    asset=unit.asset,
                    at_boot_ms=at_boot_ms,
                    stream=stream,
                    values=values,
                    quality=quality,
                )
            )


class _Turn:
    """What the ticker knows of a unit."""

    __slots__ = ("_bus", "_unit")

    def __init__(self, bus: ModbusBus, unit: Unit) -> None:
        self._bus = bus
        self._unit = unit

    def due(self, now: float) -> None:
        self._bus.due(self._unit, now)

    def missed(self) -> None:
        self._bus.missed()


def _status(unit: Unit, now: float) -> dict[str, Any]:
    troubles = unit.troubles or {}
    age = None if unit.last_answer is None else round(now - unit.last_answer, 3)
    return {
        "asset": unit.asset,
        "controller": unit.controller,
        "unit_id": unit.unit_id,
        "answers": not unit.failures and unit.last_answer is not None and not unit.silent,
        "silent": unit.silent,
        "answer_age_s": age,
        "polls": unit.polls,
        "failures_in_a_row": unit.failures,
        "unread": [
            f"{block.table} {block.address:#06x}+{block.count}"
            for block, trouble in troubles.items()
            if trouble.lost
        ],
    }
